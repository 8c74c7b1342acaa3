"""What a model cannot be served without: the models that it asks, and what lies beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tuner.targets.triton.beside import Surroundings


class Companion(Protocol):
    """A model that is asked by another one; it is served as its user left it."""

    name: str

    @property
    def before(self) -> tuple[str, ...]:
        """The models that have to be loaded before it."""

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits that change when a file of it does."""

    def stage(self, folder: Path) -> None:
        """Put it into `folder`."""


@dataclass(frozen=True)
class Needs:
    """`companions` in the order in which they are loaded.

    Of the `surroundings`, those that the text `mentioned` names are part of the model.
    """

    companions: tuple[Companion, ...] = ()
    surroundings: Surroundings | None = None
    mentioned: str = ""

    @property
    def reads(self) -> tuple[Path, ...]:
        """What the server reads beside the folder that the model is staged in."""
        return self.surroundings.reads if self.surroundings else ()

    def fingerprints(self) -> Iterator[str]:
        """Those of all of it that there is."""
        yield from (each.fingerprint for each in self.companions)
        files = self.surroundings.fingerprint(self.mentioned) if self.surroundings else ""
        if files:
            yield files

    def stage(self, folder: Path) -> None:
        """Put it into `folder`, beside the model that is there already.

        Raises:
            ModelError: A file cannot be read, or there is no room for it.
        """
        for companion in self.companions:
            companion.stage(folder)
        if self.surroundings:
            self.surroundings.stage(folder)

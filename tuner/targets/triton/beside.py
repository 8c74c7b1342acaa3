"""What lies beside the models of a repository: weights, programs, archives of environments.

A model finds it by a path from its own folder (`../shared/weights.bin`), so it has the same place
beside the staged copy. Large files are linked, not copied; so are the folders of models that are
not staged, where a model may look for files as well.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tuner.targets import staging

# Smaller files are copied: a model that writes into one writes into its copy.
_LINKED_BYTES = 1 << 20


@dataclass(frozen=True)
class Surroundings:
    """What is in a `repository` beside the models that are staged."""

    repository: Path

    @property
    def reads(self) -> tuple[Path, ...]:
        """Where the links lead to, those that are in the repository among them."""
        links = (path.resolve() for path in self._entries() if path.is_symlink())
        return (self.repository.resolve(), *links)

    def fingerprint(self, mentioned: str) -> str:
        """Of the files whose place in the repository the text `mentioned` names; empty if none."""
        named = [path for path in self._entries() if path.name in mentioned and not is_model(path)]
        return staging.digest(named) if named else ""

    def stage(self, staged: Path) -> None:
        """Put it beside the models that are `staged`.

        Raises:
            ModelError: A file cannot be read, or there is no room for it.
        """
        for source in self._entries():
            with staging.copying(source, staged / source.name):
                if not (staged / source.name).exists():
                    _put(source, staged / source.name)

    def _entries(self) -> Iterator[Path]:
        """Without what is hidden: it is no part of what is served."""
        found = sorted(self.repository.iterdir())
        return (path for path in found if not path.name.startswith("."))


def is_model(folder: Path) -> bool:
    """Whether it is the folder of a model, as far as its files tell."""
    try:
        within = list(folder.iterdir()) if folder.is_dir() else []
    except OSError:
        return False
    return any(p.name == "config.pbtxt" or (p.name.isdigit() and p.is_dir()) for p in within)


def _put(source: Path, destination: Path) -> None:
    if is_model(source):
        _link(source, destination)
    elif source.is_dir():
        _mirror(source, destination)
    else:
        _put_file(source, destination)


def _mirror(source: Path, destination: Path) -> None:
    """The folder with all the files in it; links that lead round in a circle are followed once."""
    seen: set[Path] = set()
    for folder, names, files in os.walk(source, followlinks=True):
        here = Path(folder)
        seen.add(here.resolve())
        names[:] = [name for name in names if (here / name).resolve() not in seen]
        copied = destination / here.relative_to(source)
        copied.mkdir(parents=True, exist_ok=True)
        for name in files:
            _put_file(here / name, copied / name)


def _put_file(source: Path, destination: Path) -> None:
    """What may not be read is linked: it need not concern the model."""
    if not source.is_file():
        return
    if source.stat().st_size >= _LINKED_BYTES or not os.access(source, os.R_OK):
        _link(source, destination)
    else:
        shutil.copyfile(source, destination)


def _link(source: Path, destination: Path) -> None:
    destination.symlink_to(source.resolve())

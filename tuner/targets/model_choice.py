"""Which of several models is meant."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from tuner.errors import ModelError

Found = TypeVar("Found")


def chosen(found: Mapping[str, Found], name: str | None, *, where: Path, kind: str) -> Found:
    """The one called `name`, or the only one; `kind` is what one is, with `{}` for its name.

    Raises:
        ModelError: There are several to choose from, or none of that name.
    """
    if name is None and len(found) > 1:
        raise ModelError(
            f"{where}: holds several models: {', '.join(found)}",
            hint="choose one with `--model NAME`",
        )
    if name is not None and name not in found:
        raise ModelError(
            f"{where}: has no {kind.format(name)}", hint="models here: " + ", ".join(found)
        )
    return found[name or next(iter(found))]

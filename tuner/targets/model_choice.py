"""Which of several models is meant."""

from collections.abc import Mapping, Sequence
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


def running(there: Sequence[str], name: str | None, *, url: str, ready: str = "") -> str:
    """The model called `name`, or the only one, of those that the server at `url` has.

    `ready` is what one must be beside being there, as words that follow it.

    Raises:
        ModelError: There is none, or several.
    """
    if name is None and len(there) == 1:
        return there[0]
    if name is None or name not in there:
        named = f"has no model `{name}`{ready}" if name else "has several models"
        raise ModelError(
            f"{url}: {named if there else f'has no model{ready}'}",
            hint=f"models there: {', '.join(there) or 'none'}; choose one with `--model`",
        )
    return name

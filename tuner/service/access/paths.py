"""Files that jobs may use: below stated folders, wherever links lead."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from tuner.errors import InputError, quoted


def within(text: str, folders: Sequence[Path], *, kind: str, endings: Iterable[str] = ()) -> Path:
    """What `text` names below one of `folders`, with all links followed.

    Args:
        text: A path that is relative to one of them, or the whole path of something in one.
        folders: Where to look, in this order.
        kind: What it is to be, in a word or two, such as `model file`.
        endings: What may be left out at the end of the name.

    Raises:
        InputError: There is no such file or folder there. What is elsewhere is not told apart from
            what is nowhere.
    """
    roots = [Path(os.path.realpath(folder)) for folder in folders]
    for root in roots:
        for ending in ("", *endings):
            found = _real(root / f"{text}{ending}")
            if found is not None and any(found.is_relative_to(each) for each in roots):
                return found
    names = ", ".join(f"`{folder.name}`" for folder in folders)
    raise InputError(
        f"{quoted(text)} is no {kind} that jobs may use",
        hint=f"give a path relative to one of the folders: {names}"
        if names
        else f"the service was started without folders for a {kind}",
    )


def _real(path: Path) -> Path | None:
    """Where the file or the folder really is; None where there is none, or another thing."""
    try:
        found = Path(os.path.realpath(path, strict=True))
        return found if found.is_file() or found.is_dir() else None
    except (OSError, ValueError):
        return None

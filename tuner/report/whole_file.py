"""Files that are there whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuner.errors import InputError


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path`; nobody ever sees a part of it, and what was there stays until then.

    A device or a pipe is written to as it is.

    Raises:
        InputError: `path` cannot be written.
    """
    with _refused(path) as target:
        if _is_special(target):
            target.write_text(text, encoding="utf-8")
            return
        with _part_of(target) as part:
            part.write_text(text, encoding="utf-8")
            part.replace(target)


def check_writable(path: Path) -> None:
    """Refuse at once what `write_whole` would refuse when the work is done; changes nothing.

    Raises:
        InputError: `path` cannot be written.
    """
    with _refused(path) as target:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not _is_special(target):
            with _part_of(target) as part:
                part.touch()


@contextmanager
def _refused(path: Path) -> Iterator[Path]:
    """The file behind links, whose faults are the user's."""
    try:
        yield Path(os.path.realpath(path))
    except OSError as error:
        raise InputError(
            f"`{path}` cannot be written: {error.strerror}",
            hint="choose a file in a folder that exists and that you may write to",
        ) from None


def _is_special(target: Path) -> bool:
    return target.exists() and not target.is_file()


@contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """A file beside `target` that does not outlive the block."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)

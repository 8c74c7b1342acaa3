"""Files that nobody but their owner can read: tokens and keys."""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from tuner.errors import InputError

# Bits of a file's mode that let others in, and those that do where it is root's.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_THAN_ROOT = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def folder(path: Path) -> None:
    """Make the folder, for its owner alone; one that is there must not be writable for others.

    Raises:
        InputError: It cannot be made, or others could replace what is in it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise _unusable(path, error) from None
    if found.st_mode & _WRITABLE:
        raise InputError(
            f"`{path}` can be written by others: they could replace the token of the service",
            hint=f"chmod 700 {path}",
        )
    _check_owner(path, found)


def read(path: Path) -> str:
    """The text of a file that its owner alone can read; one of root may be read by its group.

    The latter is how secrets are handed to a container (as PostgreSQL takes its keys).

    Raises:
        InputError: Others can read it, or it cannot be read.
        FileNotFoundError: It is not there.
    """
    try:
        with path.open(encoding="utf-8") as opened:
            found = os.fstat(opened.fileno())
            if _is_open(found):
                raise InputError(
                    f"`{path}` can be read by others, and has secrets",
                    hint=f"chmod 600 {path}; make new tokens if somebody may have read it",
                )
            _check_owner(path, found)
            return opened.read()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from None


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Whoever owns it could change it, whatever its mode is."""
    if found.st_uid not in (os.geteuid(), 0):
        raise InputError(
            f"`{path}` belongs to another user, who could change the tokens of the service",
            hint=f"choose another one, or: chown {os.geteuid()} {path}",
        )


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """For the length of the block, nobody else is in such a block with this folder.

    Raises:
        InputError: It is no folder that can be used.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _unusable(folder, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_open(found: os.stat_result) -> bool:
    of_root = found.st_uid == 0 and os.geteuid() != 0
    return bool(found.st_mode & (_OTHERS_THAN_ROOT if of_root else _OTHERS))


def write(path: Path, text: str) -> None:
    """Write the file whole, for its owner alone.

    Raises:
        InputError: It cannot be written.
    """
    try:
        part = _part(path, text)
        part.replace(path)
    except OSError as error:
        raise _unusable(path, error) from None


def kept(path: Path, make: Callable[[], str]) -> tuple[str, bool]:
    """The text of a file that is made where it is not there, and whether it was made now.

    Of several processes that make it at once, all get the text of one.

    Raises:
        InputError: It can be neither read nor written, or others can read it.
    """
    with contextlib.suppress(FileNotFoundError):
        return read(path), False
    text = make()
    try:
        part = _part(path, text)
        try:
            path.hardlink_to(part)
        finally:
            part.unlink()
    except FileExistsError:
        return read(path), False
    except OSError as error:
        raise _unusable(path, error) from None
    return text, True


def _part(path: Path, text: str) -> Path:
    """A new file beside `path` with all of the text, on the disk."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)
    return part


def _unusable(path: Path, error: Exception) -> InputError:
    said = error.strerror if isinstance(error, OSError) else "it is no text"
    return InputError(
        f"`{path}` cannot be used: {said}",
        hint="choose a file in a folder that exists and that you may write to",
    )

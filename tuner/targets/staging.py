"""Files of a model: what tells two states of them apart, and how a failed copy is told of."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tuner.errors import ModelError

# Of a fingerprint.
_DIGITS = 10
# Of a file of more bytes than these, where a sample is enough,
_LARGE = 64 * 2**20
# so many pieces are read, spread evenly from its first byte to its last, each of so many bytes:
# weights have tens of gigabytes, and most of those of another training differ.
_PIECES = 64
_PIECE_BYTES = 2**20


def digest(files: Iterable[Path], *, beside: bytes = b"", sampled: bool = False) -> str:
    """Ten hexadecimal digits that change when a file, its path, or what is `beside` them does.

    A folder is all that is in it and behind its links, each by its path from the folder's own name
    on; what Python compiled there does not count. With `sampled`, a file of more than 64 MiB is
    known by its size and by pieces of it.

    Raises:
        ModelError: A file cannot be read.
    """
    found = hashlib.sha256(beside)
    for root in files:
        with readable(root):
            folders = walk(root) if root.is_dir() else ()
            inside = [Path(folder, name) for folder, names in folders for name in names]
        for path in sorted([root, *inside]):
            with readable(path):
                if path.is_file() and "__pycache__" not in path.parts:
                    found.update(os.fsencode(path.relative_to(root.parent)))
                    found.update(_content(path, sampled=sampled))
    return found.hexdigest()[:_DIGITS]


def _content(path: Path, *, sampled: bool) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not sampled or size <= _LARGE:
            return hashlib.file_digest(file, "sha256").digest()
        found = hashlib.sha256(b"%d" % size)
        for number in range(_PIECES):
            file.seek(number * (size - _PIECE_BYTES) // (_PIECES - 1))
            found.update(file.read(_PIECE_BYTES))
    return found.digest()


def copy_folder(source: Path, destination: Path) -> None:
    """Copy what is in `source` and behind its links, as files that can be written and removed.

    What is already in `destination` stays. Links that lead nowhere, or back to a folder that they
    are in, are left out.

    Raises:
        OSError: A file cannot be read, or there is no room for it.
    """
    for folder, names in walk(source):
        copy = destination / folder.relative_to(source)
        copy.mkdir(parents=True, exist_ok=True)
        for name in names:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, copy / name)
                mode = (folder / name).stat().st_mode & (
                    stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
                )
                (copy / name).chmod((copy / name).stat().st_mode | mode)


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder of `root` and behind its links, with the names of what is no folder.

    Raises:
        OSError: One cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    above = {str(root): {root.resolve()}}
    for name, folders, files in os.walk(root, followlinks=True, onerror=fail):
        yield Path(name), files
        known = above.pop(name)
        for folder in list(folders):
            real = Path(name, folder).resolve()
            if real in known:
                folders.remove(folder)  # a link back to a folder that it is in
            else:
                above[os.path.join(name, folder)] = {*known, real}  # noqa: PTH118 - as os.walk does


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What is at `path` is read within.

    Raises:
        ModelError: It cannot be.
    """
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{error.filename or path}: cannot be read: {error.strerror}", hint="make it readable"
        ) from None


@contextmanager
def copying(source: Path, destination: Path, *more: type[Exception]) -> Iterator[None]:
    """A copy is made within; `more` are further exceptions that it may fail with.

    Raises:
        ModelError: It failed.
    """
    failures: tuple[type[Exception], ...] = (OSError, *more)
    try:
        yield
    except failures as error:
        raise ModelError(
            f"{source}: cannot be copied to {destination}: {error}",
            hint="make it readable; a folder with more room can be named in TMPDIR",
        ) from None

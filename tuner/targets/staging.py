"""Files of a model: what tells two states of them apart, and how a failed copy is told of."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tuner.errors import ModelError

# Of a fingerprint.
_DIGITS = 10


def digest(files: Iterable[Path], *, beside: bytes = b"") -> str:
    """Ten hexadecimal digits that change when a file, its path, or what is `beside` them does.

    A folder is all that is in it, each by its path from the folder's own name on; what Python
    compiled there does not count.

    Raises:
        ModelError: A file cannot be read.
    """
    found = hashlib.sha256(beside)
    for root in files:
        for path in sorted([root, *root.rglob("*")]):
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(str(path.relative_to(root.parent)).encode())
                try:
                    with path.open("rb") as file:
                        found.update(hashlib.file_digest(file, "sha256").digest())
                except OSError as error:
                    raise ModelError(
                        f"{path}: cannot be read: {error.strerror}", hint="make it readable"
                    ) from None
    return found.hexdigest()[:_DIGITS]


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

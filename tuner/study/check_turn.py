"""One check at a time: two of the same person on a machine would disturb each other."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuner.errors import StudyHeldError, TunerError


@contextmanager
def check_turn() -> Iterator[None]:
    """Nobody else has it meanwhile; with the process it ends, however that ends.

    Raises:
        StudyHeldError: Another check measures on this machine.
        TunerError: The file that says so cannot be opened.
    """
    path = Path(tempfile.gettempdir()) / f"tuner-check-{os.getuid()}.lock"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise TunerError(
            f"{path}: cannot be opened: {error.strerror}", hint="remove it, or set TMPDIR"
        ) from None
    try:
        _take(file)
        yield
    finally:
        os.close(file)


def _take(file: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StudyHeldError(
            "another check runs on this machine: both would measure less than there is",
            hint="check when it has ended",
        ) from None

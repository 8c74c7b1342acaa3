"""The folder of a service is one service's: two would start the same jobs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runners.process_names import in_words, own_name
from tuner.errors import TunerError

# A name of a process is shorter, in bytes.
_LONGEST = 1000


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """For the length of the block, no other service has the folder.

    However the process ends, the system lets go of it (flock(2)).

    Raises:
        TunerError: Another one has it, or it cannot be written.
    """
    path = folder / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise TunerError(
            f"{path}: cannot be written: {error.strerror}", hint="choose another `--folder`"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = in_words(os.pread(descriptor, _LONGEST, 0).decode(errors="replace"))
            raise TunerError(
                f"another service has the folder {folder}: {who}",
                hint="end that one, or choose another `--folder` and another `--db`",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, own_name().encode(), 0)
        yield
    finally:
        os.close(descriptor)

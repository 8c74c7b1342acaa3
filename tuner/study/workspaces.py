"""The folders in which studies stage their models; each belongs to the process that made it."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_PREFIX = "tuner-workspace"
# With the number of a process: Linux has none above 4194304 (proc(5), pid_max).
_NAME = re.compile(rf"{_PREFIX}-([1-9][0-9]{{0,6}})-.*")


@contextmanager
def opened() -> Iterator[Path]:
    """A new one, which is gone afterwards; so are those of tuners that were killed."""
    remove_abandoned()
    prefix = f"{_PREFIX}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as made:
        yield Path(made)


def remove_abandoned() -> tuple[Path, ...]:
    """Remove those whose process is no more; the folders removed."""
    removed = []
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-*-*"):
        owner = _NAME.fullmatch(left.name)
        if owner and left.is_dir() and not psutil.pid_exists(int(owner[1])):
            shutil.rmtree(left, ignore_errors=True)
            removed.append(left)
    return tuple(path for path in removed if not path.exists())

"""The folders in which studies stage their models; each belongs to the process that made it."""

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)

REMOVE_IT = "remove it as its owner, or as root"
_PREFIX = "tuner-workspace"
# With the number of a process: Linux has none above 4194304 (proc(5), pid_max).
_NAME = re.compile(rf"{_PREFIX}-([1-9][0-9]{{0,6}})-.*")


@contextmanager
def opened() -> Iterator[Path]:
    """A new one, which is gone afterwards; so are those of tuners that were killed."""
    remove_abandoned()
    made = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-{os.getpid()}-"))
    try:
        yield made
    finally:
        if not _removed(made):
            logger.warning("%s could not be removed: %s", made, REMOVE_IT)


def remove_abandoned() -> tuple[Path, ...]:
    """Remove those whose process is no more; the folders removed."""
    return tuple(left for left in abandoned() if _removed(left))


def abandoned() -> tuple[Path, ...]:
    """Those that are there though their process is no more."""
    found = sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}-*-*"))
    owners = [_NAME.fullmatch(each.name) for each in found]
    return tuple(
        each
        for each, owner in zip(found, owners, strict=True)
        if owner and each.is_dir() and not psutil.pid_exists(int(owner[1]))
    )


def _removed(folder: Path) -> bool:
    """Remove it, also where a server or a model left folders that nobody may write to."""
    for name, _, _ in os.walk(folder):
        with suppress(OSError):  # somebody else's: what cannot be removed is told of
            Path(name).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()

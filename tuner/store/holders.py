"""Which processes have a database open: those that may be why it is locked."""

import os
from collections.abc import Iterator
from pathlib import Path

_PROCESSES = Path("/proc")
# What SQLite keeps beside a database.
_BESIDE = ("", "-wal", "-shm", "-journal")


def holders(path: str) -> str:
    """The other processes of this machine that have it open, in words; empty if none is seen.

    Those of other users, and those on other machines, cannot be seen.
    """
    files = {os.path.realpath(path) + each for each in _BESIDE}
    found = [
        f"{_name(process)} (process {process.name})"
        for process in sorted(_others(), key=lambda each: int(each.name))
        if files.intersection(_open_files(process))
    ]
    return " and ".join(found)


def _others() -> Iterator[Path]:
    own = str(os.getpid())
    for process in _PROCESSES.glob("[0-9]*"):
        if process.name != own:
            yield process


def _open_files(process: Path) -> Iterator[str]:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:  # somebody else's, or it has ended
        return
    for each in descriptors:
        try:
            yield str(each.readlink())
        except OSError:
            continue


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip() or "a process"
    except OSError:
        return "a process"

"""How SQLite keeps changes until they are in the file: a write-ahead log, or a rollback journal.

While a search writes, a log is better: whoever reads or copies the database (by SQLite's means)
is in nobody's way, and a commit waits for the disk once. Its end puts all into the one file again
that people copy, mail, and read from folders in which they may not write. See
https://www.sqlite.org/wal.html.
"""

import os
import sqlite3
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
# The byte of a database's head that says how it is kept (https://www.sqlite.org/fileformat.html),
_HEAD = 20
# and what it is of one with a log.
_WITH_LOG = b"\x02"
# Where several machines may have the file open, and a log would not be shared by them.
_SHARED = ("9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "smb")
_SHARED_FUSE = ("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs")


def write_ahead(connection: sqlite3.Connection, path: str) -> None:
    """Keep a write-ahead log, if the file system can and nobody is in the way just now.

    Raises:
        sqlite3.Error: It stays as it was.
    """
    if not is_shared(Path(path.removeprefix("file:"))):
        _ask(connection, "WAL")


def single_file(connection: sqlite3.Connection, _path: str) -> None:
    """Put all into the file, and keep a rollback journal; the last one that has it open can.

    Raises:
        sqlite3.Error: It stays as it was.
    """
    _ask(connection, "DELETE")


def lacks_log(path: str) -> bool:
    """Whether the file at `path` is to have a log beside it, and has none, and cannot get one.

    To read it where nothing can be written, SQLite has to be told that nobody writes.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            has_log = opened.read(_HEAD)[-1:] == _WITH_LOG
        return has_log and not (Path(f"{path}-wal").exists() or os.access(file.parent, os.W_OK))
    except OSError:
        return False  # SQLite will say what is wrong with it


def is_shared(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether the file is on a file system of a network."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
        folders = {str(each) for each in (path.resolve(), *path.resolve().parents)}
    except OSError:
        return False
    found = "", ""
    for line in lines:
        _, folder, kind, *_ = line.split(" ")
        folder = folder.encode().decode("unicode_escape")
        if folder in folders and len(folder) >= len(found[0]):
            found = folder, kind
    return found[1].startswith(_SHARED) or found[1].startswith(_SHARED_FUSE)


def _ask(connection: sqlite3.Connection, kind: str) -> None:
    # Nobody is waited for here: both are a matter of speed.
    sqlite3.Cursor(connection).execute(f"PRAGMA journal_mode = {kind}").fetchall()

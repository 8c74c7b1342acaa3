"""How SQLite keeps changes until they are in the file: a write-ahead log, or a rollback journal.

While a search writes, a log is better: whoever reads or copies the database (by SQLite's means)
is in nobody's way, and a commit waits for the disk once. Its end puts all into the one file again
that people copy, mail, and read from folders in which they may not write. See
https://www.sqlite.org/wal.html.
"""

import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from tuner.store.waiting import has_kind

_MOUNTS = Path("/proc/self/mounts")
# A space in the name of a folder, and the like, as it stands there.
_ESCAPED = re.compile(r"\\([0-7]{3})")
# The byte of a database's head that says how it is kept (https://www.sqlite.org/fileformat.html),
_HEAD = 20
# and what it is of one with a log.
_WITH_LOG = b"\x02"
# Where several machines may have the file open, and a log would not be shared by them.
_SHARED = ("9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "smb")
_SHARED_FUSE = ("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs")


def write_ahead(path: str) -> None:
    """Keep a write-ahead log, if the file system can and nobody is in the way just now."""
    if is_shared(Path(path)):
        return
    with suppress(sqlite3.Error):
        if not _logs(path):
            # Alone, it needs no memory in common with others.
            _keep(path, "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = DELETE")


def single_file(path: str) -> None:
    """Put all into the file, and keep a rollback journal; the last one that has it open can."""
    with suppress(sqlite3.Error):
        _keep(path, "PRAGMA journal_mode = DELETE")


def copy(path: str, target: Path) -> bool:
    """All of the database as it is at one moment, as a new file; whoever writes goes on.

    Whether there was no such file yet: one that is there stays as it is.

    Raises:
        sqlite3.Error: The one cannot be read, or the other not be written.
        OSError: There is no room for its name.
    """
    unfinished = target.with_name(f"{target.name}.unfinished-{os.getpid()}")
    source = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)
    try:
        with closing(source), closing(sqlite3.connect(unfinished)) as made:
            source.backup(made)
            made.execute("PRAGMA journal_mode = DELETE").fetchall()
        with suppress(FileExistsError):
            target.hardlink_to(unfinished)
            return True
        return False
    finally:
        unfinished.unlink(missing_ok=True)


def lacks_log(path: str) -> bool:
    """Whether the file at `path` is to have a log beside it, and has none, and cannot get one.

    To read it where nothing can be written, SQLite has to be told that nobody writes.
    """
    file = Path(path)
    try:
        # In that order: closing the file would end what this process has locked in it.
        if os.access(file.parent, os.W_OK) or Path(f"{path}-wal").exists():
            return False
        with file.open("rb") as opened:
            return opened.read(_HEAD)[-1:] == _WITH_LOG
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
        folder = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), folder)
        if folder in folders and len(folder) >= len(found[0]):
            found = folder, kind
    return found[1].startswith(_SHARED) or found[1].startswith(_SHARED_FUSE)


def _logs(path: str) -> bool:
    """Begin a log; whether it can be written, which SQLite finds out only then.

    Raises:
        sqlite3.Error: It stays as it was.
    """
    _keep(path, "PRAGMA journal_mode = WAL")
    try:
        _keep(path, "BEGIN IMMEDIATE", "ROLLBACK")
    except sqlite3.Error as error:
        return has_kind(error, sqlite3.SQLITE_BUSY)
    return True


def _keep(path: str, *statements: str) -> None:
    # Nobody is waited for: all of this is a matter of speed. No file is made of one that has gone.
    uri = f"file:{quote(path)}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0.0)
    with closing(connection):
        for each in statements:
            connection.execute(each).fetchall()

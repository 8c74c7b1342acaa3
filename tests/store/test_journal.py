"""How a database is kept: a log while a search writes, one ordinary file before and after."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.report import studies
from tests.store.holding import held
from tests.store.test_storage import stored
from tuner.errors import StorageError
from tuner.store.journal import is_shared
from tuner.store.storage import Storage

MOUNTS = """/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/scratch xfs rw 0 0
somebody@host: /mnt/a\\040b fuse.sshfs rw 0 0
server:/daten /mnt/größe nfs rw 0 0
proc /proc proc rw 0 0
"""
STUDY = studies.study()


def mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def beside(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()}


def test_a_log_while_a_search_has_it_open(path: Path) -> None:
    """Afterwards all is in one file again, which anything can copy and read."""
    with Storage(str(path), create=True) as storage:
        storage.create_study(STUDY)
        assert mode(path) == "wal"
        assert beside(path) == {"studies.db", "studies.db-wal", "studies.db-shm"}

    assert mode(path) == "delete"
    assert beside(path) == {"studies.db"}


def test_whoever_only_reads_changes_nothing(path: Path) -> None:
    """A report leaves the file as it is, byte for byte."""
    stored(path, STUDY)
    before = path.read_bytes()

    with Storage(str(path)) as storage:
        assert storage.study(None).name == STUDY.name
        assert mode(path) == "delete"

    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["read", "immediate"])
def test_a_log_that_cannot_be_had_is_done_without(path: Path, kind: str) -> None:
    """Somebody who holds it as the search begins is in the way of the log, and of nothing else."""
    stored(path, STUDY)
    with held(path, kind), Storage(str(path), create=True) as storage:
        assert mode(path) == "delete"
        assert storage.study(None).name == STUDY.name


def test_the_last_one_to_leave_puts_it_in_order(path: Path) -> None:
    """Two searches: the log stays for the second when the first has ended."""
    with Storage(str(path), create=True) as second:
        second.create_study(STUDY)
        with Storage(str(path), create=True) as first:
            first.save_stopped(STUDY.name, "why")
        assert mode(path) == "wal"
        assert second.study(None).stopped == "why"

    assert beside(path) == {"studies.db"}


def test_what_a_killed_search_left_is_read(path: Path) -> None:
    """Its log still has the last trials: whoever comes next reads them from there."""
    program = (
        "import os, sys; from tests.report import studies; "
        "from tuner.store.storage import Storage\n"
        "with Storage(sys.argv[1], create=True) as storage:\n"
        "    storage.create_study(studies.study())\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert beside(path) == {"studies.db", "studies.db-wal", "studies.db-shm"}

    with Storage(str(path)) as storage:
        assert storage.study(None).name == STUDY.name
    with Storage(str(path), create=True):
        pass
    assert beside(path) == {"studies.db"}
    assert mode(path) == "delete"


def test_a_copy_made_during_a_search_by_sqlite_is_whole(path: Path) -> None:
    """`.backup` takes what is in the log as well."""
    with Storage(str(path), create=True) as storage:
        storage.create_study(STUDY)
        with held(path, "backup"):
            pass
        shutil.move(f"{path}.copy", path.with_name("copy.db"))
    with Storage(str(path.with_name("copy.db"))) as copy:
        assert copy.study(None).name == STUDY.name


def test_no_log_on_a_network(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other machines may have it open, too, a rollback journal is what SQLite advises."""
    monkeypatch.setattr("tuner.store.journal.is_shared", lambda _: True)
    with Storage(str(path), create=True) as storage:
        storage.create_study(STUDY)
        assert mode(path) == "delete"


def test_where_memory_cannot_be_shared_no_log_is_kept(path: Path) -> None:
    """SQLite finds that out when it is too late: the log is taken away again, and all goes on."""
    shared = path.with_name("studies.db-shm")
    shared.mkdir()
    with Storage(str(path), create=True) as storage:
        storage.create_study(STUDY)
        assert mode(path) == "delete"
        assert storage.study(None).name == STUDY.name
    shared.rmdir()

    assert beside(path) == {"studies.db"}


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        ("/home/me/studies.db", True),
        ("/home/scratch/studies.db", False),
        ("/homes/studies.db", False),
        ("/mnt/a b/studies.db", True),
        ("/mnt/größe/studies.db", True),
        ("/mnt/studies.db", False),
    ],
)
def test_file_systems_of_a_network(tmp_path: Path, path: str, *, shared: bool) -> None:
    """The nearest mount decides."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)

    assert is_shared(Path(path), mounts) is shared


def test_a_system_that_does_not_tell_its_mounts(tmp_path: Path) -> None:
    """What is not known to be on a network is taken for local."""
    assert not is_shared(tmp_path / "studies.db", tmp_path / "none")


def test_each_commit_waits_for_the_disk(path: Path) -> None:
    """What was said to be stored survives a loss of power."""
    with Storage(str(path), create=True) as storage:
        asked = storage.write(lambda c: c.exec_driver_sql("PRAGMA synchronous").scalar_one())
    assert asked == 2


def test_a_log_is_not_needed_to_read_where_nothing_may_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would make the files of a log: a copy on a read-only disk is read without them."""
    stored(path, STUDY)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    folder = path.with_name("a folder #1")
    folder.mkdir()
    copy = Path(shutil.copyfile(path, folder / "100%.db"))
    monkeypatch.setattr("tuner.store.journal.os.access", lambda folder, _: folder == path.parent)

    with Storage(str(copy)) as storage:
        assert storage.study(None).name == STUDY.name
        assert beside(copy) == {"100%.db"}


def test_it_gives_up_with_words_where_writing_is_forbidden(path: Path) -> None:
    """A read-only database is no reason for a log, nor for a fault of its own."""
    stored(path, STUDY)
    before = path.read_bytes()
    location = f"sqlite:///file:{path}?mode=ro&uri=true"

    with Storage(location, create=True) as storage, pytest.raises(StorageError, match="read-only"):
        storage.save_stopped(STUDY.name, "why")
    assert path.read_bytes() == before

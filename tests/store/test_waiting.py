"""A database that others hold: whoever writes or reads it waits, and goes on where it can."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.report import studies
from tests.spaces import integer, space
from tests.store.holding import held, pausing
from tests.store.test_migrations import BEFORE
from tests.store.test_storage import stored
from tuner.errors import StorageError
from tuner.load.calibration import Calibration
from tuner.load.requests import Tensor
from tuner.records import Golden
from tuner.store.database import known_revisions
from tuner.store.events import events
from tuner.store.jobs import job_of
from tuner.store.storage import Storage
from tuner.store.waiting import Patience, locked

SPACE = space(integer(high=9))
STUDY = studies.study()
OUTPUTS = (Tensor("y", "FP32", (1,), bytes(4)),)


@pytest.fixture
def rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    """No write-ahead log is to be had: readers are in the way of those who write, too."""
    monkeypatch.setattr("tuner.store.journal.is_shared", lambda _: True)


def mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


WRITES: dict[str, Callable[[Storage], object]] = {
    "a study": lambda storage: storage.create_study(studies.study(name="another")),
    "a trial": lambda storage: storage.save_trial(STUDY.name, studies.baseline()),
    "outputs": lambda storage: storage.save_golden(STUDY.name, Golden(OUTPUTS)),
    "the end": lambda storage: storage.save_stopped(STUDY.name, "all was tried"),
    "a space": lambda storage: storage.save_space(STUDY.name, SPACE),
    "a calibration": lambda storage: storage.save_calibration("host", 1, Calibration(1.0, 0.1)),
}


@pytest.mark.parametrize("kind", ["exclusive", "immediate"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_write_waits(
    path: Path, write: Callable[[Storage], object], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever locks the database is waited for, and then it is written, once."""
    stored(path, STUDY)
    with Storage(str(path), create=True) as storage, held(path, kind) as holder:
        pauses = pausing(monkeypatch, holder.let_go)

        write(storage)

        assert len(pauses.seconds) >= 3
        assert not holder.holds
    with closing(sqlite3.connect(path)) as connection:
        changes = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("tuner_studies", "tuner_trials", "tuner_calibrations")
        ]
        updated = connection.execute("SELECT golden, stopped, space FROM tuner_studies").fetchone()
    unchanged = ([1, 0, 0], (None, "", None))
    assert (changes, updated) != unchanged
    assert max(changes) <= 2


@pytest.mark.usefixtures("rollback")
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_without_a_log_a_reader_is_waited_for(
    path: Path, write: Callable[[Storage], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long query holds up the commit of everything that is written; then it is done."""
    stored(path, STUDY)
    with Storage(str(path), create=True) as storage, held(path, "read") as holder:
        pauses = pausing(monkeypatch, holder.let_go)

        write(storage)

        assert len(pauses.seconds) >= 3
    assert mode(path) == "delete"


@pytest.mark.parametrize("kind", ["read", "backup"])
def test_with_a_log_readers_and_backups_are_in_nobodys_way(
    path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for them, and the copy is a whole database."""
    stored(path, STUDY)
    with Storage(str(path), create=True) as storage:
        with held(path, kind) as holder:
            pauses = pausing(monkeypatch, holder.let_go)
            for write in WRITES.values():
                write(storage)
            assert holder.holds
            assert pauses.seconds == []
        assert len(storage.study(STUDY.name).trials) == 1
    if kind == "backup":
        with Storage(f"{path}.copy") as copy:
            assert {study.name for study in copy.studies()} == {STUDY.name, "another"}


@pytest.mark.parametrize("begin", ["new", "old"])
def test_making_and_migrating_wait(
    path: Path, begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are made, or brought up to date, when whoever had the file open lets it go."""
    if begin == "old":
        shutil.copyfile(BEFORE, path)
    with held(path, "exclusive") as holder:
        pauses = pausing(monkeypatch, holder.let_go)
        with Storage(str(path), create=True):
            assert len(pauses.seconds) >= 3
    with closing(sqlite3.connect(path)) as connection:
        [(version,)] = connection.execute("SELECT version_num FROM tuner_migrations").fetchall()
    assert version == known_revisions()[-1]


READS: dict[str, Callable[[Storage], object]] = {
    "a study": lambda storage: storage.study(None).name,
    "the list": lambda storage: [study.name for study in storage.studies()],
    "outputs": lambda storage: storage.golden(STUDY.name),
    "a calibration": lambda storage: storage.calibration("host", 1),
    "a job": lambda storage: job_of(storage, STUDY.name),
    "events": lambda storage: events(storage, STUDY.name),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_waits(
    path: Path, read: Callable[[Storage], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands that only read wait for an exclusive lock as well, from the very start."""
    stored(path, STUDY)
    with Storage(str(path)) as storage:
        before = read(storage)
    with held(path, "exclusive") as holder:
        pauses = pausing(monkeypatch, holder.let_go)
        with Storage(str(path)) as storage:
            assert read(storage) == before
        assert len(pauses.seconds) >= 3


def test_a_report_is_read_while_a_search_writes(path: Path) -> None:
    """With the log of a search, its readers see what is stored, however long somebody writes."""
    stored(path, STUDY)
    with (
        Storage(str(path), create=True),
        held(path, "immediate"),
        Storage(str(path), busy_s=0.0) as reader,
    ):
        assert reader.study(None).name == STUDY.name


def test_pauses_grow_up_to_half_a_second() -> None:
    """Whoever waits long asks seldom."""
    patience = Patience(busy_s=60.0)
    asked = iter(range(12))
    pauses: list[float] = []

    def action() -> str:
        if next(asked) < 10:
            raise sqlite3.OperationalError
        return "done"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuner.store.waiting.sleep", pauses.append)
        assert patience.attempt(action, lambda _: lambda: locked("nothing")) == "done"
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.5, 0.5]


def test_a_search_is_told_who_holds_the_database_and_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute it says who, once; it waits on, and says when the trial is written."""
    stored(path, STUDY)
    said: list[str] = []
    now_s = 0.0
    with (
        Storage(str(path), create=True, say=said.append) as storage,
        held(path, "immediate") as holder,
    ):

        def pause(seconds: float) -> None:
            nonlocal now_s
            now_s += seconds
            if now_s < 59.0:
                assert said == []
            if now_s > 300.0:
                holder.let_go()

        monkeypatch.setattr("tuner.store.waiting.sleep", pause)
        monkeypatch.setattr("tuner.store.waiting.monotonic", lambda: now_s)
        storage.save_trial(STUDY.name, studies.baseline())
        assert len(storage.study(None).trials) == 1

    waiting, again = said
    assert waiting.startswith(
        f"{path}: is locked by another process; what was measured is kept in memory until it can "
        f"be written\nhint: it is open in "
    )
    assert waiting.endswith(
        f" (process {holder.pid}): wait for that, or end it; or name another with `--db`"
    )
    assert again == "the database is written again, and nothing is lost"


def test_giving_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that nobody is told of gives up after a minute; a search after ten."""
    stored(path, STUDY)
    for say, limit_s in ((None, 60.0), (lambda _: None, 600.0)):
        now_s = [0.0]
        with Storage(str(path), create=True, say=say) as storage, held(path, "immediate"):
            monkeypatch.setattr(
                "tuner.store.waiting.sleep",
                lambda seconds, now_s=now_s: now_s.__setitem__(0, now_s[0] + seconds),
            )
            monkeypatch.setattr("tuner.store.waiting.monotonic", lambda now_s=now_s: now_s[0])
            with pytest.raises(StorageError, match="is locked by another process"):
                storage.save_trial(STUDY.name, studies.baseline())
            assert limit_s <= now_s[0] <= limit_s + 1.0
            assert storage.study(None).trials == ()


def test_ctrl_c_is_heard_while_it_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt ends the waiting between two attempts."""

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    stored(path, STUDY)
    with Storage(str(path), create=True) as storage, held(path, "immediate"):
        monkeypatch.setattr("tuner.store.waiting.sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            storage.save_trial(STUDY.name, studies.baseline())


def test_a_full_disk_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial is kept, and written whole, once there is room again."""
    stored(path, STUDY)
    with Storage(str(path), create=True) as storage:
        storage.save_stopped(STUDY.name, "")
        pages = storage.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
        storage.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar())

        def room() -> None:
            storage.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 99999").scalar())

        pauses = pausing(monkeypatch, room)
        trial = studies.trial(0, 100.0, log_tail="x" * 50_000)
        storage.save_trial(STUDY.name, trial)

        assert len(pauses.seconds) == 3
        assert storage.study(None).trials == (trial,)


def test_a_disk_that_stays_full(path: Path) -> None:
    """It is said with what to do, and nothing is half written."""
    stored(path, STUDY)
    with Storage(str(path), create=True, busy_s=0.0) as storage:
        pages = storage.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
        storage.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar())
        with pytest.raises(StorageError) as caught:
            storage.save_trial(STUDY.name, studies.trial(0, 1.0, log_tail="x" * 50_000))
        assert storage.study(None).trials == ()

    assert caught.value.message == f"{path}: cannot grow: the disk is full"
    assert caught.value.hint == "make room, then continue the study"

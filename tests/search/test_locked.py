"""Optuna's tables in a database that others hold: the search waits, and nothing is lost."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import optuna  # noqa: TID251 - looks into the tables that its door wrote
import pytest
from sqlalchemy import event  # noqa: TID251 - fills its disk

from tests.analysis.known import known
from tests.report import studies
from tests.search.test_search import crashed, optunas, record, search, throughput
from tests.spaces import integer, space
from tests.store.holding import held, pausing
from tests.store.test_storage import stored
from tuner.errors import Reason, StorageError
from tuner.records import TrialState
from tuner.search.search import Proposal, Search
from tuner.store.storage import Storage
from tuner.store.waiting import Patience

SPACE = space(integer(high=9))
COMPLETE, FAIL = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL


@pytest.fixture
def path(url: str) -> Path:
    """A database with a study of ours, which the search joins."""
    path = Path(url.removeprefix("sqlite:///"))
    stored(path, studies.study())
    return path


@pytest.fixture
def waits(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Callable[[], object]], None]:
    """Does something while another process holds the database, which must wait for it."""

    def waits(kind: str, action: Callable[[], object]) -> None:
        with held(path, kind) as holder:
            pauses = pausing(monkeypatch, holder.let_go)
            action()
            assert len(pauses.seconds) >= 3

    return waits


@pytest.mark.parametrize("kind", ["exclusive", "immediate"])
def test_every_write_waits(
    url: str, kind: str, waits: Callable[[str, Callable[[], object]], None]
) -> None:
    """The tables themselves, proposals, what came of them, a failure, and going on."""
    made: list[Search] = []
    asked: list[Proposal] = []
    waits(kind, lambda: made.append(search(SPACE, url)))
    for _ in range(4):
        waits(kind, lambda: asked.append(known(made[0].ask())))
    good = record(asked[0], **throughput(70.0))
    bad = record(asked[1], **crashed())
    spoiled = record(asked[2], state=TrialState.FAILED, reason=Reason.CLIENT_OVERLOADED)
    for told in (good, bad, spoiled):
        waits(kind, lambda told=told: made[0].tell(told.number, told))  # type: ignore[misc]
    again = search(SPACE, url)
    waits(kind, lambda: again.resume({0: good, 1: bad, 2: spoiled}))

    assert [t.state for t in optunas(url)] == [COMPLETE, COMPLETE, FAIL, FAIL]
    assert [t.value for t in optunas(url)][:1] == [70.0]
    assert optunas(url)[1].constraints["crash"] == 1.0
    assert known(again.ask()).configuration == asked[3].configuration


def test_without_a_log_readers_are_waited_for(
    url: str,
    waits: Callable[[str, Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commit of a proposal, and of what came of it, waits for the end of a query."""
    monkeypatch.setattr("tuner.store.journal.is_shared", lambda _: True)
    searched = search(SPACE, url)
    asked: list[Proposal] = []
    waits("read", lambda: asked.append(known(searched.ask())))
    waits("read", lambda: searched.tell(0, record(asked[0], **throughput(70.0))))

    assert [(t.state, t.value) for t in optunas(url)] == [(COMPLETE, 70.0)]


@pytest.mark.parametrize("kind", ["read", "backup"])
def test_with_a_log_they_are_not(
    url: str, path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a search has the database open, queries and backups are in nobody's way."""
    with Storage(str(path), create=True):
        searched = search(SPACE, url)
        with held(path, kind) as holder:
            pauses = pausing(monkeypatch, holder.let_go)
            proposal = known(searched.ask())
            searched.tell(proposal.number, record(proposal, **throughput(70.0)))
            assert pauses.seconds == []

    assert [(t.state, t.value) for t in optunas(url)] == [(COMPLETE, 70.0)]


def test_giving_up_is_said_once(url: str, path: Path) -> None:
    """Optuna's own attempts do not multiply the waiting; what others hold is said as it is."""
    searched = search(SPACE, url, patience=Patience(busy_s=0.0))
    with held(path, "immediate"), pytest.raises(StorageError) as caught:
        searched.ask()

    assert caught.value.message == f"{path}: is locked by another process"


def test_a_full_disk_is_waited_for(url: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came of a trial is written once there is room: here its row takes a lot of it."""
    searched = search(SPACE, url)
    proposal = known(searched.ask())
    with closing(sqlite3.connect(path)) as connection:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.executescript(
            "CREATE TABLE ballast (content BLOB);"
            "CREATE TRIGGER grows AFTER UPDATE ON trials "
            "BEGIN INSERT INTO ballast VALUES (zeroblob(1000000)); END;"
        )
    limits = [pages + 10]

    def limit(connection: sqlite3.Connection, _: object) -> None:
        for each in limits:
            connection.execute(f"PRAGMA max_page_count = {each}")

    assert searched._tables is not None
    engine = searched._tables._storage.engine
    event.listen(engine, "connect", limit)
    searched.close()

    def room() -> None:
        limits.clear()
        engine.dispose()

    pauses = pausing(monkeypatch, room)

    searched.tell(proposal.number, record(proposal, **throughput(70.0)))

    assert len(pauses.seconds) == 3
    assert [(t.state, t.value) for t in optunas(url)] == [(COMPLETE, 70.0)]


@pytest.fixture
def others(url: str) -> Iterator[list[Search]]:
    """Another search makes the tables when the first has just seen that there are none."""
    metadata = optuna.storages._rdb.models.BaseModel.metadata
    made: list[Search] = []
    begun: list[bool] = []

    def other(*_: object, **__: object) -> None:
        if not begun:
            begun.append(True)
            made.append(search(SPACE, url))

    event.listen(metadata, "before_create", other)
    yield made
    event.remove(metadata, "before_create", other)


def test_two_searches_that_begin_at_once(url: str, others: list[Search]) -> None:
    """Both find no tables of Optuna's; the one that comes second takes those of the first."""
    first = known(search(SPACE, url).ask())
    second = known(others[0].ask())

    assert {first.number, second.number} == {0, 1}


@pytest.mark.usefixtures("others")
def test_tables_that_never_get_ready(url: str) -> None:
    """A command that finds others at it for too long says what to do."""
    with pytest.raises(StorageError) as caught:
        search(SPACE, url, patience=Patience(busy_s=0.0))

    assert caught.value.message.endswith(": another process makes the tables of the search")
    assert caught.value.hint == "give the command again"

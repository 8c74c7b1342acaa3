"""Jobs that wait: in which order, who may change them, and what is kept of their changes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.report import studies
from tests.store.test_storage import stored
from tuner.errors import InputError
from tuner.store import queue
from tuner.store.queue import (
    ACTIVE,
    QueuedJob,
    QueueState,
    Submission,
    bring,
    how_many,
    job_called,
    queue_changes,
    queued_job,
    queued_jobs,
    set_columns,
    submit,
)
from tuner.store.storage import Storage


@pytest.fixture
def storage(place: str) -> Iterator[Storage]:
    with Storage(place, create=True) as opened:
        yield opened


def add(storage: Storage, study: str, **wishes: Any) -> QueuedJob:
    wanted: dict[str, Any] = {"machine": "here", "options": {"trials": 3}, "by": "ann", "log": ""}
    job, is_new = submit(storage, Submission(study=study, **(wanted | wishes)))
    assert is_new
    return job


def order(storage: Storage, **wishes: Any) -> list[str]:
    return [job.study for job in queued_jobs(storage, **wishes)]


def test_they_wait_in_their_order(storage: Storage) -> None:
    """Of all states: those that run, the queue, and those that ended, the last one first."""
    jobs = {name: add(storage, name) for name in "abcdef"}
    for name, state in (("e", "running"), ("a", "done"), ("c", "cancelled")):
        bring(storage, jobs[name].id, QueueState(state), expected=[QueueState.QUEUED])

    assert order(storage) == ["e", "b", "d", "f", "c", "a"]
    assert order(storage, limit=2, offset=1) == ["b", "d"]
    assert order(storage, states=ACTIVE) == ["e"]
    assert order(storage, states=()) == []


def test_they_are_counted(storage: Storage) -> None:
    """All, those of somebody, those of a machine; for a page, however many it shows."""
    add(storage, "a")
    add(storage, "b", by="bob")
    add(storage, "c", machine="there")

    assert how_many(storage) == 3
    assert how_many(storage, by="bob") == len(queued_jobs(storage, by="bob")) == 1
    assert how_many(storage, machine="there") == 1
    assert how_many(storage, states=[QueueState.DONE]) == 0
    assert queue.count(storage)[QueueState.QUEUED] == 3
    assert queue.count(storage)[QueueState.DONE] == 0


def test_they_are_called_by_number_or_study(storage: Storage) -> None:
    """Whatever is asked for; studies of the command line are no jobs."""
    job = add(storage, "a")

    assert job_called(storage, str(job.id)) == job_called(storage, "a") == job
    for other in ("2", "99999999999999999999", "²", "-1", "b", "", "1.0"):
        assert job_called(storage, other) is None


def test_studies_of_the_command_line_are_not_among_them(place: str) -> None:
    """Their names are taken, though."""
    with Storage(stored(place, studies.study(name="night"))) as storage:
        assert queued_jobs(storage) == ()
        with pytest.raises(InputError) as caught:
            add(storage, "night")
        add(storage, "day")
        with pytest.raises(InputError, match="`day` in the queue already"):
            add(storage, "day")

    assert caught.value.message == "there is a study `night` in the database already"
    assert caught.value.hint == "choose another name, or leave it out"


def test_a_request_is_repeated(storage: Storage) -> None:
    """With its key it is the same job, and another request is refused."""
    wanted = Submission(
        study="a", machine="", options={}, by="", log="", idempotency_key="k", request="1"
    )
    first, again = submit(storage, wanted), submit(storage, wanted)
    with pytest.raises(InputError) as caught:
        submit(storage, Submission(**{**vars(wanted), "study": "b", "request": "2"}))

    assert (first[1], again[1]) == (True, False)
    assert first[0] == again[0]
    assert caught.value.message == "the idempotency key `k` was used for another request"
    assert caught.value.hint == "use a new key for each job"


def test_the_same_request_comes_at_once(storage: Storage) -> None:
    """From several threads: one job, which all of them get."""
    wanted = Submission(
        study="a", machine="", options={}, by="", log="", idempotency_key="k", request="1"
    )
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: submit(storage, wanted), range(4)))

    assert sorted(is_new for _, is_new in found) == [False, False, False, True]
    assert {job.id for job, _ in found} == {found[0][0].id}


def test_a_change_is_made_once(storage: Storage) -> None:
    """Only from a state that was expected; each is kept with who made it and why."""
    job = add(storage, "a")
    begun = bring(storage, job.id, QueueState.RUNNING, expected=[QueueState.QUEUED], process="p")
    late = bring(storage, job.id, QueueState.CANCELLED, expected=[QueueState.QUEUED], by="bob")
    ended = bring(storage, job.id, QueueState.FAILED, expected=ACTIVE, why="no model", by="bob")
    kept = queue_changes(storage, job=job.id)

    assert begun is not None
    assert ended is not None
    assert (begun.state, begun.process, begun.ended_at) == (QueueState.RUNNING, "p", None)
    assert late is None
    assert (ended.why, ended.began_at) == ("no model", begun.began_at)
    assert ended.ended_at is not None
    assert [(each.state.value, each.by, each.why) for each in kept] == [
        ("queued", "ann", ""),
        ("running", "", ""),
        ("failed", "bob", "no model"),
    ]
    assert queue_changes(storage, after=kept[1].id) == (kept[2],)
    assert bring(storage, 77, QueueState.DONE, expected=tuple(QueueState)) is None


def test_what_is_no_change_is_not_among_them(storage: Storage) -> None:
    """Such as the process of a job."""
    job = add(storage, "a")
    set_columns(storage, job.id, process="p", attempts=2)
    found = queued_job(storage, job.id)

    assert found is not None
    assert (found.process, found.attempts) == ("p", 2)
    assert len(queue_changes(storage, job=job.id)) == 1


@pytest.mark.parametrize(
    ("place_in_queue", "after"),
    [(0, "cabd"), (1, "acbd"), (2, "abcd"), (99, "abdc"), (-1, "cabd")],
)
def test_a_job_is_moved(storage: Storage, place_in_queue: int, after: str) -> None:
    """Among those that wait for its machine; the others keep their places."""
    add(storage, "elsewhere", machine="there")
    jobs = {name: add(storage, name) for name in "abcd"}
    moved = queue.move(storage, jobs["c"].id, place_in_queue)
    add(storage, "last")

    assert moved is not None
    assert order(storage, machine="here") == [*after, "last"]
    assert order(storage, machine="there") == ["elsewhere"]


def test_what_does_not_wait_is_not_moved(storage: Storage) -> None:
    """Nor is what is not there."""
    job = add(storage, "a")
    bring(storage, job.id, QueueState.RUNNING, expected=[QueueState.QUEUED])

    assert queue.move(storage, job.id, 0) is None
    assert queue.move(storage, 77, 0) is None

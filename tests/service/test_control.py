"""What is asked of a job, and why it is refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.report import studies
from tests.service.queued import asked, now, states
from tuner.errors import TunerError
from tuner.service.jobs import control
from tuner.service.jobs.states import NEXT, brought
from tuner.service.service import Service
from tuner.store import queue
from tuner.store.jobs import Wanted, job_of
from tuner.store.ownership import held
from tuner.store.queue import QueuedJob, QueueState, queue_changes

Asks = Callable[[Service, int], QueuedJob]
ASKED: dict[str, Asks] = {
    "pause": lambda service, number: control.pause(service, number, by="bob"),
    "continue": lambda service, number: control.go_on(service, number, by="bob"),
    "stop": lambda service, number: control.stop(service, number, now=False, by="bob"),
    "cancel": lambda service, number: control.cancel(service, number, by="bob"),
    "move": lambda service, number: control.move(service, number, 0),
}


def running(service: Service) -> QueuedJob:
    found = brought(service.storage, asked(service, "night"), QueueState.RUNNING)
    assert found is not None
    return found


@contextmanager
def study_runs(service: Service) -> Iterator[None]:
    """By this process."""
    service.storage.create_study(studies.study(name="night"))
    with held(service.storage, "night", limits={}):
        service.storage.guard = None
        yield


def wanted(service: Service) -> Wanted:
    found = job_of(service.storage, "night")
    assert found is not None
    return found.wanted


def test_a_job_is_paused_and_goes_on(service: Service) -> None:
    """Its study is asked for it, and who asked is kept; to ask twice changes nothing."""
    job = running(service)
    with study_runs(service):
        control.pause(service, job.id, by="bob")
        again = control.pause(service, job.id, by="cat")
        assert wanted(service) is Wanted.PAUSE
        control.go_on(service, job.id, by="cat")
        assert wanted(service) is Wanted.NOTHING

    assert again.state is QueueState.PAUSED
    kept = queue_changes(service.storage, job=job.id)[2:]
    assert [(each.state.value, each.by) for each in kept] == [
        ("paused", "bob"),
        ("running", "cat"),
    ]


def test_a_job_is_stopped(service: Service) -> None:
    """With its finals; who cannot wait for them says so afterwards."""
    job = running(service)
    with study_runs(service):
        control.stop(service, job.id, now=False, by="bob")
        assert wanted(service) is Wanted.STOP
        again = control.stop(service, job.id, now=True, by="bob")
        assert wanted(service) is Wanted.STOP_NOW

    assert again.state is QueueState.STOPPING
    assert states(service, job) == ["queued", "running", "stopping"]


def test_a_job_that_waits_is_cancelled(service: Service) -> None:
    """It never begins; the values of its headers are gone."""
    job = asked(service, "night", options={"header": ["X-Key: s3cret"]})
    found = control.cancel(service, job.id, by="bob")

    assert (found.state, found.began_at) == (QueueState.CANCELLED, None)
    assert found.ended_at is not None
    assert list((service.settings.folder / "secrets").iterdir()) == []


def test_a_job_that_runs_is_cancelled(service: Service) -> None:
    """Once; the dispatcher ends it. Also one that was asked to end already."""
    job = running(service)
    control.cancel(service, job.id, by="bob")
    again = control.cancel(service, job.id, by="cat")

    assert (again.state, again.why) == (QueueState.STOPPING, "it was cancelled")
    assert again.cancelled_by == "bob"
    with pytest.raises(TunerError, match="was asked to end: it cannot be stopped"):
        control.stop(service, job.id, now=False, by="bob")  # that would have it do its finals
    other = asked(service, "other")
    brought(service.storage, other, QueueState.RUNNING)
    brought(service.storage, other, QueueState.STOPPING)
    assert control.cancel(service, other.id, by="bob").cancelled_by == "bob"
    assert states(service, other) == ["queued", "running", "stopping"]


def test_it_began_as_it_was_cancelled(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another service: its process is not left alone."""
    job = asked(service, "night")
    bring = queue.bring

    def begins_first(*said: Any, **wishes: Any) -> QueuedJob | None:
        monkeypatch.setattr(queue, "bring", bring)
        brought(service.storage, job, QueueState.RUNNING)
        return bring(*said, **wishes)

    monkeypatch.setattr(queue, "bring", begins_first)
    found = control.cancel(service, job.id, by="bob")
    assert (found.state, found.cancelled_by) == (QueueState.STOPPING, "bob")


WAITS = "job 1 (study `night`) waits for its turn: it cannot "
CANCEL_IT = "cancel it, or move it to another place"
NOT_YET = "job 1: its study `night` does not run yet, or has just ended: it cannot "
AGAIN = "try it again in a few seconds, or cancel it"
DONE = "job 1 (study `night`) is done: it cannot "
NEW = "submit a new one"
REFUSED = [
    ("queued", "pause", WAITS + "be paused", CANCEL_IT),
    ("queued", "continue", WAITS + "go on", CANCEL_IT),
    ("queued", "stop", WAITS + "be stopped", CANCEL_IT),
    ("running", "pause", NOT_YET + "be paused", AGAIN),
    ("running", "continue", "job 1 (study `night`) is not paused", "it is running"),
    ("running", "stop", NOT_YET + "be stopped", AGAIN),
    (
        "stopping",
        "pause",
        "job 1 (study `night`) was asked to end: it cannot be paused",
        "wait for its end",
    ),
    ("stopping", "continue", "job 1 (study `night`) is not paused", "it is stopping"),
    ("done", "pause", DONE + "be paused", NEW),
    ("done", "continue", DONE + "go on", NEW),
    ("done", "stop", DONE + "be stopped", NEW),
    ("done", "cancel", DONE + "be cancelled", NEW),
    (
        "running",
        "move",
        "job 1 (study `night`) is running: it does not wait",
        "only jobs in the queue have a place",
    ),
]
WAY = {
    "queued": (),
    "running": ("running",),
    "paused": ("running", "paused"),
    "stopping": ("running", "stopping"),
    "done": ("running", "done"),
}


@pytest.mark.parametrize(("state", "what", "message", "hint"), REFUSED)
def test_what_is_refused(state: str, what: str, message: str, hint: str, service: Service) -> None:
    """In words that say what can be done instead; nothing changes."""
    job = asked(service, "night")
    for each in WAY[state]:
        brought(service.storage, job, QueueState(each))
    before = now(service, job)
    with pytest.raises(TunerError) as caught:
        ASKED[what](service, job.id)

    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert now(service, job) == before


@pytest.mark.parametrize("what", ASKED)
def test_there_is_no_such_job(what: str, service: Service) -> None:
    """Whatever is asked of it."""
    with pytest.raises(TunerError) as caught:
        ASKED[what](service, 7)
    assert caught.value.message == "there is no job 7"
    assert caught.value.hint == "the list of jobs has their numbers"


def test_a_job_moves_to_the_front(service: Service) -> None:
    """So that it is the next."""
    first, second = asked(service, "first"), asked(service, "second")
    moved = control.move(service, second.id, 0)
    assert moved.position < now(service, first).position


def test_what_is_over_stays_so() -> None:
    """No state leads out of the three last ones, and every other one to each of them."""
    over = {state for state in QueueState if state.is_over}
    assert {state for state, leads_to in NEXT.items() if not leads_to} == over
    for state, leads_to in NEXT.items():
        wanted = over - {QueueState.DONE} if state is QueueState.QUEUED else over
        assert not leads_to or wanted <= set(leads_to)

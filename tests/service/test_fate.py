"""What becomes of a job, by what is known of its study and its process."""

from typing import Any

import pytest

from tests.service.queued import job, record
from tuner.service.jobs.fate import Ending, Fate, at_its_end, while_it_runs
from tuner.store.jobs import ASKED_TO_STOP, INTERRUPTED, JobRecord, JobState, Wanted
from tuner.store.queue import QueueState

RUNNING, PAUSED, STOPPING = QueueState.RUNNING, QueueState.PAUSED, QueueState.STOPPING
DONE, FAILED, CANCELLED = QueueState.DONE, QueueState.FAILED, QueueState.CANCELLED
NOTHING_FEASIBLE = "no configuration meets p99 <= 50 ms\nhint: try `--budget-ms 80`"
KILLED = "its process was killed; it goes on"


@pytest.mark.parametrize(
    ("state", "known", "expected"),
    [
        (RUNNING, None, RUNNING),
        (RUNNING, record(), RUNNING),
        (RUNNING, record(wanted=Wanted.PAUSE), PAUSED),
        (PAUSED, record(state=JobState.PAUSED, wanted=Wanted.PAUSE), PAUSED),
        (RUNNING, record(state=JobState.PAUSED), RUNNING),
        (PAUSED, record(), RUNNING),
        (RUNNING, record(state=JobState.RESTING), RUNNING),
        (RUNNING, record(wanted=Wanted.STOP), STOPPING),
        (PAUSED, record(wanted=Wanted.STOP_NOW), STOPPING),
        (STOPPING, record(), STOPPING),
        (RUNNING, record(state=JobState.ENDED), RUNNING),
    ],
)
def test_while_it_runs(state: QueueState, known: JobRecord | None, expected: QueueState) -> None:
    """What is asked of its study shows; one that is to end does its finals and stays so."""
    assert while_it_runs(job(state=state), known) is expected


def ended(why: str = "") -> JobRecord:
    return record(state=JobState.ENDED, why=why)


def fate(known: JobRecord | None, *, winner: bool = True, **wishes: Any) -> Fate:
    """Of a job of which that is known; `error`, `stopped` and `restarted`, or of the job."""
    about = {"error": "", "stopped": "", "restarted": False}
    said = {name: wishes.pop(name, usual) for name, usual in about.items()}
    return at_its_end(Ending(job=job(**wishes), record=known, **said), lambda: winner)


def test_it_comes_to_its_end() -> None:
    """Also where it was asked to, or no configuration met the latency budget, which is said."""
    assert fate(ended()) == Fate(DONE)
    assert fate(ended(ASKED_TO_STOP)) == Fate(DONE, ASKED_TO_STOP)
    assert fate(ended("spoiled"), stopped="spoiled") == Fate(DONE, "spoiled")
    assert fate(ended(), error=NOTHING_FEASIBLE, winner=False) == Fate(DONE, NOTHING_FEASIBLE)


def test_it_fails() -> None:
    """With what its output ends with, or what its study says; before it began and afterwards."""
    assert fate(None, error="no such model") == Fate(FAILED, "no such model")
    assert fate(ended("no space left")) == Fate(FAILED, "no space left")
    assert fate(ended("it broke"), error="it broke\nhint: mend it") == Fate(
        FAILED, "it broke\nhint: mend it"
    )
    assert fate(ended(), error="the report cannot be written") == Fate(
        FAILED, "the report cannot be written"
    )
    assert fate(record(), error="another one has taken it") == Fate(
        FAILED, "another one has taken it"
    )


@pytest.mark.parametrize("known", [None, record(), ended(INTERRUPTED)])
def test_it_is_killed(known: JobRecord | None) -> None:
    """Once it goes on, and again after each start of the machine; else it has failed."""
    assert fate(known) == Fate(RUNNING, KILLED, again=True)
    assert fate(known, attempts=2, restarted=True) == Fate(
        RUNNING, "its machine was started anew; it goes on", again=True
    )
    assert fate(known, attempts=2) == Fate(
        FAILED,
        "its process was killed 2 times\nhint: look at its log, and at the memory of the machine; "
        "`tuner resume night` goes on with it",
    )


def test_it_is_killed_while_it_ends() -> None:
    """Nobody wants it to go on."""
    found = fate(record(), state=STOPPING)
    assert found == Fate(DONE, "its process was killed while it ended")


@pytest.mark.parametrize("known", [None, record(), ended(ASKED_TO_STOP), ended(INTERRUPTED)])
def test_it_is_cancelled(known: JobRecord | None) -> None:
    """However it ended then."""
    found = fate(known, cancelled_by="bob", state=STOPPING, error="it broke")
    assert found == Fate(CANCELLED, "cancelled by bob")

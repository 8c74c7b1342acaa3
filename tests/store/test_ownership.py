"""Who runs a study: one process at a time, and whoever has lost it writes nothing more."""

import os
import re
import shlex
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.report import studies
from tests.store.owner import owner
from tests.store.raw import execute, rows
from tests.store.test_storage import stored
from tuner.errors import StudyHeldError, StudyLostError, TunerError
from tuner.store import ownership
from tuner.store.events import EventKind, events
from tuner.store.jobs import JobRecord, JobState, Wanted, job_of, jobs, want
from tuner.store.ownership import held
from tuner.store.storage import Storage

STUDY = studies.study(name="night")


@pytest.fixture
def place(place: str) -> str:
    """A database with one study."""
    return stored(place, STUDY)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is what nobody has said for a tenth of a second."""
    monkeypatch.setattr("tuner.store.jobs._SILENT_S", 0.1)
    monkeypatch.setattr(ownership, "_WATCHED_S", 0.3)
    monkeypatch.setattr(ownership, "_WATCH_POLL_S", 0.05)


def job(place: str) -> JobRecord:
    with Storage(place) as storage:
        found = job_of(storage, "night")
    assert found is not None
    return found


def refusal(place: str) -> TunerError:
    """What another tuner that wants to run the study is told."""
    with (
        Storage(place) as storage,
        pytest.raises(StudyHeldError) as caught,
        held(storage, "night", limits={}),
    ):
        pass
    return caught.value


def test_a_study_that_never_ran(place: str) -> None:
    """It has no job, and nobody to ask anything of."""
    with Storage(place) as storage:
        assert job_of(storage, "night") is None
        assert jobs(storage) == {}
        assert want(storage, "night", Wanted.PAUSE) is None


def test_while_it_runs_and_afterwards(place: str) -> None:
    """Its row says who runs it since when, with what limits, and how it ended."""
    ends_at = datetime(2030, 1, 2, 7, 0, tzinfo=UTC)
    with Storage(place) as storage:
        with held(storage, "night", limits={"trials": 7}, ends_at=ends_at, log="a.log"):
            running = job_of(storage, "night")
        ended = job_of(storage, "night")

    assert running is not None
    assert ended is not None
    assert (running.state, running.is_live, running.is_gone) == (JobState.RUNNING, True, False)
    assert running.who.startswith(f"process {os.getpid()} on ")
    assert (running.limits, running.ends_at, running.log) == ({"trials": 7}, ends_at, "a.log")
    assert running.ended_at is None
    assert (ended.state, ended.is_live, ended.is_gone) == (JobState.ENDED, False, False)
    assert (ended.why, ended.fence) == ("", 1)
    assert ended.ended_at is not None
    assert ended.began_at == running.began_at <= ended.ended_at


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (KeyboardInterrupt(), "it was interrupted"),
        (TunerError("the server is not there"), "the server is not there"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_why_it_ended(place: str, error: BaseException, why: str) -> None:
    """What ended a study is kept with it."""
    with Storage(place) as storage:
        with pytest.raises(type(error)), held(storage, "night", limits={}):
            raise error
        assert [e.content for e in events(storage, "night")][-1] == {"why": why}

    assert (job(place).state, job(place).why) == (JobState.ENDED, why)


def named(command: str, place: str) -> str:
    """The command about the study, with its database."""
    return shlex.join(["tuner", command, "night", "--db", "URL" if "://" in place else place])


def test_one_at_a_time(place: str) -> None:
    """A second tuner is told who runs the study since when; after its end, it has it."""
    with owner(place, "night") as other:
        said = refusal(place)
        assert re.fullmatch(
            rf"study `night` is run by process {other.pid} on \S+ since "
            r"\d{4}-\d\d-\d\d \d\d:\d\d \(heard of \d+ s ago\)",
            said.message,
        )
        status, stop = (named(command, place) for command in ("status", "stop"))
        assert said.hint == f"`{status}` says what it does, `{stop}` ends it"
        assert other.does("trial") == "written"
        assert other.does("end") == "written"
        other.process.wait()
    with Storage(place) as storage, held(storage, "night", limits={}):
        pass
    assert job(place).fence == 2


def test_two_at_once(place: str) -> None:
    """Of many that want a study at the same moment, one has it."""
    with Storage(place) as storage, held(storage, "night", limits={}):
        for _ in range(3):
            assert f"process {os.getpid()}" in refusal(place).message


def test_one_that_was_killed_is_replaced_at_once(place: str) -> None:
    """Its number and the time of its start say that it is no more."""
    with owner(place, "night") as other:
        other.process.kill()
        other.process.wait()
        assert (job(place).is_gone, job(place).is_live) == (True, False)
        with Storage(place) as storage, held(storage, "night", limits={}):
            [*_, began] = events(storage, "night")
    assert began.kind is EventKind.JOB_BEGAN
    assert f"/{other.pid}/" in began.content["replaces"]


def test_one_that_sleeps_is_not_replaced(place: str) -> None:
    """A process of this machine that is stopped is still there, however silent."""
    with owner(place, "night") as other:
        os.kill(other.pid, signal.SIGSTOP)
        assert f"process {other.pid}" in refusal(place).message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("what", ["trial", "event", "stopped", "proposal", "end"])
def test_one_that_was_replaced_writes_nothing(place: str, what: str) -> None:
    """A tuner elsewhere slept for too long, another took the study: it finds that out in time."""
    with owner(place, "night", host="elsewhere") as other:
        os.kill(other.pid, signal.SIGSTOP)
        with Storage(place) as storage, held(storage, "night", limits={}):
            before = rows(place)
            os.kill(other.pid, signal.SIGCONT)
            said = other.does(what)
            assert rows(place) == before
    if what == "end":
        assert other.process.wait() != 0
    else:
        assert re.fullmatch(
            rf"lost: process {os.getpid()} on \S+ has taken study `night` over, as this one had "
            r"not been heard of for too long; nothing more is written",
            said,
        )


@pytest.mark.usefixtures("impatient")
def test_one_elsewhere_that_is_heard_of_again_is_not_replaced(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clocks of two machines may differ by minutes: only silence while it is watched counts."""
    monkeypatch.setattr(ownership, "_WATCHED_S", 60.0)
    monkeypatch.setattr(ownership, "sleep", lambda _: heard())
    with owner(place, "night", host="elsewhere"):

        def heard() -> None:
            execute(place, "UPDATE tuner_jobs SET seen_at = '2030-01-01 00:00:00.000000'")

        execute(place, "UPDATE tuner_jobs SET seen_at = '2020-01-01 00:00:00.000000'")
        assert " on elsewhere since " in refusal(place).message


def test_it_says_that_it_is_there(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ten seconds, here sooner, whatever the study is busy with."""
    monkeypatch.setattr(ownership, "_BEAT_S", 0.01)
    with Storage(place) as storage, held(storage, "night", limits={}):
        first = job(place).seen_at
        while job(place).seen_at == first:
            pass


ASKED: dict[str, Callable[[Storage], object]] = {
    "a pause": lambda storage: want(storage, "night", Wanted.PAUSE),
    "an end": lambda storage: want(storage, "night", Wanted.STOP),
    "an end at once": lambda storage: want(storage, "night", Wanted.STOP_NOW),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_what_is_asked_is_heard_with_the_next_event(
    place: str, ask: Callable[[Storage], object]
) -> None:
    """Until it is done; then nothing is asked any more."""
    with Storage(place) as storage, held(storage, "night", limits={}) as hold:
        assert hold.record(EventKind.SAID, {"text": "a"}) is Wanted.NOTHING
        with Storage(place) as another:
            assert ask(another) is not None
        heard = hold.record(EventKind.SAID, {"text": "b"})
        assert heard is hold.wanted() is not Wanted.NOTHING
        hold.heard()
        assert hold.wanted() is Wanted.NOTHING


def test_no_write_without_the_study(place: str) -> None:
    """Whoever has lost it hears so from each write, and ends without a word of its own."""

    def replaced() -> None:
        with Storage(place) as storage, held(storage, "night", limits={}):
            execute(place, "UPDATE tuner_jobs SET fence = 9, owner = 'far:1/7/2'")
            storage.save_stopped("night", "the time was used up")

    with pytest.raises(StudyLostError) as caught:
        replaced()

    assert caught.value.message.startswith("process 7 on far has taken study `night` over")
    assert caught.value.hint == f"look at what it does: `{named('status', place)}`"
    assert job(place).state is JobState.RUNNING

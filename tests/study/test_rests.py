"""A machine that spoils trials is left alone for a while, longer each time, and then for good."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.report import studies
from tests.store.test_storage import stored
from tests.study.simulated_bench import Watcher
from tuner.errors import Reason
from tuner.goals import SearchBudget
from tuner.records import TrialRecord
from tuner.store.jobs import JobState, Wanted, job_of, want
from tuner.store.ownership import held
from tuner.store.storage import Storage
from tuner.study import recorder
from tuner.study.deadline import Deadline
from tuner.study.recorder import Recorder, StopAsked
from tuner.study.rests import Rests


@dataclass
class Night:
    """A study that rests in a time of its own; `states` are those that others see meanwhile."""

    path: Path
    rests: Rests
    said: list[str]
    watcher: Watcher
    states: list[JobState] = field(default_factory=list)
    slept_s: float = 0.0
    asks: Wanted = Wanted.NOTHING

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        with Storage(str(self.path)) as storage:
            job = job_of(storage, "night")
            assert job is not None
            self.states.append(job.state)
            if self.asks is not Wanted.NOTHING:
                want(storage, "night", self.asks)
                self.asks = Wanted.NOTHING
            elif job.state is JobState.PAUSED:
                want(storage, "night", Wanted.NOTHING)


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    path = stored(tmp_path / "studies.db", studies.study(name="night"))
    with Storage(str(path)) as storage, held(storage, "night", limits={}) as hold:
        said: list[str] = []
        watcher = Watcher()
        deadline = Deadline(SearchBudget(timeout_s=3600.0))
        rests = Rests(Recorder(watcher, hold), deadline, said.append)
        made = Night(path, rests, said, watcher)
        monkeypatch.setattr(recorder, "sleep", made.sleep)
        monkeypatch.setattr(recorder, "monotonic", lambda: made.slept_s)
        yield made


def spoiled(reason: Reason = Reason.CLIENT_OVERLOADED) -> TrialRecord:
    return studies.failed(1, reason, "requests left 9 ms late")


def test_trials_that_the_machine_left_alone(night: Night) -> None:
    """Nothing rests after those, also where the configuration was at fault."""
    for record in (studies.baseline(), studies.failed(1, Reason.CRASHED, "it was gone")):
        night.rests.after(record)
    assert (night.slept_s, night.said, night.watcher.phases) == (0.0, [], [])


def test_a_rest(night: Night) -> None:
    """For a minute, of which others see why; what to do is said."""
    night.rests.after(spoiled())

    assert night.slept_s == 60.0
    assert set(night.states) == {JobState.RESTING}
    assert night.watcher.phases == ["resting"]
    [said] = night.said
    assert said == (
        "this machine spoils trials (client_overloaded: requests left 9 ms late); end what else "
        "runs on this machine, or give the load engine processors of its own: `--engine-cpus`; "
        "the study rests for 60 s"
    )
    with Storage(str(night.path)) as storage:
        job = job_of(storage, "night")
    assert job is not None
    assert job.state is JobState.RUNNING


def test_rests_become_longer_and_end(night: Night) -> None:
    """What does not get better in twenty minutes ends the study, without finals."""
    for _ in range(3):
        night.rests.after(spoiled(Reason.INTERRUPTED))
    assert night.slept_s == 60.0 + 300.0 + 900.0

    with pytest.raises(StopAsked) as caught:
        night.rests.after(spoiled(Reason.INTERRUPTED))

    assert caught.value.now
    assert caught.value.why == (
        "this machine spoiled its trials (interrupted: requests left 9 ms late): find out who "
        "ends processes of this machine"
    )


def test_a_good_trial_begins_anew(night: Night) -> None:
    """The next rest is as short as the first."""
    night.rests.after(spoiled())
    night.rests.after(studies.trial(2, 100.0))
    night.rests.after(spoiled())
    assert night.slept_s == 120.0


def test_no_rest_beyond_the_end(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is less time than that, a trial that may be spoiled is better than none."""
    monkeypatch.setattr("time.monotonic", lambda: 1e9)
    night.rests.after(spoiled())
    assert (night.slept_s, night.said) == (0.0, [])


def test_an_end_while_it_rests(night: Night) -> None:
    """It is heard at once."""
    night.asks = Wanted.STOP
    with pytest.raises(StopAsked) as caught:
        night.rests.after(spoiled())
    assert (caught.value.now, caught.value.why) == (False, "it was asked to stop")
    assert night.slept_s < 60.0


def test_a_pause_while_it_rests(night: Night) -> None:
    """When that is over, the rest is, too."""
    night.asks = Wanted.PAUSE
    night.rests.after(spoiled())
    assert night.states == [JobState.RESTING, JobState.PAUSED]

"""What is asked of a study that runs: it pauses, goes on, and ends between load points."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.capacity.simulated_server import Simulation
from tests.report import studies
from tests.study.simulated_bench import Watcher, simulated_bench
from tests.study.test_loop import BUDGET, SPACE, batching
from tests.study.test_loop import ran as loop_ran
from tuner.errors import Reason
from tuner.goals import SearchBudget
from tuner.records import Phase, PointRecord, Purpose, StudyRecord
from tuner.space.space import Configuration
from tuner.store.events import Event, EventKind, events
from tuner.store.jobs import JobState, Wanted, job_of, want
from tuner.store.ownership import held
from tuner.store.storage import Storage
from tuner.study import recorder
from tuner.study.continued_study import open_study
from tuner.study.loop import Study
from tuner.study.recorder import Recorder
from tuner.study.study_plan import StudyPlan

TRIALS = 5


@dataclass
class Person(Watcher):
    """Asks `wanted` once, while the load point for `phase` of trial `number` is measured."""

    path: str = ""
    number: int = 2
    phase: Phase = Phase.SATURATION
    wanted: Wanted = Wanted.NOTHING
    points: list[PointRecord] = field(default_factory=list)

    def point_ends(self, point: PointRecord) -> None:
        self.points.append(point)
        if len(self.ended) == self.number and point.phase == self.phase and self.wanted:
            ask(self.path, self.wanted)
            self.wanted = Wanted.NOTHING


@dataclass(frozen=True)
class Ran:
    record: StudyRecord
    person: Person
    told: Sequence[Event]
    said: Sequence[str]

    @property
    def purposes(self) -> list[Purpose]:
        return [purpose for purpose, _ in self.person.began]


def ask(path: str, wanted: Wanted) -> None:
    with Storage(path) as storage:
        assert want(storage, "night", wanted) is not None


def ran(path: Path, person: Person) -> Ran:
    """A study of five trials whose observer is this person."""
    said: list[str] = []
    person.path = str(path)
    budget = SearchBudget(trials=TRIALS, timeout_s=3600.0)
    with (
        Storage(str(path), create=True) as storage,
        simulated_bench(SPACE, batching, BUDGET) as (bench, _),
    ):
        study = open_study(storage, studies.study(name="night", budget=BUDGET))
        with held(storage, "night", limits={}) as hold:
            writes = Recorder(person, hold)
            running = Study(
                study,
                bench=replace(bench, observer=writes),
                storage=storage,
                plan=StudyPlan(space=SPACE, budget=budget),
                say=writes.saying(said.append),
                recorder=writes,
            )
            record = running.run()
        return Ran(record, person, events(storage, "night"), said)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran(tmp_path_factory.mktemp("undisturbed") / "studies.db", Person())


def test_all_is_written_down(undisturbed: Ran) -> None:
    """Trials, their phases and their ends, in their order; the load points are with the trials."""
    kinds = [each.kind for each in undisturbed.told]
    record, person = undisturbed.record, undisturbed.person

    assert kinds[0] is EventKind.JOB_BEGAN
    assert kinds[-1] is EventKind.JOB_ENDED
    assert undisturbed.told[-1].content == {"why": ""}
    assert EventKind.POINT_MEASURED not in kinds
    began = [e for e in undisturbed.told if e.kind is EventKind.TRIAL_BEGAN]
    ended = [e for e in undisturbed.told if e.kind is EventKind.TRIAL_ENDED]
    assert [e.trial for e in began] == [e.trial for e in ended]
    assert [e.trial for e in began] == [trial.number for trial in record.trials]
    assert [e.content["purpose"] for e in began] == [t.purpose.value for t in record.trials]
    assert [e.content["configuration"] for e in began] == [
        dict(trial.configuration) for trial in record.trials
    ]
    told = [e.content["phase"] for e in undisturbed.told if e.kind is EventKind.PHASE_BEGAN]
    assert told == person.phases
    assert len(person.points) == sum(len(trial.points) for trial in record.trials)


def test_what_was_said(undisturbed: Ran) -> None:
    """Whoever looks later reads it, too."""
    texts = [e.content["text"] for e in undisturbed.told if e.kind is EventKind.SAID]
    assert texts == list(undisturbed.said)


def test_an_end_with_finals(tmp_path: Path) -> None:
    """The trial in progress is given up; what was found is measured again, and proved."""
    found = ran(tmp_path / "studies.db", Person(wanted=Wanted.STOP))

    assert found.record.stopped == "it was asked to stop"
    assert len(found.record.searched) == 2
    assert found.purposes[:4] == [
        *(Purpose.BASELINE, Purpose.SEARCH, Purpose.SEARCH),
        Purpose.FINAL,
    ]
    assert found.record.proofs
    assert found.told[-1].content == {"why": "it was asked to stop"}
    [point] = [e for e in found.told if e.kind is EventKind.POINT_MEASURED and e.trial == 2][-1:]
    assert point.content["point"]["phase"] == "saturation"


def test_an_end_at_once(tmp_path: Path) -> None:
    """No finals: what the search found is what there is."""
    found = ran(tmp_path / "studies.db", Person(wanted=Wanted.STOP_NOW))

    assert found.record.stopped == "it was asked to stop"
    assert found.purposes == [Purpose.BASELINE, Purpose.SEARCH, Purpose.SEARCH]
    assert len(found.record.trials) == 2


def test_an_end_of_the_finals(tmp_path: Path, undisturbed: Ran) -> None:
    """In the finals there is nothing to do before the end."""
    first = next(t.number for t in undisturbed.record.trials if t.purpose is Purpose.FINAL)
    person = Person(number=first + 1, phase=Phase.WARM_UP, wanted=Wanted.STOP)
    found = ran(tmp_path / "studies.db", person)

    assert found.record.stopped == undisturbed.record.stopped
    assert "the finals ended early: it was asked to stop" in found.said
    assert [t.purpose for t in found.record.finals] == [Purpose.FINAL]
    assert found.record.proofs == ()


def test_what_was_measured_to_its_last_point_is_kept(tmp_path: Path, undisturbed: Ran) -> None:
    """Whoever asks after the last load point of a trial does not lose it."""
    last = len(undisturbed.record.trials[0].points)

    class Late(Person):
        def point_ends(self, point: PointRecord) -> None:
            self.points.append(point)
            if len(self.points) == last:
                ask(self.path, Wanted.STOP_NOW)

    found = ran(tmp_path / "studies.db", Late())
    assert [len(trial.points) for trial in found.record.trials] == [last]


@pytest.mark.parametrize("number", [0, 2])
def test_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, undisturbed: Ran
) -> None:
    """The server ends, the trial is begun anew afterwards, and all comes out as ever."""
    path = tmp_path / "studies.db"
    seen: list[tuple[JobState, bool]] = []
    person = Person(number=number, wanted=Wanted.PAUSE)

    def pauses(_: float) -> None:
        with Storage(str(path)) as storage:
            job = job_of(storage, "night")
        assert job is not None
        seen.append((job.state, job.is_live))
        if len(seen) == 3:
            ask(str(path), Wanted.NOTHING)

    monkeypatch.setattr(recorder, "sleep", pauses)
    found = ran(path, person)

    assert seen == 3 * [(JobState.PAUSED, True)]
    assert person.phases.count("paused") == 1
    assert [trial.number for trial in found.record.trials] == list(range(len(found.record.trials)))
    assert len(found.record.searched) == len(undisturbed.record.searched)
    assert found.record.stopped == undisturbed.record.stopped
    assert found.record.trials[number].applied == "restart"
    states = [e.content["state"] for e in found.told if e.kind is EventKind.STATE_CHANGED]
    assert states == ["paused", "running"]
    assert [e.trial for e in found.told if e.kind is EventKind.TRIAL_BEGAN].count(number) == 2


@pytest.mark.parametrize("wanted", [Wanted.STOP, Wanted.STOP_NOW])
def test_an_end_while_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: Wanted
) -> None:
    """It does not have to go on first."""
    path = tmp_path / "studies.db"
    monkeypatch.setattr(recorder, "sleep", lambda _: ask(str(path), wanted))
    found = ran(path, Person(wanted=Wanted.PAUSE))

    assert found.record.stopped == "it was asked to stop"
    assert bool(found.record.finals) == (wanted is Wanted.STOP)


def test_time_waits_while_it_is_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause of a day takes nothing from an hour."""
    path = tmp_path / "studies.db"
    passed_s = 0.0

    def day(_: float) -> None:
        nonlocal passed_s
        passed_s += 86_400.0
        ask(str(path), Wanted.NOTHING)

    monkeypatch.setattr("time.monotonic", lambda: passed_s)
    monkeypatch.setattr(recorder, "monotonic", lambda: passed_s)
    monkeypatch.setattr(recorder, "sleep", day)
    found = ran(path, Person(wanted=Wanted.PAUSE))

    assert passed_s == 86_400.0
    assert found.record.stopped == f"all {TRIALS} trials were run"


def test_an_interrupt_while_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends it as at any time; what was measured is kept, and why it ended."""
    path = tmp_path / "studies.db"

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder, "sleep", interrupt)
    with suppress(KeyboardInterrupt):
        ran(path, Person(wanted=Wanted.PAUSE))
    with Storage(str(path)) as storage:
        job, record = job_of(storage, "night"), storage.study("night")

    assert job is not None
    assert (job.state, job.why) == (JobState.ENDED, "it was interrupted")
    assert len(record.trials) == 2


def test_what_failed_is_run_again(tmp_path: Path) -> None:
    """For the reasons that are named: those trials come right after the baseline, and count."""
    path = tmp_path / "studies.db"
    crashes = True

    def server(configuration: Configuration) -> Simulation | None:
        return None if crashes and configuration["delay_us"] else batching(configuration)

    first = loop_ran(path, server=server, trials=8, confirmations=0).record
    failed = [trial for trial in first.searched if trial.reason]
    assert {trial.reason for trial in failed} == {Reason.INVALID_CONFIGURATION}
    crashes = False
    trials = len(first.searched) + len(failed)
    again = loop_ran(
        path,
        server=server,
        trials=trials,
        confirmations=0,
        record=first,
        retry=[Reason.INVALID_CONFIGURATION],
    ).record

    new = again.trials[len(first.trials) :]
    assert [t.configuration for t in new[: len(failed)]] == [t.configuration for t in failed]
    assert not any(trial.reason for trial in new)

"""Forms of a model whose outputs differ: what is within the tolerance counts, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import spaces
from tests.analysis.known import known
from tests.capacity.simulated_server import Batching, Simulation
from tests.report import studies
from tests.study.simulated_bench import Watcher, simulated_bench
from tests.study.simulated_engine import SimulatedEngine
from tests.targets.triton.triton_targets import Served, served, write_form
from tuner.analysis import standings
from tuner.errors import Reason
from tuner.goals import LatencyBudget, SearchBudget
from tuner.records import Grade, Purpose, StudyRecord, TrialRecord, TrialState
from tuner.report.search_findings import about_search
from tuner.space.space import Configuration
from tuner.store.storage import Storage
from tuner.study.continued_study import open_study
from tuner.study.loop import Study
from tuner.study.study_plan import StudyPlan
from tuner.study.trial import Bench, TrialPlan, run_trial
from tuner.study.trial_load import TrialLoad
from tuner.targets import variants
from tuner.targets.base import ModelSource
from tuner.targets.triton import repository as triton_repository

BUDGET = LatencyBudget(99, 0.05)
TOLERANCE = 0.05


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The exact model, one that is 2 % off, and one that is off by half."""
    folder = tmp_path_factory.mktemp("forms")
    for name, factor in (("exact", 2.0), ("rough", 2.04), ("wrong", 3.0)):
        write_form(folder / "models", name, factor)
    source = ModelSource(folder=folder / "models", name="exact", variants=("rough", "wrong"))
    return served(folder, triton_repository.open_repository(source))


@pytest.fixture(scope="module")
def shared_bench(forms: Served) -> Iterator[Bench]:
    """It has the baseline's outputs."""
    with forms.deployment() as deployment:
        load = TrialLoad(SimulatedEngine(), BUDGET)
        bench = Bench(forms.target, deployment, load, Watcher())
        baseline, golden = run_trial(bench, plan(forms.configuration(), Purpose.BASELINE))
        assert (baseline.state, baseline.difference) == (TrialState.FEASIBLE, 0.0)
        yield replace(bench, golden=golden)


@pytest.fixture
def bench(shared_bench: Bench) -> Bench:
    return replace(shared_bench, tolerance=TOLERANCE)


def plan(configuration: Configuration, purpose: Purpose = Purpose.SEARCH) -> TrialPlan:
    return TrialPlan(number=3, purpose=purpose, configuration=configuration)


def trial(bench: Bench, forms: Served, name: str) -> TrialRecord:
    record, golden = run_trial(bench, plan(forms.configuration(variant=name)))
    assert golden == bench.golden
    return record


class TestTrial:
    def test_within_the_tolerance(self, bench: Bench, forms: Served) -> None:
        """Such a form is as good as any, and how far it is away is known."""
        record = trial(bench, forms, "rough")
        assert record.state is TrialState.FEASIBLE, record.message
        assert record.difference == pytest.approx(0.02, rel=1e-3)
        assert record.throughput > 0
        assert record.verdicts["variant"].grade is Grade.CONFIRMED
        assert 'name: "rough"' in record.export

    def test_beyond_the_tolerance(self, bench: Bench, forms: Served) -> None:
        """It fails however fast it is; the message says how far it is away."""
        record = trial(bench, forms, "wrong")
        assert (record.state, record.reason) == (TrialState.FAILED, Reason.WRONG_OUTPUT)
        assert record.message == (
            "validate: output `y` differs from the baseline's by 50.00% of its largest value, "
            "more than the tolerance of 5.00%"
        )
        assert record.difference == pytest.approx(0.5)
        assert record.throughput == 0.0

    def test_without_a_tolerance(self, bench: Bench, forms: Served) -> None:
        """Each number by itself may be 1 % off; the distance is known nevertheless."""
        record = trial(replace(bench, tolerance=None), forms, "rough")
        assert (record.state, record.reason) == (TrialState.FAILED, Reason.WRONG_OUTPUT)
        assert record.message.endswith("differs from the baseline's by more than 1% and 0.001")
        assert record.difference == pytest.approx(0.02, rel=1e-3)

    def test_the_baseline_stays_the_measure(self, bench: Bench, forms: Served) -> None:
        """What others answered meanwhile changes nothing of what is right."""
        trial(bench, forms, "rough")
        assert trial(bench, forms, "exact").difference == 0.0


SPACE = variants.added(
    spaces.space(spaces.integer("max_batch_size", low=1, high=2, default=1, reload=True)),
    "exact",
    ("rough", "wrong"),
)
# The less exact a form is, the faster.
_COST = {"exact": 4.0, "rough": 2.0, "wrong": 0.5}
_ANSWERS = {"exact": 2.0, "rough": 2.04, "wrong": 3.0}


def server(configuration: Configuration) -> Simulation:
    cost_s = _COST[str(configuration["variant"])] / 1e3
    return Batching(cost_s, cost_s / 2, int(configuration["max_batch_size"]))


def study(path: Path, tolerance: float | None) -> StudyRecord:
    """All configurations, with finals, in virtual time."""
    request = {} if tolerance is None else {"tolerance": tolerance}
    record = studies.study(budget=BUDGET, request=request)
    answer = simulated_bench(
        SPACE, server, BUDGET, answer=lambda each: _ANSWERS[str(each["variant"])]
    )
    with Storage(str(path), create=True) as storage, answer as (bench, _):
        return Study(
            open_study(storage, record),
            bench=replace(bench, tolerance=tolerance),
            storage=storage,
            plan=StudyPlan(space=SPACE, budget=SearchBudget(trials=6, timeout_s=3600.0)),
        ).run()


class TestStudy:
    def test_the_fastest_form_is_wrong(self, tmp_path: Path) -> None:
        """It is tried and never credited: the fastest of those within the tolerance wins."""
        ran = study(tmp_path / "studies.db", TOLERANCE)
        wrong = [t for t in ran.trials if t.configuration["variant"] == "wrong"]
        assert {(t.state, t.reason, t.throughput) for t in wrong} == {
            (TrialState.FAILED, Reason.WRONG_OUTPUT, 0.0)
        }
        winner = known(standings.standings(ran).winner)
        assert winner.configuration["variant"] == "rough"
        said = about_search(ran)
        assert (
            "Variant rough: its outputs differ from the default's by 2.0 % of their largest "
            "value at most, within the tolerance of 5.0 %."
        ) in said
        assert (
            "Variant wrong: refused, its outputs differ from the default's by 50 % of their "
            "largest value."
        ) in said

    def test_without_a_tolerance_nothing_changes(self, tmp_path: Path) -> None:
        """A form that is further away than rounding is refused as ever."""
        winner = known(standings.standings(study(tmp_path / "studies.db", None)).winner)
        assert winner.configuration["variant"] == "exact"

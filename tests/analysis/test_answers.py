"""Other latency budgets and objectives, answered from stored load points."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.refusals import refused
from tests.report import studies
from tests.report.studies import point
from tests.report.token_studies import token_study
from tuner.analysis.answers import Answer, answer
from tuner.analysis.interpolation import EstimateKind
from tuner.goals import LatencyBudget, Objective
from tuner.records import PointRecord, StudyRecord, TrialRecord, Usage

P99_20MS = LatencyBudget(99, 0.020)
ROOT_2 = math.sqrt(2)


def loads(*places: tuple[float, float], **wishes: Any) -> tuple[PointRecord, ...]:
    """Load points of inferences per second and milliseconds."""
    return tuple(point(load, latency_ms / 1e3, **wishes) for load, latency_ms in places)


def trial(number: int, *places: tuple[float, float], **wishes: Any) -> TrialRecord:
    return studies.trial(number, 100.0, points=loads(*places), **wishes)


def baseline(*places: tuple[float, float], **wishes: Any) -> TrialRecord:
    return studies.baseline(100.0, points=loads(*places), **wishes)


def numbers(found: Answer) -> list[int]:
    return [each.trial.number for each in found.ranked]


def small() -> StudyRecord:
    """The baseline carries 100 x root 2 within 20 ms, trial 1 twice that, trial 2 nothing."""
    return studies.study(
        [
            baseline((100, 10), (200, 40)),
            trial(1, (200, 10), (400, 40)),
            trial(2, (120, 30)),
            studies.infeasible(studies.trial(3), unloaded_s=0.061),
        ]
    )


class TestThroughput:
    def test_ranks_capacities(self) -> None:
        """The highest capacity within the new limit is the best."""
        found = answer(small(), P99_20MS)

        assert numbers(found) == [1, 0]
        assert [e.throughput for e in found.ranked] == pytest.approx([200 * ROOT_2, 100 * ROOT_2])
        assert found.best is found.ranked[0]
        assert (found.budget, found.objective) == (P99_20MS, Objective.THROUGHPUT)

    def test_tells_what_meets_nothing(self) -> None:
        """Without a load within the limit it is infeasible, and without any it is unmeasured."""
        found = answer(small(), P99_20MS)

        (over,) = found.infeasible
        assert (over.trial.number, over.kind, over.high) == (2, EstimateKind.NONE, 120)
        assert found.unmeasured == 1

    def test_another_percentile(self) -> None:
        """The median of the fixture's latencies is 70 % of the 99th percentile."""
        share = 0.4 + 0.6 * 50 / 99

        found = answer(small(), LatencyBudget(50, 0.020 * share))

        assert found.best is not None
        assert found.best.throughput == pytest.approx(200 * ROOT_2)

    def test_a_smaller_limit_may_have_another_winner(self) -> None:
        """What carries most within 50 ms need not carry most within 10 ms."""
        bulk, quick = trial(1, (100, 12), (900, 45), (1000, 60)), trial(2, (300, 4), (400, 70))
        study = studies.study([bulk, quick])

        assert numbers(answer(study, LatencyBudget(99, 0.050))) == [1, 2]
        assert numbers(answer(study, LatencyBudget(99, 0.010))) == [2]

    def test_a_rank_by_number_where_equal(self) -> None:
        """The earlier trial goes first."""
        study = studies.study([trial(n, (100, 10), (200, 40)) for n in (3, 1)])

        assert numbers(answer(study, P99_20MS)) == [1, 3]

    def test_of_an_empty_study(self) -> None:
        """There is nothing to rank, and nothing best."""
        found = answer(studies.study(), P99_20MS)

        assert (found.ranked, found.infeasible, found.unmeasured) == ((), (), 0)
        assert found.best is None
        assert found.tied == ()


SURE = trial(1, (1000, 19), (1001, 21))


@pytest.mark.parametrize(
    ("trials", "tied", "undecided"),
    [
        # Two starts differ by 7 % (standard deviation), so that 14 % prove nothing.
        ([SURE, trial(2, (840, 19), (841, 21))], [], []),
        ([SURE, trial(2, (920, 19), (921, 21))], [2], []),
        # A lower bound may be better than anything; it is undecided, not tied.
        ([SURE, trial(2, (990, 5))], [], [2]),
        # Of what was over at every load only the lowest load is known not to be carried.
        ([SURE, trial(2, (900.0, 30))], [], []),
        ([SURE, trial(2, (1100.0, 30))], [], [2]),
        # A lower bound that leads is the best, whatever it really carries.
        ([trial(1, (1000, 5)), trial(2, (990, 19), (1001, 21))], [2], []),
    ],
)
def test_ties(trials: list[TrialRecord], tied: list[int], undecided: list[int]) -> None:
    """What may be as good as the best, and what may be better for all that is known."""
    found = answer(studies.study(trials), P99_20MS)

    assert [each.trial.number for each in found.tied] == tied
    assert [each.trial.number for each in found.undecided] == undecided


class TestLatency:
    def test_ranks_latencies_at_the_reference_load(self) -> None:
        """The lowest latency at the load that the study compares at is the best."""
        reference = loads((150, 9), phase="reference")
        study = studies.study(
            [
                studies.baseline(points=loads((100, 10), (200, 40)) + reference),
                trial(1, (100, 5), (225, 45)),
                trial(2, (150, 8)),
                trial(3, (150, 300)),
                trial(4, (80, 2)),
            ]
        )

        found = answer(study, study.budget, Objective.LATENCY)

        assert found.least_throughput == 150
        assert numbers(found) == [2, 0, 1]
        assert [e.value for e in found.ranked] == pytest.approx([0.008, 0.009, 0.015])
        assert [e.trial.number for e in found.infeasible] == [3]
        assert found.unmeasured == 1

    def test_at_another_load(self) -> None:
        """The load may be chosen."""
        found = answer(small(), P99_20MS, Objective.LATENCY, least_throughput=200.0)

        assert numbers(found) == [1]
        assert found.ranked[0].value == pytest.approx(0.010)

    def test_at_no_load(self) -> None:
        """A study whose baseline carries nothing has no load to compare at."""
        slow = studies.infeasible(studies.baseline(), unloaded_s=0.06)
        study = studies.study([slow, trial(1, (100, 10))])

        with refused(
            "study `encoder-p99-50ms` has no throughput at which it compares latencies: its "
            "baseline carries nothing within the budget",
            hint="`--min-throughput N` names one, in inferences/s",
        ):
            answer(study, P99_20MS, Objective.LATENCY)

    def test_ties(self) -> None:
        """Latencies that differ by some per cent are tied; bounds are undecided."""
        study = studies.study(
            [trial(n, (load, ms)) for n, load, ms in ((1, 100, 10), (2, 120, 10.5), (3, 100, 11))]
        )

        found = answer(study, study.budget, Objective.LATENCY, least_throughput=100.0)

        assert [each.trial.number for each in found.tied] == [3]
        assert [each.trial.number for each in found.undecided] == [2]


def using(memory_mb: float, cpu_s: float = math.nan) -> Usage:
    return Usage(cpu_s=cpu_s, memory_bytes=memory_mb * 1e6)


class TestUsage:
    def test_ranks_what_carries_as_much_as_the_baseline(self) -> None:
        """What takes least but carries less than the server's defaults is no improvement."""
        study = studies.study(
            [
                baseline((100, 10), (200, 40), usage=using(500)),
                trial(1, (200, 10), (400, 40), usage=using(700)),
                trial(2, (150, 10), (200, 40), usage=using(400)),
                trial(3, (50, 10), (60, 40), usage=using(100)),
                trial(4, (300, 10), (400, 40)),
            ]
        )

        found = answer(study, P99_20MS, Objective.MEMORY)

        assert found.least_throughput == pytest.approx(100 * ROOT_2)
        assert numbers(found) == [2, 0, 1]
        assert [e.value for e in found.ranked] == [400e6, 500e6, 700e6]
        assert [e.trial.number for e in found.infeasible] == [3]
        assert found.unmeasured == 1

    def test_of_what_carries_enough(self) -> None:
        """The throughput may be chosen."""
        study = studies.study(
            [
                baseline((100, 10), (200, 40), usage=using(500)),
                trial(1, (200, 10), (400, 40), usage=using(700)),
                trial(2, (50, 10), (60, 40), usage=using(100)),
            ]
        )

        def asked(least: float) -> list[int]:
            return numbers(answer(study, P99_20MS, Objective.MEMORY, least_throughput=least))

        assert asked(50.0) == [2, 0, 1]
        assert asked(100.0) == [0, 1]
        assert asked(500.0) == []

    def test_of_a_baseline_that_carries_nothing(self) -> None:
        """Then anything that carries something may be the best."""
        study = studies.study([baseline((100, 30)), trial(1, (50, 10), usage=using(100))])

        found = answer(study, P99_20MS, Objective.MEMORY)

        assert (found.least_throughput, numbers(found)) == (0.0, [1])

    def test_is_that_of_the_load_within_the_limit(self) -> None:
        """At another load the processor time of an inference is another one."""
        points = (
            *loads((100, 10), usage=Usage(cpu_s=1.0)),
            *loads((200, 40), usage=Usage(cpu_s=4.0)),
        )
        study = studies.study([studies.baseline(100.0, points=points, usage=using(1, cpu_s=9.0))])

        def cpu_s(limit_s: float) -> float:
            return answer(study, LatencyBudget(99, limit_s), Objective.CPU).ranked[0].value

        assert cpu_s(0.020) == pytest.approx(1.0 / 250)
        assert cpu_s(0.050) == pytest.approx(4.0 / 500)

    def test_is_the_median_of_the_starts(self) -> None:
        """One start that was measured while something else ran does not decide."""
        starts = [trial(n, (100, 10), configuration=studies.BEST) for n in (1, 2, 3)]
        study = studies.study(
            [replace(t, usage=using(mb)) for t, mb in zip(starts, (300, 900, 310), strict=True)]
        )

        (only,) = answer(study, P99_20MS, Objective.MEMORY).ranked
        assert (only.value, only.starts) == (310e6, 3)
        assert only.log_error == pytest.approx(0.05 / math.sqrt(3))

    def test_ties(self) -> None:
        """A difference of some per cent is none; what carries too little ties with nobody."""
        study = studies.study(
            [
                trial(1, (100, 10), usage=using(500)),
                trial(2, (100, 10), usage=using(520)),
                trial(3, (100, 10), usage=using(700)),
                trial(4, (50, 10), usage=using(400)),
            ]
        )

        found = answer(study, P99_20MS, Objective.MEMORY, least_throughput=100.0)

        assert [each.trial.number for each in found.tied] == [2]
        assert found.undecided == ()

    @pytest.mark.parametrize("objective", [Objective.MEMORY, Objective.CPU, Objective.ENERGY])
    def test_that_was_not_measured(self, objective: Objective) -> None:
        """It is said what is missing, and what measures it."""
        with refused(
            "study `encoder-p99-50ms` has no load point that says anything of the objective "
            f"`{objective.value}`",
            hint=f"`tuner optimize --objective {objective.value}` measures it",
        ):
            answer(small(), P99_20MS, objective)


def test_limits_of_other_parts_are_not_answered() -> None:
    """What was judged by two limits says nothing of one, nor of two in another proportion."""
    study = token_study()
    with refused(
        "study `chat` was measured for p99 <= TTFT 200 ms, ITL 20 ms; its load points say nothing "
        "of p99 <= 200 ms",
        "other limits are known where all of them change in the same proportion",
    ):
        answer(study, LatencyBudget(99, 0.2))
    assert answer(study, study.budget.at(0.19)).best

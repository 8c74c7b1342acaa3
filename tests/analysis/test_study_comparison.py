"""Two studies side by side: their best, what both measured, and what differs."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.analysis.known import known
from tests.report import studies
from tests.report.studies import BEST, DEFAULTS, baseline, final, loads, trial
from tuner.analysis.interpolation import capacity
from tuner.analysis.load_curves import load_curves
from tuner.analysis.standings import standings
from tuner.analysis.study_comparison import Difference, compared
from tuner.errors import Reason
from tuner.goals import LatencyBudget, Loop
from tuner.records import StudyRecord, TrialState
from tuner.space.space import Configuration


def night(factor: float = 1.0, *, rounds: int = 3, **wishes: Any) -> StudyRecord:
    """The defaults, the best and another one; the first two with finals, a little apart."""
    tried = [
        baseline(150.0 * factor),
        trial(1, 250.0 * factor),
        trial(2, 400.0 * factor, configuration=BEST),
    ]
    for start in range(rounds):
        for configuration, capacity_ in ((BEST, 398.0), (DEFAULTS, 150.0)):
            found = capacity_ * factor * (0.995 + 0.005 * start)
            number = len(tried)
            tried.append(replace(final(number, configuration, found), round=start))
    return studies.study(tried, **({"name": "night"} | wishes))


class TestRatios:
    def test_of_the_best_and_of_the_defaults(self) -> None:
        """They are those of what the studies themselves found."""
        first, other = night(), night(1.2)

        found = compared(first, other)

        winners = known(found.winners)
        assert winners.ratio.estimate == pytest.approx(1.2)
        assert winners.ratio.low < 1.2 < winners.ratio.high
        own = known(standings(first).winner)
        assert (winners.first.throughput, winners.first.trial) == (own.throughput, own.trial)
        assert known(found.baselines).ratio.estimate == pytest.approx(1.2)

    @pytest.mark.parametrize(
        ("factor", "rounds", "verdict"),
        [
            (1.2, 3, (True, True)),
            (1.2, 2, (True, False)),  # two starts of each prove nothing
            (1.005, 3, (False, False)),
        ],
    )
    def test_are_proved_by_three_starts_of_each(
        self, factor: float, rounds: int, verdict: tuple[bool, bool]
    ) -> None:
        """A ratio beyond its uncertainty is decided; fresh starts of both prove it."""
        ratio = known(compared(night(rounds=rounds), night(factor, rounds=rounds)).winners).ratio

        assert (ratio.decided, ratio.proved) == verdict

    def test_of_one_that_has_no_finals(self) -> None:
        """The search alone proves nothing."""
        ratio = known(compared(night(), night(2.0, rounds=0)).winners).ratio

        assert ratio.decided
        assert not ratio.proved


class TestSameConfigurations:
    def test_are_paired(self) -> None:
        """What both carried something with, from the most that the first one carries down."""
        other = night(1.2)
        other = replace(other, trials=tuple(t for t in other.trials if t.number != 1))

        found = compared(night(), other)

        assert [each.first.trial.configuration for each in found.same] == [BEST, DEFAULTS]
        assert [each.ratio.estimate for each in found.same] == pytest.approx([1.2, 1.2])
        assert known(found.overall).estimate == pytest.approx(1.2)

    def test_have_one_verdict_each(self) -> None:
        """What is said of the winners and the defaults is what is said of them here, too."""
        found = compared(night(), night(1.05))

        by_configuration = {each.first.trial.configuration: each for each in found.same}
        assert by_configuration[BEST] is found.winners
        assert by_configuration[DEFAULTS] is found.baselines

    def test_p_values_are_those_of_families(self) -> None:
        """Among several, chance brings one far from 1 more often (Holm, Bonferroni)."""
        first, other = night(), night(1.02)
        alone = replace(other, trials=tuple(t for t in other.trials if t.configuration == BEST))

        single = known(compared(first, alone).winners).ratio
        among = known(compared(first, other).winners).ratio
        of_three = known(compared(first, alone, comparisons=3).winners).ratio

        assert among.p_value == pytest.approx(2 * single.p_value)
        assert of_three.p_value == pytest.approx(3 * single.p_value)
        assert among.estimate == pytest.approx(single.estimate)

    def test_that_carry_something_in_one_alone(self) -> None:
        """They are in no ratio, so they are named: unless nobody knows, as of a pruned one."""
        crashed = studies.failed(1, Reason.CRASHED, "it is gone")
        trials = (*night().trials[:1], crashed, *night().trials[2:])
        pruned = replace(night().trials[1], state=TrialState.PRUNED)
        lost = compared(night(), replace(night(), trials=trials))

        assert [each.trial.number for each in lost.only_first] == [1]
        assert lost.only_other == ()
        turned = compared(replace(night(), trials=trials), night())
        assert [each.trial.number for each in turned.only_other] == [1]
        unknown = replace(night(), trials=(night().trials[0], pruned, *night().trials[2:]))
        assert compared(night(), unknown).only_first == ()

    def test_that_do_not_agree(self) -> None:
        """Where one gained and another lost, the average is uncertain."""
        other = night(rounds=0)
        slower = replace(known(other.baseline), throughput=75.0)
        other = replace(other, trials=(slower, *other.trials[1:]))

        overall = known(compared(night(rounds=0), other).overall)

        assert overall.estimate == pytest.approx(0.5 ** (1 / 3))
        assert overall.low < 0.5 < 1 < overall.high

    def test_of_one_alone(self) -> None:
        """A mean takes two."""
        other = replace(night(), trials=night().trials[:1])

        found = compared(night(), other)

        assert len(found.same) == 1
        assert found.overall is None


class TestLimits:
    def test_cover_what_both_measured(self) -> None:
        """From the higher of the lowest latencies to the lower of the highest ones."""
        first = studies.study([trial(1, 100.0, points=loads((100, 10.0), (200, 80.0)))])
        other = studies.study([trial(1, 100.0, points=loads((150, 20.0), (300, 160.0)))])

        found = compared(first, other).limits

        assert found[0].limit_s == pytest.approx(0.020)
        assert 0.060 < found[-1].limit_s < 0.080
        curves = [load_curves(study, 99)[0] for study in (first, other)]
        for each in found:
            own, theirs = (capacity(curve, each.limit_s).throughput for curve in curves)
            assert each.ratio.estimate == pytest.approx(theirs / own)

    def test_have_none_where_another_may_carry_more(self) -> None:
        """One that no load brought over the limit may be the best of its study."""
        curve = loads((100, 10.0), (200, 80.0))
        bound = loads((80, 10.0), (90, 20.0))
        strong, weak, other = (
            studies.study([trial(1, 100.0, points=curve), *more])
            for more in (
                [trial(2, 300.0, points=bound)],
                [trial(2, 90.0, points=bound)],  # what saturates it is less than the best carries
                [],
            )
        )

        assert {e.limit_s > 0.020 for e in compared(strong, other).limits} == {False}
        assert {e.limit_s > 0.020 for e in compared(weak, other).limits} == {False, True}

    def test_have_none_where_the_latencies_do_not_meet(self) -> None:
        """Nothing can be said of a limit that only one of them covers."""
        first = studies.study([trial(1, 100.0, points=loads((100, 10.0), (200, 15.0)))])
        other = studies.study([trial(1, 100.0, points=loads((150, 20.0), (300, 160.0)))])

        assert compared(first, other).limits == ()
        assert compared(first, studies.study()).limits == ()
        overloaded = studies.study([trial(1, 100.0, points=loads((150, math.inf)))])
        assert compared(first, overloaded).limits == ()


class TestAnotherBudget:
    def test_is_read_from_load_points(self) -> None:
        """Both studies answer in the same way for the budget of the first one."""
        points = loads((100, 20.0), (200, 45.0), (230, 60.0))
        other = studies.study(
            [trial(1, 100.0, points=points)], budget=LatencyBudget(95, 0.020), name="other"
        )

        found = compared(night(), other)

        assert (found.first.recut, found.other.recut) == (True, True)
        assert 200 < known(found.other.winner).throughput < 230
        assert known(found.first.winner).confirmations == 0
        assert Difference("latency budget", "p99 <= 50 ms", "p95 <= 20 ms") in found.differences

    def test_may_be_a_bound(self) -> None:
        """Where no load was measured that is over the limit, it may carry more."""
        other = studies.study(
            [baseline(100.0, points=loads((100, 20.0)))], budget=LatencyBudget(99, 0.020)
        )

        found = compared(night(), other)

        assert known(found.other.winner).is_bound
        assert known(found.other.baseline).is_bound
        assert not known(found.first.winner).is_bound

    def test_a_bound_that_may_close_the_gap_decides_nothing(self) -> None:
        """What seems to carry less and may carry more is no loser; as a winner it is one."""
        weak, strong = (
            studies.study(
                [baseline(load, points=loads((load, 20.0)))], budget=LatencyBudget(99, 0.020)
            )
            for load in (75.0, 300.0)
        )

        assert known(compared(night(), weak).baselines).ratio.p_value == 1.0
        assert known(compared(night(), strong).baselines).ratio.decided

    def test_bounds_are_in_no_average(self) -> None:
        """The mean is of the ratios that are known."""
        points = [loads((load, 10.0), (load * 1.01, 60.0)) for load in (100.0, 200.0)]
        measured = [baseline(points=points[0]), trial(1, 1.0, points=points[1])]
        bound = trial(2, 1.0, points=loads((5000, 20.0)))
        whole = trial(2, 1.0, points=loads((100, 10.0), (101, 60.0)))
        first = studies.study([*measured, whole])
        other = studies.study([*measured, bound], budget=LatencyBudget(99, 0.020))

        found = compared(first, other)

        assert (len(found.same), len(found.averaged)) == (3, 2)
        assert known(found.overall).estimate == pytest.approx(1.0)

    def test_may_be_met_by_nothing(self) -> None:
        """Then the nearest is named."""
        other = studies.study(
            [trial(1, 100.0, points=loads((100, 90.0)))], budget=LatencyBudget(99, 0.100)
        )

        found = compared(night(), other)

        assert (found.winners, found.other.winner) == (None, None)
        assert known(found.other.nearest).over_s == pytest.approx(0.040)


def test_nothing_feasible() -> None:
    """A study without any feasible configuration has no ratio, and is told all the same."""
    slow = studies.study([studies.infeasible(baseline(), unloaded_s=0.061)])

    found = compared(night(), slow)

    assert (found.winners, found.baselines, found.same, found.overall) == (None, None, (), None)
    assert known(found.other.nearest).latency_s == 0.061
    assert known(found.first.winner).throughput > 0


def test_differences() -> None:
    """What a result depends on is compared fact by fact; what only one has is there, too."""
    first = night(options={"budget_ms": 50.0})
    other = night(
        model_fingerprint="other",
        arrivals=Loop.CLOSED,
        hardware={**first.hardware, "cores": 4},
        environment={**first.environment, "triton": "2.61.0"},
        place={"runner": "docker"},
    )

    assert compared(first, other).differences == (
        Difference("model fingerprint", "3f9a0c11de", "other"),
        Difference("arrivals", "poisson", "closed"),
        Difference("hardware cores", 2, 4),
        Difference("environment triton", "2.60.0", "2.61.0"),
        Difference("option budget_ms", 50.0, None),
        Difference("place runner", None, "docker"),
    )
    assert compared(first, first).differences == ()


def test_configurations_of_other_parameters_are_not_the_same() -> None:
    """Two are paired only where all their parameters agree."""
    fewer = Configuration.of({"threads": 1})
    other = studies.study([trial(1, 100.0, configuration=fewer)])

    assert compared(night(), other).same == ()

"""Several latency budgets at once: the best for each, and the one configuration for all."""

from typing import Any

import pytest

from tests.analysis.known import known
from tests.report import studies
from tests.report.studies import loads
from tuner.analysis.answers import answer
from tuner.analysis.tiers import Tiers, tiers
from tuner.goals import LatencyBudget
from tuner.records import TrialRecord

P99_10MS, P99_50MS = LatencyBudget(99, 0.010), LatencyBudget(99, 0.050)


def trial(number: int, *places: tuple[float, float], **wishes: Any) -> TrialRecord:
    return studies.trial(number, 100.0, points=loads(*places, **wishes))


def steady(number: int, within_10_ms: float, within_50_ms: float) -> TrialRecord:
    """Carries just these two throughputs; nothing within a limit where one is 0."""
    within = [(within_10_ms, 10.0)] if within_10_ms else []
    return trial(number, *within, (within_50_ms, 50.0), (1.02 * within_50_ms, 500.0))


def shares(found: Tiers) -> list[float]:
    return [tier.share for tier in found.each]


def test_each_tier_has_the_best_for_it_alone() -> None:
    """It is what `tuner best` answers for that budget."""
    study = studies.study([steady(1, 100, 900), steady(2, 300, 400)])

    found = tiers(study, [P99_10MS, P99_50MS])

    assert [known(tier.best).trial.number for tier in found.each] == [2, 1]
    for tier in found.each:
        alone = known(answer(study, tier.budget).best)
        assert known(tier.best).throughput == alone.throughput


@pytest.mark.parametrize(
    ("trials", "chosen", "wanted"),
    [
        # The specialists carry a third and 44 % of what the other does; the third one 80 % each.
        ([(1, 100, 900), (2, 300, 400), (3, 240, 720)], 3, [0.8, 0.8]),
        # One that is the best everywhere serves all.
        ([(1, 100, 900), (2, 300, 1000)], 2, [1.0, 1.0]),
        # Equal least shares: the other share decides,
        ([(1, 200, 500), (2, 100, 1000), (3, 100, 900)], 1, [1.0, 0.5]),
        ([(1, 100, 600), (2, 200, 500), (3, 100, 1000)], 2, [1.0, 0.5]),
        # and of equals in all shares the earlier one is taken.
        ([(4, 200, 500), (2, 200, 500)], 2, [1.0, 1.0]),
        # Whatever carries nothing in one of them has a share of 0 there.
        ([(1, 0, 900), (2, 30, 90)], 2, [1.0, 0.1]),
    ],
)
def test_one_for_all_has_the_highest_least_share(
    trials: list[tuple[int, float, float]], chosen: int, wanted: list[float]
) -> None:
    """Its least share of each tier's best is higher than anybody else's."""
    found = tiers(studies.study([steady(*each) for each in trials]), [P99_10MS, P99_50MS])

    assert known(found.shared).trial.number == chosen
    assert shares(found) == pytest.approx(wanted)
    assert found.least_share == pytest.approx(min(wanted))


def test_a_tier_that_nothing_meets_has_no_say() -> None:
    """It names the nearest; the others are served as if it had not been asked for."""
    study = studies.study([steady(1, 100, 900), steady(2, 300, 400), steady(3, 240, 720)])

    found = tiers(study, [LatencyBudget(99, 0.005), P99_10MS, P99_50MS])

    missed = found.each[0]
    assert (missed.best, missed.shared, missed.share) == (None, None, 0.0)
    assert known(missed.nearest).factor == pytest.approx(2.0)
    assert found.met == found.each[1:]
    assert [tier.nearest for tier in found.met] == [None, None]
    assert known(found.shared).trial.number == 3
    assert found.least_share == pytest.approx(0.8)


def test_no_configuration_meets_all() -> None:
    """Then the least share is 0 for everybody, and the one that meets more of them is taken."""

    def at(number: int, median_ms: float, p99_ms: float) -> TrialRecord:
        percentiles = {50: median_ms / 1e3, 90: 0.5, 95: 0.5, 99: p99_ms / 1e3}
        return trial(number, (100, p99_ms), percentiles_s=percentiles)

    study = studies.study([at(1, 4.0, 80.0), at(2, 8.0, 40.0)])

    found = tiers(study, [LatencyBudget(50, 0.005), P99_50MS, LatencyBudget(99, 0.060)])

    assert [known(tier.best).trial.number for tier in found.each] == [1, 2, 2]
    assert known(found.shared).trial.number == 2
    assert shares(found) == [0.0, 1.0, 1.0]
    assert found.least_share == 0.0


def test_of_an_empty_study() -> None:
    """Nothing is met, nothing is near, and nothing serves."""
    found = tiers(studies.study(), [P99_10MS])

    assert (found.met, found.shared, found.least_share) == ((), None, 0.0)
    assert found.each[0].nearest is None

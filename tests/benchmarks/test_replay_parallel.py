"""What it costs to try several at once: the figures, and the landscape on paper."""

import pytest

from benchmarks import replay_parallel
from benchmarks.landscapes.formula import formula
from benchmarks.replayed_trials import Cost
from tests.benchmarks.landscapes import grid_table
from tuner.records import TrialState


def test_its_figures() -> None:
    """Trials, their ratio to those with one in flight, and seconds, as many columns as numbers."""
    alone = [Cost(n, 5 * n, 10.0 * n) for n in (10, 20, 30)]
    costs = {1: alone, 4: [Cost(2 * c.trials, 2 * c.points, c.time_s / 2) for c in alone]}

    assert replay_parallel.trial_cells(costs) == ["20 (28)", "40 (56)"]
    assert replay_parallel.ratio_cells(costs) == ["1.00 (1.00 to 1.00)", "2.00 (2.00 to 2.00)"]
    assert replay_parallel.time_cells(costs) == ["200", "100; 2.0 x"]


@pytest.mark.parametrize("who", replay_parallel.CONTESTANTS)
def test_each_search_gets_there(who: str) -> None:
    """On a landscape of fifteen configurations, in no more time the more run at once."""
    costs = replay_parallel.searches(who, grid_table(), 2)

    times_s = [sum(each.time_s for each in found) for found in costs.values()]
    assert times_s == sorted(times_s, reverse=True)
    assert list(costs) == list(replay_parallel.IN_FLIGHT)


def test_the_landscape_on_paper() -> None:
    """What exceeds the memory fails; some are near the best, and the defaults are not."""
    paper = formula()
    capacities = [row.capacity for row in paper.rows.values()]
    good = sum(c >= replay_parallel.SHARE * paper.best.capacity for c in capacities)

    assert len(capacities) == 2540
    assert good == 20
    assert paper.rows[paper.space.defaults].capacity < paper.best.capacity / 2
    assert {row.state for row in paper.rows.values()} == {TrialState.FEASIBLE, TrialState.FAILED}

"""Trials that a table answers: what is pruned, what it costs, what is recommended."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.landscapes.table import Row, Table
from benchmarks.replay_contestants import RANDOM, RandomOrder, proposer
from benchmarks.replayed_trials import Cost, Noise, beaten, ended, exhaustive, replayed
from tests.benchmarks.landscapes import BUDGET, SOME, SPACE, failed, grid_table, row, table
from tuner.errors import Reason
from tuner.records import TrialRecord, TrialState
from tuner.search.search import Proposal


class Listed:
    """Proposes what it was given, and keeps what it was told."""

    def __init__(self, rows: Sequence[Row], *, in_order: bool = True) -> None:
        self._in_order = in_order
        self._order = RandomOrder([], seed=0, first=[each.configuration for each in rows])
        self.told: list[TrialRecord] = []

    def ask(self) -> Proposal | None:
        return self._order.ask()

    def tell(self, number: int, record: TrialRecord) -> None:
        assert not self._in_order or number == len(self.told)
        self.told.append(record)


def trial(row: Row, number: int, beat: float, noise: Noise) -> tuple[TrialRecord, Cost]:
    """One that is raced against the throughput `beat` from its begin to its end."""
    proof = beaten(row, BUDGET, beat / noise.factor(row.configuration))
    return ended(row, number, proof, noise)


def four_rows() -> list[Row]:
    capacities = (100.0, 200.0, 150.0, 400.0)
    return [row(c, each) for c, each in zip(capacities, SPACE.grid(), strict=False)]


def test_what_cannot_saturate_at_the_best_capacity_is_pruned_there() -> None:
    """Even 5 % above its saturation it carries less: the search's points are not measured."""
    assert beaten(row(100.0), BUDGET, beat=126.1) == (2, 120.0)
    assert beaten(row(100.0), BUDGET, beat=125.9) != (2, 120.0)


def test_a_load_that_is_over_the_budget_prunes() -> None:
    """The first load below the one to beat that is over it; with the points up to there."""
    assert beaten(row(200.0), BUDGET, beat=222.0) == (4, 1.1 * 200)


def test_a_load_that_is_hardly_over_the_budget_proves_nothing() -> None:
    """103 % of the capacity is over by its 99th percentile, but not by its 95th."""
    assert beaten(row(100.0), BUDGET, beat=104.0) is None
    assert beaten(row(100.0), BUDGET, beat=0.0) is None


def test_a_failure_is_not_pruned() -> None:
    """Not even one that saturated before it failed."""
    broken = replace(failed(), saturation=10.0)

    assert beaten(broken, BUDGET, beat=1000.0) is None
    assert trial(broken, 3, 1000.0, Noise(table([broken]), 0))[0].reason is Reason.CRASHED


def test_an_infeasible_configuration_needs_no_saturation() -> None:
    """It was over the budget without load: nothing was saturated, so nothing is compared."""
    slow = row(0.0, state=TrialState.INFEASIBLE, saturation=0.0, points=row(0.0).points[:1])

    assert beaten(slow, BUDGET, beat=1000.0) is None
    record, cost = trial(slow, 3, 1000.0, Noise(table([slow]), 0))
    assert (record.state, cost) == (TrialState.INFEASIBLE, Cost(1, 1, 12.0))


@pytest.mark.parametrize(
    ("beat", "state", "throughput", "cost"),
    [
        (0.0, TrialState.FEASIBLE, 100.0, Cost(1, 5, 12.0)),
        (111.0, TrialState.PRUNED, 110.0, Cost(1, 4, 9.8)),
        (200.0, TrialState.PRUNED, 120.0, Cost(1, 2, 5.4)),
    ],
)
def test_a_trial_costs_what_it_measured(
    beat: float, state: TrialState, throughput: float, cost: Cost
) -> None:
    """Each of the three searched points takes a third of the search's 6.6 s."""
    record, spent = trial(row(100.0), 3, beat, Noise(table([row(100.0)]), 0))

    assert (record.state, record.proposal) == (state, 3)
    assert record.throughput == pytest.approx(throughput)
    assert (spent.trials, spent.points) == (cost.trials, cost.points)
    assert spent.time_s == pytest.approx(cost.time_s)
    assert math.isinf(record.log_error) == (state is TrialState.PRUNED)


def test_noise_is_that_of_a_configuration_in_a_search() -> None:
    """The same in one search and in another one with its seed; another for everything else."""
    measured_table = table(four_rows(), noise=0.1)
    first, second = four_rows()[:2]
    noise = Noise(measured_table, seed=1)

    assert noise.factor(first.configuration) == Noise(measured_table, 1).factor(
        first.configuration
    )
    assert noise.factor(first.configuration) != noise.factor(second.configuration)
    assert noise.factor(first.configuration) != Noise(measured_table, 2).factor(
        first.configuration
    )


def test_noise_has_the_spread_of_the_table() -> None:
    """Over many searches the logarithm's deviation is the table's."""
    some = table([row(100.0)], noise=0.05)
    logs = [math.log(Noise(some, seed).factor(SOME)) for seed in range(500)]

    assert math.sqrt(sum(each**2 for each in logs) / 500) == pytest.approx(0.05, rel=0.1)


def test_a_lucky_configuration_is_lucky_in_everything() -> None:
    """What is measured of it is scaled as a whole, so luck never prunes what would be best."""
    some = table([row(100.0)], noise=0.3)
    noise = next(n for n in (Noise(some, seed) for seed in range(9)) if n.factor(SOME) > 1.3)
    factor = noise.factor(SOME)

    kept, _ = trial(row(100.0), 0, 99.0 * factor, noise)
    pruned, _ = trial(row(100.0), 0, 127.0 * factor, noise)

    assert kept.state is TrialState.FEASIBLE
    assert kept.throughput == pytest.approx(100 * factor)
    assert kept.saturation == pytest.approx(120 * factor)
    assert pruned.state is TrialState.PRUNED
    assert pruned.throughput == pytest.approx(120 * factor)


def test_a_search_trial_by_trial() -> None:
    """The third is pruned, the fourth is the best of the table: nothing is asked for after it."""
    rows = [*four_rows(), row(10.0, list(SPACE.grid())[5])]
    proposer = Listed(rows)

    moments = list(replayed(table(rows), proposer, seed=0))

    assert [each.capacity for each in moments] == [100.0, 200.0, 200.0, 400.0]
    assert [each.cost.trials for each in moments] == [1, 2, 3, 4]
    assert [each.cost.points for each in moments] == [5, 10, 12, 17]
    assert [each.cost.time_s for each in moments] == pytest.approx([12.0, 24.0, 29.4, 41.4])
    states = [each.state for each in proposer.told]
    assert states[2] is TrialState.PRUNED
    assert [*states[:2], states[3]] == [TrialState.FEASIBLE] * 3
    assert proposer.ask() == Proposal(4, rows[4].configuration)


def test_several_in_flight() -> None:
    """The baseline runs alone, for 12 s; then whichever host is free takes the next proposal.

    After 26 s one carries 400/s. So the one of 200/s, which began before, is given up at the end
    of the point in progress, and the one that began at 24 s once its saturation is known.
    """
    rows = [*four_rows(), row(10.0, list(SPACE.grid())[5])]
    rows[1] = replace(rows[1], timings_s={"search": 18.0, "total": 24.0})
    rows[3] = replace(rows[3], timings_s={"search": 3.0, "total": 14.0})
    rows[4] = replace(rows[4], timings_s={"search": 0.5, "total": 4.5})
    better = row(900.0, list(SPACE.grid())[6])
    proposer = Listed(rows, in_order=False)

    moments = list(replayed(table([*rows, better]), proposer, seed=0, in_flight=3))

    feasible, pruned = TrialState.FEASIBLE, TrialState.PRUNED
    told = [(0, feasible), (2, feasible), (3, feasible), (4, pruned), (1, pruned)]
    assert [(each.number, each.state) for each in proposer.told] == told
    assert [each.cost.time_s for each in moments] == pytest.approx([12, 24, 26, 28, 30])
    assert [each.cost.points for each in moments] == [5, 10, 15, 17, 21]
    assert [each.capacity for each in moments] == [100.0, 150.0, 400.0, 400.0, 400.0]


@pytest.mark.parametrize("name", ["tpe", "random", RANDOM])
def test_one_in_flight_is_one_after_another(name: str) -> None:
    """Asked and told in turn, each against the best before it: so is a study on one machine."""
    landscape, seed = replace(grid_table(), noise=0.2), 3
    noise, search = Noise(landscape, seed), proposer(name, landscape, seed)
    beat, cost = 0.0, Cost()
    expected: list[object] = []
    while (proposal := search.ask()) is not None:
        tried = landscape.rows[proposal.configuration]
        record, spent = trial(tried, proposal.number, beat, noise)
        search.tell(proposal.number, record)
        cost += spent
        expected.append((cost.trials, cost.points, pytest.approx(cost.time_s)))
        if record.state is TrialState.FEASIBLE:
            beat = max(beat, record.throughput * math.exp(-1.96 * record.log_error))

    moments = list(replayed(landscape, proposer(name, landscape, seed), seed))

    found = [(m.cost.trials, m.cost.points, m.cost.time_s) for m in moments]
    assert found == expected[: len(found)]
    assert len(found) > 3


def test_the_throughput_to_beat_is_the_lower_end_of_the_best() -> None:
    """200/s with an error of 1 % is not beaten by proof below 196/s."""
    best, close = row(200.0, four_rows()[0].configuration), four_rows()[1]

    def states(capacity: float) -> list[TrialState]:
        # Its saturation, and 5 % on top, is what is compared.
        other = row(capacity, close.configuration, saturation=capacity)
        proposer = Listed([best, other])
        # Something better yet, which is not proposed: or else the search would be over.
        unknown = row(900.0, four_rows()[2].configuration)
        list(replayed(table([best, other, unknown]), proposer, seed=0))
        return [each.state for each in proposer.told]

    lower = 200 * math.exp(-1.96 * 0.01)
    assert states(1.001 * lower / 1.05)[1] is TrialState.FEASIBLE
    assert states(0.999 * lower / 1.05)[1] is TrialState.PRUNED


def test_what_is_recommended_is_what_measured_best() -> None:
    """Its capacity in the table counts, though, which the search cannot see."""
    rows = [row(c, each) for c, each in zip((100.0, 98.0), SPACE.grid(), strict=False)]
    noisy = table(rows, noise=0.1)
    seed = next(s for s in range(99) if _misled(noisy, rows, s))

    moments = list(replayed(noisy, Listed(rows), seed))

    assert [each.capacity for each in moments] == [100.0, 98.0]


def _misled(noisy: Table, rows: Sequence[Row], seed: int) -> bool:
    noise = Noise(noisy, seed)
    return noise.capacity(rows[1]) > noise.capacity(rows[0])


def test_a_search_that_has_tried_everything_ends() -> None:
    """Also where nothing is feasible, and nothing can be recommended."""
    broken = [failed(each) for each in list(SPACE.grid())[:3]]

    moments = list(replayed(table(broken), Listed(broken), seed=0))

    assert [each.capacity for each in moments] == [0.0, 0.0, 0.0]
    assert moments[-1].cost == Cost(3, 3, 12.0)


def test_the_whole_space() -> None:
    """Every configuration with eleven loads, and the time that the table took."""
    assert exhaustive(table(four_rows())) == Cost(4, 44, 48.0)

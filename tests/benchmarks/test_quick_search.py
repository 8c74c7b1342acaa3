"""Model Analyzer's quick search climbs as its documentation says, on servers made of formulas."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quick_search import (
    Grid,
    Result,
    Run,
    Variant,
    quick_search,
    recommended,
)

GRID = Grid(
    instances=(1, 2, 3, 4, 5),
    batches=(1, 2, 4, 8, 16, 32, 64),
    default_concurrency=128,
    largest_concurrency=1024,
)
DEFAULTS = Variant(1, 1)
NEVER_S = 1e9

Peak = Callable[[int, int], float]


def hill(instances: int, batch: int) -> float:
    """The most that comes through, highest for 4 instances and batches of 16."""
    return 1000 / (1 + 0.1 * (instances - 4) ** 2 + 0.1 * math.log2(batch / 16) ** 2)


def steep_hill(instances: int, batch: int) -> float:
    """Highest for 3 instances and batches of 16."""
    return 1000 / (1 + 0.4 * (instances - 3) ** 2 + 0.25 * math.log2(batch / 16) ** 2)


def slope(instances: int, batch: int) -> float:
    """More of everything is always better."""
    return 100.0 * instances * math.sqrt(batch)


def served(peak: Peak, variant: Variant | None, concurrency: int) -> Result | None:
    """By Little's law; it takes all instances with full batches to get the most through."""
    which = variant or DEFAULTS
    most = peak(which.instances, which.largest_batch)
    if most == 0:
        return None
    filled = min(1.0, concurrency / (which.instances * which.largest_batch))
    return Result(most * filled, concurrency / (most * filled))


def searched(peak: Peak, *, limit_s: float = NEVER_S, grid: Grid = GRID) -> tuple[Run, ...]:
    return quick_search(grid, limit_s, lambda variant, load: served(peak, variant, load))


def climbed(runs: Sequence[Run]) -> list[Variant]:
    """The variants of the climb, which measures each of them once, in the order it came to."""
    first = {run.variant: run for run in reversed(runs) if run.variant is not None}
    return [run.variant for run in runs if run.variant and first[run.variant] is run]


def swept(runs: Sequence[Run], variant: Variant | None) -> list[int]:
    """The concurrencies it was measured with, in order."""
    return [run.concurrency for run in runs if run.variant == variant]


def test_it_begins_with_the_defaults_and_the_smallest_values() -> None:
    """Then come three neighbours whose values none of them had; then it moves."""
    runs = searched(slope)

    assert [run.variant for run in runs[:5]] == [
        None,
        Variant(1, 1),
        Variant(2, 1),
        Variant(1, 2),
        Variant(3, 4),
    ]
    assert runs[0].concurrency == 128


def test_the_concurrency_of_the_climb_is_a_formula() -> None:
    """Twice as many in flight as all instances take in one batch."""
    runs = searched(hill)

    for variant in climbed(runs):
        assert swept(runs, variant)[0] == 2 * variant.instances * variant.largest_batch


def test_the_top_of_a_hill_is_found() -> None:
    """Without a latency budget it recommends the best of all, and tried a fifth of them."""
    runs = searched(hill)

    assert recommended(runs, NEVER_S) == Variant(4, 16)
    assert len(climbed(runs)) == 7


def test_a_whole_climb_as_worked_out_on_paper() -> None:
    """Too long a step, back, round in a circle once, and an end one step below the top."""
    runs = searched(steep_hill)

    # Homes: (1, 1), (3, 4), (5, 16), (4, 8), (3, 4), (5, 16), (3, 8).
    assert [(v.instances, v.largest_batch) for v in climbed(runs)] == [
        (1, 1),
        (2, 1),
        (1, 2),
        (3, 4),
        (5, 16),
        (4, 16),
        (5, 32),
        (4, 8),
        (3, 8),
    ]
    assert recommended(runs, NEVER_S) == Variant(3, 8)


@pytest.mark.parametrize(
    ("growth", "home"), [(1.2, Variant(2, 2)), (1.4, Variant(2, 4)), (8.0, Variant(3, 8))]
)
def test_a_steep_gain_moves_further(growth: float, home: Variant) -> None:
    """By 1, 2 or 3 indices for more than 9, 30 or 100 % each index of distance."""
    # For each doubling of the batch: the gains of (1, 2) and (3, 4) over home, over 3 indices,
    # are 18, 33 and 116 %; over the 3 indices of the instances it is (3, 4) alone.
    runs = searched(lambda instances, batch: growth ** math.log2(batch))

    assert climbed(runs)[4] == home


def test_flat_ground_ends_the_climb() -> None:
    """Where nothing gains 9 % it stays at home, after home and three neighbours."""
    runs = searched(lambda instances, batch: 500.0 + instances)

    assert len(climbed(runs)) == 4


def test_near_the_limit_it_measures_all_that_is_next_to_home() -> None:
    """A home within the limit, a neighbour over it: no end before all next to home are known."""
    runs = searched(slope, limit_s=0.1)

    # 160 in flight at 2000/s take 80 ms; with batches of 32 it is 113 ms.
    assert climbed(runs)[4:] == [Variant(5, 16), Variant(4, 16), Variant(5, 32), Variant(5, 8)]
    assert recommended(runs, 0.1) == Variant(5, 16)


def test_where_all_are_over_the_limit_it_goes_where_the_latency_falls() -> None:
    """More instances are faster, larger batches slower: three more instances, no larger batch."""
    runs = searched(lambda instances, batch: 10.0 * instances**3, limit_s=0.03)

    # 200 ms at home, 50 ms with 2 instances, 400 ms with batches of 2, 89 ms with 3 and 4.
    assert climbed(runs)[4] == Variant(4, 1)


def test_what_crashes_is_no_neighbour() -> None:
    """More than 2 instances crash: it looks for others, and finds the best that works."""
    runs = searched(lambda instances, batch: slope(instances, batch) if instances <= 2 else 0.0)

    assert Variant(3, 4) in climbed(runs)
    assert recommended(runs, NEVER_S) == Variant(2, 64)


def test_it_steps_back_from_a_home_that_crashes() -> None:
    """The step to 5 instances and 16 crashes: home is again the best one near, with all beside."""

    def most(instances: int, batch: int) -> float:
        return 0.0 if (instances, batch) == (5, 16) else slope(instances, batch)

    tried = climbed(searched(most))

    after = tried[tried.index(Variant(5, 16)) + 1 :]
    assert set(after[:4]) == {Variant(3, 2), Variant(3, 8), Variant(2, 4), Variant(4, 4)}


def test_it_steps_back_over_the_limit_when_it_was_within() -> None:
    """The step to 5 instances and 16 takes 80 ms of 70: it goes back to where it was within."""
    runs = searched(slope, limit_s=0.07)
    tried = climbed(runs)

    after = tried[tried.index(Variant(5, 16)) + 1 :]
    assert set(after[:4]) == {Variant(3, 2), Variant(3, 8), Variant(2, 4), Variant(4, 4)}
    best = recommended(runs, 0.07)
    assert best is not None
    assert slope(best.instances, best.largest_batch) > slope(3, 4)


def test_where_nothing_works_it_ends_at_once() -> None:
    """The defaults and the smallest values, and nothing is swept."""
    runs = searched(lambda instances, batch: 0.0)

    assert [run.variant for run in runs] == [None, Variant(1, 1)]
    assert recommended(runs, NEVER_S) is None


def test_the_best_three_and_the_defaults_are_swept() -> None:
    """Concurrency doubles from 1 for these four, and for no other."""
    runs = searched(hill)

    by_count = Counter(run.variant for run in runs)
    several = {variant for variant, count in by_count.items() if count > 1}
    ranked = sorted(climbed(runs), key=lambda v: hill(v.instances, v.largest_batch), reverse=True)
    assert several == {None, *ranked[:3]}
    assert swept(runs, ranked[0])[1:4] == [1, 2, 4]


def test_a_sweep_ends_where_throughput_does_not_rise() -> None:
    """Four concurrencies in a row, the best of them less than 5 % above the first."""
    runs = searched(lambda instances, batch: 100.0, grid=single(1))

    # 2 in flight came from the climb, and all that is swept gives the same.
    assert sorted(swept(runs, Variant(1, 1))) == [1, 2, 4, 8]


def test_a_sweep_ends_at_the_largest_concurrency() -> None:
    """Nobody asks for more in flight than was allowed."""
    runs = searched(lambda instances, batch: 1e6, grid=single(10**6, largest=32))

    assert swept(runs, Variant(1, 10**6))[1:] == [1, 2, 4, 8, 16, 32]


def test_a_violated_limit_is_bisected() -> None:
    """Five steps at most, between the last concurrency within the limit and the first over it."""
    # Up to 64 in flight take 64 ms, each one more another millisecond.
    grid = single(64, largest=256)

    runs = searched(lambda instances, batch: 1000.0, limit_s=0.0645, grid=grid)

    assert swept(runs, Variant(1, 64)) == [128, 1, 2, 4, 8, 16, 32, 64, 256, 96, 80, 72, 68, 66]


def test_of_several_violations_the_last_is_bisected() -> None:
    """A latency that is over the limit at 2 in flight, and again from 32 on."""

    def measure(variant: Variant | None, concurrency: int) -> Result:
        slow = concurrency == 2 or concurrency >= 32
        return Result(float(concurrency), 1.0 if slow else 0.01)

    runs = quick_search(single(1, largest=32), 0.1, measure)

    assert swept(runs, Variant(1, 1)) == [2, 1, 4, 8, 16, 32, 24, 28, 30, 31]


def single(batch: int, *, largest: int = 1024) -> Grid:
    """Nothing to climb."""
    return Grid(
        instances=(1,),
        batches=(batch,),
        default_concurrency=1,
        largest_concurrency=largest,
    )


def test_of_two_over_the_limit_the_lower_latency_is_better() -> None:
    """Where nothing is within the limit it goes to what is nearest, and recommends that."""
    runs = (
        Run(Variant(1, 1), 2, Result(100.0, 0.3)),
        Run(Variant(2, 1), 4, Result(50.0, 0.2)),
        Run(None, 2, None),
    )

    assert recommended(runs, 0.1) == Variant(2, 1)
    assert recommended(runs, 0.25) == Variant(2, 1)
    assert recommended(runs, 0.35) == Variant(1, 1)
    assert recommended((), 0.1) is None


@given(
    capacities=st.lists(st.floats(0.0, 1e4, allow_subnormal=False), min_size=35, max_size=35),
    limit_s=st.floats(1e-4, 10.0),
)
def test_on_any_landscape(capacities: list[float], limit_s: float) -> None:
    """It ends, stays in its grid, measures nothing twice, and goes no further than its radius."""
    places = [(i, b) for i in GRID.instances for b in GRID.batches]
    peaks = {place: c if c >= 1 else 0.0 for place, c in zip(places, capacities, strict=True)}

    runs = searched(lambda instances, batch: peaks[instances, batch], limit_s=limit_s)

    assert len({(run.variant, run.concurrency) for run in runs}) == len(runs)
    tried = [
        (GRID.batches.index(v.largest_batch), GRID.instances.index(v.instances))
        for v in climbed(runs)
    ]
    for number, place in enumerate(tried[1:], start=1):
        nearest = min(math.dist(place, before) for before in tried[:number])
        assert nearest <= math.hypot(3, 3)
    best = recommended(runs, limit_s)
    within = [r for r in runs if r.result and r.result.latency_s <= limit_s]
    assert not within or best in {run.variant for run in within}


@pytest.mark.parametrize("concurrency", [1, 7, 1024])
def test_defaults_are_measured_with_their_own_concurrency(concurrency: int) -> None:
    """Its value is the caller's: what the model's own batch and instances come to."""
    grid = Grid(instances=(1,), batches=(1,), default_concurrency=concurrency)

    assert searched(slope, grid=grid)[0] == Run(
        None, concurrency, served(slope, None, concurrency)
    )

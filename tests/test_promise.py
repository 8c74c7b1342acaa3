"""What is left to gain."""

import math
import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from tests.report_tests import studies
from tests.spaces import choice, integer, real, space, switch
from tuner.errors import Reason
from tuner.promise import ENOUGH, Prospects, _improvement
from tuner.records import TrialRecord, TrialState
from tuner.space import Configuration

SPACE = space(
    integer("instances", high=8),
    integer("size", low=2, high=64, log=True, default=16),
    switch("batching"),
    integer("delay", when="batching", low=0, high=4, default=0),
    choice("system", "jemalloc", "tcmalloc", name="allocator"),
)
GRID = tuple(SPACE.grid())


def capacity(configuration: Configuration) -> float:
    """A smooth hill: best in the middle of two parameters; the others hardly matter."""
    instances = int(configuration["instances"])
    size = math.log2(float(configuration["size"]))
    slower = 1.0 if configuration["batching"] else 0.97
    return 1000 * slower * math.exp(-0.02 * (instances - 5) ** 2 - 0.03 * (size - 4) ** 2)


def trial(configuration: Configuration, throughput: float, **facts: Any) -> TrialRecord:
    return studies.trial(0, configuration=configuration, throughput=throughput, points=(), **facts)


def told(
    configurations: Iterable[Configuration], value: Callable[[Configuration], float] = capacity
) -> list[TrialRecord]:
    return [trial(configuration, value(configuration)) for configuration in configurations]


def promise(trials: list[TrialRecord], candidates: Iterable[Configuration] = GRID) -> float:
    tried = {t.configuration for t in trials}
    return Prospects(SPACE, tuple(candidates)).promise(trials, tried)


def drawn(count: int, seed: int = 0) -> list[Configuration]:
    return random.Random(seed).sample(GRID, count)


def test_unknown_at_first() -> None:
    """With too few trials, everything is possible."""
    assert promise(told(drawn(ENOUGH - 1))) == math.inf
    assert math.isfinite(promise(told(drawn(ENOUGH))))


def test_unknown_without_a_capacity() -> None:
    """As long as nothing is feasible, or too little of it, everything is possible."""
    pruned = [trial(c, capacity(c), state=TrialState.PRUNED) for c in drawn(20)]
    infeasible = [trial(c, 0.0, state=TrialState.INFEASIBLE) for c in drawn(20)]
    crashed = [
        trial(c, 900.0, state=TrialState.FAILED, reason=Reason.WRONG_OUTPUT) for c in drawn(20)
    ]

    assert promise(pruned) == math.inf
    assert promise([*infeasible, *told(drawn(2, seed=1))]) == math.inf
    assert promise([*crashed, *told(drawn(2, seed=1))]) == math.inf
    assert math.isfinite(promise([*pruned, trial(GRID[0], 100.0)]))


def test_nothing_left() -> None:
    """Where all was tried, nothing can be gained."""
    assert promise(told(drawn(30)), candidates=drawn(20)) == 0.0


def test_shrinks_as_the_best_is_approached() -> None:
    """Much is expected after a dozen trials around the worst, hardly anything around the best."""
    by_capacity = sorted(GRID, key=capacity)

    poor = promise(told(by_capacity[:60:5]))
    good = promise(told([*by_capacity[:60:5], *by_capacity[-1:-60:-2]]))

    assert poor > 0.2
    assert good < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_expects_about_what_there_is(seed: int) -> None:
    """After thirty trials at random on a smooth hill, the best left is nearly known."""
    trials = told(drawn(30, seed))
    tried = {t.configuration for t in trials}
    best = max(t.throughput for t in trials)
    gain = max(capacity(c) for c in GRID if c not in tried) / best - 1

    assert promise(trials) == pytest.approx(max(0.0, gain), abs=0.05)


def test_noise_alone_promises_little() -> None:
    """Where nothing matters but noise, no configuration is expected to be far better."""
    noise = random.Random(0)
    steady = promise(told(drawn(40), lambda _: 100.0))
    noisy = promise(told(drawn(40), lambda _: 100 * math.exp(noise.gauss(0, 0.02))))

    assert steady < 0.005
    assert noisy < 0.02


def test_where_trials_failed_less_is_expected() -> None:
    """A candidate among failures and infeasible trials promises less than one among others."""
    trials = told([c for c in GRID if c["instances"] in (1, 2)][::3])
    candidates = [c for c in GRID if c["instances"] == 3]
    beside = [c for c in GRID if c["instances"] == 4][::2]
    crashed = [trial(c, 0.0, state=TrialState.FAILED, reason=Reason.OUT_OF_MEMORY) for c in beside]
    slow = [trial(c, 0.0, state=TrialState.INFEASIBLE) for c in beside]
    spoiled = [
        trial(c, 0.0, state=TrialState.FAILED, reason=Reason.CLIENT_OVERLOADED) for c in beside
    ]

    before = promise(trials, candidates)

    assert promise([*trials, *crashed], candidates) < 0.5 * before
    assert promise([*trials, *slow], candidates) < 0.5 * before
    assert promise([*trials, *spoiled], candidates) == before


def test_one_answer() -> None:
    """The same trials promise the same, as often as one asks."""
    trials = told(drawn(25))
    prospects = Prospects(SPACE, GRID)
    tried = {t.configuration for t in trials}

    assert prospects.promise(trials, tried) == prospects.promise(trials, tried)


def test_real_parameters() -> None:
    """Parameters that cannot be counted are compared by where they lie in their interval."""
    plane = space(real("x"), real("y", low=1.0, high=100.0, default=1.0, log=True))
    chance = random.Random(0)
    points = [
        Configuration.of({"x": chance.random(), "y": 100 ** chance.random()}) for _ in range(300)
    ]

    def hill(c: Configuration) -> float:
        x, y = float(c["x"]), math.log10(float(c["y"])) / 2
        return 100 * math.exp(-4 * (x - 0.8) ** 2 - 4 * (y - 0.7) ** 2)

    trials = told(points[:40], hill)
    found = Prospects(plane, points).promise(trials, {t.configuration for t in trials})
    gain = max(map(hill, points)) / max(map(hill, points[:40])) - 1

    assert found == pytest.approx(max(0.0, gain), abs=0.03)


def test_expected_improvement() -> None:
    """The closed form agrees with the mean over many draws."""
    draws = np.random.default_rng(0).normal(size=400_000)

    for mean, deviation in ((0.0, 0.1), (-0.3, 0.2), (0.2, 0.05)):
        expected = np.maximum(0.0, np.expm1(mean + deviation * draws)).mean()
        found = _improvement(np.array([mean]), np.array([deviation]))
        assert found[0] == pytest.approx(expected, rel=0.02)

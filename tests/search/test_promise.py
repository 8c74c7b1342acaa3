"""What an untried configuration promises."""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.report import studies
from tests.spaces import choice, integer, real, space, switch
from tuner.errors import Reason
from tuner.records import TrialRecord, TrialState
from tuner.search.promise import Prospects, _improvement
from tuner.space.space import Configuration

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


def useless(configurations: Iterable[Configuration], **facts: Any) -> list[TrialRecord]:
    return [trial(configuration, 0.0, **facts) for configuration in configurations]


def expected(
    trials: Sequence[TrialRecord], candidates: Iterable[Configuration] = GRID
) -> dict[Configuration, float]:
    tried = {t.configuration for t in trials}
    return Prospects(SPACE, tuple(candidates)).expected(trials, tried)


def drawn(count: int, seed: int = 0) -> list[Configuration]:
    return random.Random(seed).sample(GRID, count)


def test_nothing_without_a_capacity() -> None:
    """As long as nothing is feasible, nobody can say what an improvement would be."""
    pruned = [trial(c, capacity(c), state=TrialState.PRUNED) for c in drawn(20)]

    assert expected([]) == {}
    assert expected(useless(drawn(20), state=TrialState.INFEASIBLE)) == {}
    assert expected(pruned) == {}
    assert len(expected([*pruned, trial(GRID[0], 100.0)])) > 0


def test_only_what_was_not_tried() -> None:
    """Each candidate that was not tried promises something, and each one that is added."""
    trials = told(drawn(30))
    tried = {t.configuration for t in trials}
    fresh = [c for c in GRID if c not in tried]
    prospects = Prospects(SPACE, drawn(20))

    assert expected(trials).keys() == set(fresh)
    assert expected(trials, candidates=drawn(20)) == {}
    assert prospects.expected(trials, tried, more=[*fresh[:3], *drawn(2)]).keys() == set(fresh[:3])
    assert all(gain >= 0 for gain in expected(trials).values())


@pytest.mark.parametrize("seed", range(4))
def test_shrinks_as_more_is_known(seed: int) -> None:
    """Something is expected after a dozen trials, hardly anything after a hundred and sixty."""
    few, many = expected(told(drawn(12, seed))), expected(told(drawn(160, seed)))

    assert max(few.values()) > 0.01
    assert max(many.values()) < 0.005


@pytest.mark.parametrize("seed", range(4))
def test_expects_about_what_there_is(seed: int) -> None:
    """After thirty trials at random on a smooth hill, the best left is nearly known."""
    trials = told(drawn(30, seed))
    promised = expected(trials)
    best = max(t.throughput for t in trials)
    gain = max(capacity(c) for c in promised) / best - 1
    chosen = max(promised, key=lambda c: promised[c])

    assert max(promised.values()) == pytest.approx(max(0.0, gain), abs=0.05)
    assert capacity(chosen) > 0.97 * max(map(capacity, GRID))


def test_noise_alone_promises_little() -> None:
    """Where nothing matters but noise, no configuration is expected to be far better."""
    noise = random.Random(0)
    steady = expected(told(drawn(40), lambda _: 100.0))
    noisy = expected(told(drawn(40), lambda _: 100 * math.exp(noise.gauss(0, 0.02))))

    assert max(steady.values()) < 0.005
    assert max(noisy.values()) < 0.02


def test_what_is_mostly_noise_is_told_as_such() -> None:
    """Starts that scatter by 20 % and nothing else are no reason to search on."""
    noise = random.Random(0)
    scattered = expected(told(drawn(40), lambda _: 100 * math.exp(noise.gauss(0, 0.2))))

    assert max(scattered.values()) < 0.005


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"state": TrialState.INFEASIBLE}, id="infeasible"),
        pytest.param(
            {"state": TrialState.FAILED, "reason": Reason.OUT_OF_MEMORY}, id="out of memory"
        ),
    ],
)
def test_less_beside_what_was_useless(facts: dict[str, Any]) -> None:
    """A candidate among failures or infeasible trials promises less than without them."""
    trials = told([c for c in GRID if c["instances"] in (1, 2)][::3])
    candidates = [c for c in GRID if c["instances"] == 3]
    beside = [c for c in GRID if c["instances"] == 4][::2]

    before = expected(trials, candidates)
    after = expected([*trials, *useless(beside, **facts)], candidates)

    assert max(after.values()) < 0.5 * max(before.values())


def test_what_is_not_its_fault_says_nothing() -> None:
    """Trials that the tuner itself spoiled change no expectation."""
    trials = told(drawn(30))
    beside = drawn(200)[30:]
    spoiled = useless(beside, state=TrialState.FAILED, reason=Reason.CLIENT_OVERLOADED)
    tried = {t.configuration for t in trials}
    prospects = Prospects(SPACE, GRID)

    assert prospects.expected([*trials, *spoiled], tried) == prospects.expected(trials, tried)


def test_a_bound_is_better_than_nothing() -> None:
    """A pruned trial counts with its bound: less than nothing known, more than a failure."""
    trials = told([c for c in GRID if c["instances"] in (1, 2)][::3])
    candidates = [c for c in GRID if c["instances"] == 4]
    beside = [c for c in GRID if c["instances"] == 5][::3]
    best = max(t.throughput for t in trials)
    pruned = [trial(c, 0.9 * best, state=TrialState.PRUNED) for c in beside]
    failed = useless(beside, state=TrialState.FAILED, reason=Reason.CRASHED)

    unknown, bounded, crashed = (
        max(expected([*trials, *more], candidates).values()) for more in ([], pruned, failed)
    )

    assert crashed < 0.7 * bounded < 0.5 * unknown


def test_useless_is_less_than_the_only_success() -> None:
    """With a single capacity known, what was useless counts as half of it."""
    line = space(integer("n", high=40))
    at = [Configuration.of({"n": n}) for n in range(1, 41)]
    trials = [trial(at[19], 100.0), *useless([at[39]], state=TrialState.INFEASIBLE)]

    found = Prospects(line, at).expected(trials, {t.configuration for t in trials})

    assert found[at[36]] < 0.01 * found[at[2]]


def test_one_answer() -> None:
    """The same trials promise the same, as often as one asks."""
    trials = told(drawn(25))

    assert expected(trials) == expected(trials)


def test_many_trials() -> None:
    """Of more trials than a model needs, a selection is used; it expects no less well."""
    trials = told(drawn(400))
    promised = expected(trials)
    best = max(t.throughput for t in trials)

    assert max(promised.values()) == pytest.approx(
        max(0.0, max(map(capacity, promised)) / best - 1), abs=0.01
    )


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
    found = Prospects(plane, points).expected(trials, {t.configuration for t in trials})
    gain = max(map(hill, points)) / max(map(hill, points[:40])) - 1

    assert max(found.values()) == pytest.approx(max(0.0, gain), abs=0.03)


def test_expected_improvement() -> None:
    """The closed form agrees with the mean over many draws."""
    draws = np.random.default_rng(0).normal(size=400_000)

    for mean, deviation in ((0.0, 0.1), (-0.3, 0.2), (0.2, 0.05)):
        drawn_mean = np.maximum(0.0, np.expm1(mean + deviation * draws)).mean()
        found = _improvement(np.array([mean]), np.array([deviation]))
        assert found[0] == pytest.approx(drawn_mean, rel=0.02)

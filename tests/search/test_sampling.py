"""The search with each sampler, and what it does about regions that crash."""

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.analysis.known import known
from tests.search.test_search import SERVER, crashed, optunas, run, search, server, throughput
from tests.spaces import choice, integer, real, space, switch
from tuner.records import TrialRecord, TrialState
from tuner.search.samplers import Sampler
from tuner.space.space import Configuration

# One corner, of a quarter of the space, crashes.
CORNER = space(integer("memory", high=8), integer("copies", high=8), integer("other", high=8))


def corner(configuration: Configuration) -> dict[str, Any]:
    """The more of both, the better; too much of both crashes."""
    memory, copies = int(configuration["memory"]), int(configuration["copies"])
    return crashed() if memory > 4 and copies > 4 else throughput(10.0 * memory + copies)


def share_crashed(trials: list[TrialRecord]) -> float:
    return sum(t.state is TrialState.FAILED for t in trials) / len(trials)


@pytest.mark.parametrize("sampler", Sampler)
def test_every_sampler_is_valid_and_new(url: str, sampler: Sampler) -> None:
    """With any sampler, conditions and rules hold, and nothing is proposed twice."""
    started = search(SERVER, url, sampler=sampler)
    started.enqueue(SERVER.defaults)

    proposed = [t.configuration for t in run(started, server, 25)]

    assert proposed[0] == SERVER.defaults
    assert len(set(proposed)) == 25
    for configuration in proposed:
        assert configuration == SERVER.activate(configuration)
        assert SERVER.violations(configuration) == ()
        assert all(SERVER[name].accepts(value) for name, value in configuration.items())


@pytest.mark.parametrize("sampler", Sampler)
def test_every_sampler_ends(sampler: Sampler) -> None:
    """With any sampler, the whole of a small space is tried; then there is nothing to propose."""
    small = space(switch(), integer("size", when="batching", low=2, high=8, log=True, default=2))
    started = search(small, sampler=sampler)

    proposed = {t.configuration for t in run(started, lambda _: throughput(1.0), 50)}

    assert proposed == set(small.grid())
    assert started.ask() is None


@pytest.mark.parametrize("sampler", Sampler)
def test_every_sampler_goes_on(url: str, sampler: Sampler) -> None:
    """With any sampler, a search made again repeats nothing, and the lost trial comes first."""
    killed = search(SERVER, url, sampler=sampler)
    before = list(run(killed, server, 10))
    lost = known(killed.ask())
    again = search(SERVER, url, sampler=sampler, seed=1)

    again.resume({t.proposal: t for t in before if t.proposal is not None})
    after = [t.configuration for t in run(again, server, 10)]

    assert after[0] == lost.configuration
    assert not {t.configuration for t in before} & set(after)


def trace(sampler: Sampler, outcome: Callable[[Configuration], dict[str, Any]]) -> list[object]:
    small = space(integer("memory", high=6), integer("copies", high=6))
    return [t.configuration for t in run(search(small, sampler=sampler), outcome, 30)]


def test_random_learns_nothing() -> None:
    """What a random search proposes has nothing to do with what came of it; others learn."""

    def flat(_: Configuration) -> dict[str, Any]:
        return throughput(1.0)

    assert trace(Sampler.RANDOM, corner) == trace(Sampler.RANDOM, flat)
    assert trace(Sampler.TPE, corner) != trace(Sampler.TPE, flat)


@pytest.mark.parametrize(("local_steps", "expected"), [(0, 0), (1, 0.5), (3, 0.75)])
def test_how_many_steps_are_small(local_steps: int, expected: float) -> None:
    """Of the steps after the first trial, as many as asked for are next to the best so far."""
    plane = space(integer("a", high=40), integer("b", high=40))
    started = search(plane, local_steps=local_steps, model=False)
    started.enqueue(Configuration.of({"a": 20, "b": 20}))
    peak = iter([100.0, *[1.0] * 40])

    steps = [t.configuration for t in run(started, lambda _: throughput(next(peak)), 9)][1:]
    near = [c for c in steps if abs(int(c["a"]) - 20) + abs(int(c["b"]) - 20) <= 2]

    assert len(near) / len(steps) == pytest.approx(expected, abs=0.13)


@pytest.mark.parametrize("model", [False, True])
def test_crashing_corners_are_left_alone(*, model: bool) -> None:
    """Once a corner is known to crash, few more proposals lie in it, and the model searches on."""
    searched = [list(run(search(CORNER, seed=s, model=model), corner, 60)) for s in range(4)]
    best = [max(t.throughput for t in trials) for trials in searched]

    assert share_crashed([trial for trials in searched for trial in trials[20:]]) <= 0.1
    assert min(best) >= 80 or not model


def test_a_crashing_region_is_the_last_resort() -> None:
    """What lies where trials crashed is tried in the end, after all that does not."""
    line = space(integer("n", high=30))

    def outcome(configuration: Configuration) -> dict[str, Any]:
        n = int(configuration["n"])
        return crashed() if n > 20 else throughput(n)

    trials = list(run(search(line, local_steps=10, model=False), outcome, 30))
    failed = [number for number, t in enumerate(trials) if t.state is TrialState.FAILED]

    assert len(trials) == 30
    assert failed[-5:] == [25, 26, 27, 28, 29]


def test_what_was_never_tried_is_safe_first() -> None:
    """When nothing good has a step left, what comes from anywhere is not where trials crashed."""
    grid = space(integer("n", high=12), choice("a", "b"))
    outcomes: dict[tuple[int, str], dict[str, Any]] = {
        (12, "a"): throughput(9.0),
        (12, "b"): {"state": TrialState.INFEASIBLE},
        (1, "b"): {"state": TrialState.INFEASIBLE},
        **{(n, "a"): crashed() for n in (11, 10, 9, 8)},
    }
    for seed in range(20):
        started = search(grid, seed=seed)
        for n, mode in outcomes:
            started.enqueue(Configuration.of({"n": n, "mode": mode}))
        list(run(started, lambda c: outcomes[int(c["n"]), str(c["mode"])], len(outcomes)))

        fresh = known(started._fresh(lambda _: False))

        assert not 8 <= int(fresh["n"]) <= 11


def test_sure_crashes_are_told_without_a_trial(url: str) -> None:
    """A sampler that insists on what surely crashes is told so; sometimes it is believed."""
    steep = space(integer("memory", high=100), integer("other", high=100))

    def outcome(configuration: Configuration) -> dict[str, Any]:
        memory = int(configuration["memory"])
        return crashed() if memory > 10 else throughput(1.0 + memory)

    trials = list(run(search(steep, url, local_steps=0), outcome, 30))
    told = optunas(url)

    assert 4 <= sum(t.state is TrialState.FAILED for t in trials) <= 15
    assert [t.constraints["crash"] == 1 for t in told] == [
        t.state is TrialState.FAILED for t in trials
    ]


def test_promise_falls() -> None:
    """Infinite at first; small once the best was found; nothing where all was tried."""
    started = search(SERVER)
    trials = run(started, server, 100)
    promised = [started.promise() for _ in itertools.islice(trials, 20)]
    assert len(list(trials)) == 80

    assert promised[:9] == [math.inf] * 9
    assert started.promise() < 0.02
    assert max(promised[12:20]) > started.promise()


def test_promise_changes_nothing() -> None:
    """Whoever asks for the promise gets the same proposals as who does not."""

    def trace(*, asks: bool) -> list[Configuration]:
        started = search(space(real(), choice("a", "b")))
        found = []
        outcome = random.Random(0)
        for trial in run(started, lambda _: throughput(outcome.uniform(1, 2)), 20):
            if asks:
                started.promise()
            found.append(trial.configuration)
        return found

    assert trace(asks=True) == trace(asks=False)


def test_nothing_left_promises_nothing() -> None:
    """An exhausted space has no promise."""
    started = search(space(integer(high=12)))
    proposals = list(run(started, lambda c: throughput(float(c["n"])), 20))

    assert len(proposals) == 12
    assert started.promise() == 0.0

"""The capacity search on simulated servers whose answers take seconds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tests.capacity.simulated_server import (
    Batching,
    Instances,
    SimulatedServer,
    Simulation,
    constant,
    lognormal,
    true_capacity,
)
from tuner.capacity.find import expected_s, find_capacity
from tuner.capacity.open_search import duration_s
from tuner.capacity.probes import Capacity, CapacityPlan
from tuner.goals import LatencyBudget
from tuner.load.profile import OpenLoop
from tuner.numbers.arrays import FloatArray
from tuner.records import Outcome, Phase

# A server whose answers take seconds, by what it does with several requests.
SLOW: dict[str, Callable[[float], Simulation]] = {
    "four workers": lambda answer_s: Instances(4, lognormal(answer_s, 0.1)),
    "batches": lambda answer_s: Batching(0.8 * answer_s, 0.025 * answer_s, most=8),
}


def slow(answer_s: float, limit_s: float, simulation: Simulation) -> tuple[Capacity, float]:
    """What is found of a slow server, and how long that takes."""
    budget = LatencyBudget(95, limit_s)
    drain_s = max(2 * limit_s + 0.2, 2 * answer_s)
    server = SimulatedServer(simulation, drain_s=drain_s, seed=1)
    capacity = find_capacity(server, CapacityPlan(budget=budget, concurrency=4))
    return capacity, server.spent_s


@pytest.mark.parametrize("answer_s", [0.1, 1.2, 5.0, 20.0])
@pytest.mark.parametrize("name", SLOW)
def test_a_server_whose_answers_take_seconds(name: str, answer_s: float) -> None:
    """It is measured like any other, for as long as its answers ask for."""
    simulation, limit_s = SLOW[name](answer_s), 2.5 * answer_s
    truth = true_capacity(
        simulation, LatencyBudget(95, limit_s), highest=10 / answer_s, requests=20_000
    )
    capacity, spent_s = slow(answer_s, limit_s, simulation)
    assert capacity.outcome is Outcome.FEASIBLE
    assert capacity.throughput == pytest.approx(truth, rel=0.25)
    assert capacity.unloaded_s == pytest.approx(answer_s, rel=0.3)
    assert spent_s < max(3 * expected_s(LatencyBudget(95, limit_s)), 80 * answer_s)


@pytest.mark.parametrize("limit_s", [0.05, 3.0])
def test_a_server_that_is_too_slow_is_no_failure(limit_s: float) -> None:
    """Answers of 20 s are over a limit of 3 s at any load: that is said, with what they take."""
    capacity, spent_s = slow(20.0, limit_s, Instances(4, constant(20.0)))
    assert (capacity.outcome, capacity.unloaded_s) == (Outcome.INFEASIBLE, 20.0)
    assert spent_s < 8 * 20.0


@dataclass(frozen=True)
class Shared(Instances):
    """Works on all requests at the same time, as threads of one core do; a round after another."""

    answer_s: float = 1.2

    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        round_s = concurrency * self.answer_s
        begins = np.repeat(np.arange(math.ceil(duration_s / round_s)) * round_s, concurrency)
        return begins, begins + round_s


def test_full_load_lasts_until_there_are_answers() -> None:
    """16 requests that share a core take 16 times as long: no less is waited for."""
    server = SimulatedServer(Shared(1, constant(1.2)), drain_s=6.2)
    plan = CapacityPlan(budget=LatencyBudget(95, 3.0), concurrency=16)
    capacity = find_capacity(server, plan)
    lengths = [d for phase, _, d in server.measured if phase is Phase.SATURATION]
    assert lengths == pytest.approx([5.4, 10.8, 21.6])
    assert capacity.saturation == pytest.approx(1 / 1.2)


@pytest.mark.parametrize("answer_s", [0.001, 0.005, 0.02, 0.05])
@pytest.mark.parametrize("factor", [2.5, 10.0])
def test_fast_servers_are_measured_no_longer(answer_s: float, factor: float) -> None:
    """Half a second of saturation, and points by the latency limit alone."""
    budget = LatencyBudget(95, factor * answer_s)
    server = SimulatedServer(Instances(2, lognormal(answer_s, 0.1)), drain_s=0.5)
    find_capacity(server, CapacityPlan(budget=budget, concurrency=4))
    lengths = {
        phase: [(profile, d) for p, profile, d in server.measured if p is phase] for phase in Phase
    }
    assert {d for _, d in lengths[Phase.SATURATION]} == {0.5}
    for profile, spent_s in lengths[Phase.SEARCH]:
        assert isinstance(profile, OpenLoop)
        assert spent_s == duration_s(budget, profile.rate)
    assert sum(d for _, d in lengths[Phase.UNLOADED]) <= 10.0
    saturation_s = 0.5 if factor * answer_s < 0.5 else 0.9  # of answers taken to be 0.2 s
    assert expected_s(budget) == 1.0 + 2 * saturation_s + 2 * duration_s(budget, 500)


def test_points_follow_slow_answers() -> None:
    """A point has up to fifteen answers without load, if 16 limits are longer."""
    assert duration_s(LatencyBudget(95, 10.0), 1.0, 5.0) == 75.0
    assert duration_s(LatencyBudget(95, 10.0), 1.0, 0.5) == 30.0
    assert duration_s(LatencyBudget(95, 0.5), 1.0, 5.0) == pytest.approx(8.0)
    assert expected_s(LatencyBudget(95, 40.0)) > 2 * 15 * 20.0

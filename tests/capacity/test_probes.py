"""The load that a server gets before anything counts, and what is to be beaten."""

from dataclasses import replace

import numpy as np
import pytest

from tests.capacity.simulated_server import (
    Batching,
    Instances,
    SimulatedServer,
    Simulation,
    constant,
)
from tuner.capacity.find import find_capacity
from tuner.capacity.probes import Beat, Capacity, CapacityPlan, RisingBeat
from tuner.goals import LatencyBudget, Loop
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop
from tuner.numbers.arrays import FloatArray
from tuner.records import Outcome, Phase

PLAN = CapacityPlan(budget=LatencyBudget(95, 0.05), concurrency=8)
BURST = (ClosedLoop(1), 0.05)
RUN_IN = (ClosedLoop(8), 1.0)


FAST = Instances(4, constant(0.01))  # 400 requests a second


def warm_up(
    simulation: Simulation, plan: CapacityPlan, *, failing_share: float = 0.0
) -> tuple[Capacity, list[tuple[object, float]]]:
    """The answer, and the load points of the warm-up with their length."""
    server = SimulatedServer(simulation, failing_share=failing_share)
    capacity = find_capacity(server, plan)
    phases = [phase for phase, *_ in server.measured]
    first = phases.index(Phase.UNLOADED)
    assert Phase.WARM_UP not in phases[first:]
    unloaded = {p for phase, p, _ in server.measured if phase is Phase.UNLOADED}
    assert unloaded == {ClosedLoop(1)}
    return capacity, [(profile, length_s) for _, profile, length_s in server.measured[:first]]


def answered(measurement: Measurement) -> int:
    return measurement.requests - measurement.failed - measurement.unanswered


@pytest.mark.parametrize("arrivals", Loop)
@pytest.mark.parametrize(("wanted", "points"), [(1, 1), (390, 1), (410, 2), (2000, 5), (2100, 6)])
def test_enough_requests_are_answered_before_anything_counts(
    arrivals: Loop, wanted: int, points: int
) -> None:
    """Full load for a second at a time, until so many were answered, and no longer."""
    plan = replace(PLAN, warm_up_requests=wanted, arrivals=arrivals)
    capacity, measured = warm_up(FAST, plan)

    assert measured == [*[RUN_IN] * points, BURST]
    run_in = [p.measurement for p in capacity.points if p.phase is Phase.WARM_UP][:-1]
    assert wanted <= sum(map(answered, run_in))
    assert sum(map(answered, run_in[:-1])) < wanted


def test_a_server_that_needs_no_warm_up_gets_none() -> None:
    """With 0 requests there are the bursts of every batch size, and nothing else."""
    simulation = Batching(base_s=2e-3, each_s=0.25e-3, most=4)
    _, measured = warm_up(simulation, replace(PLAN, largest_batch=4))

    assert measured == [(ClosedLoop(size), 0.05) for size in (1, 2, 4)]


def test_a_slow_server_is_not_warmed_up_for_ever() -> None:
    """After 20 seconds the measurement begins, however few were answered."""
    slow = Instances(1, constant(0.02))  # 50 requests a second
    capacity, measured = warm_up(slow, replace(PLAN, warm_up_requests=10_000))

    assert measured == [*[RUN_IN] * 20, BURST]
    assert capacity.outcome is Outcome.FEASIBLE


def test_bursts_of_batches_are_warm() -> None:
    """Full load comes before the bursts: cold ones would make the server look too slow."""
    simulation = Batching(base_s=2e-3, each_s=0.25e-3, most=4)
    _, measured = warm_up(simulation, replace(PLAN, largest_batch=4, warm_up_requests=1))

    assert measured == [RUN_IN, *[(ClosedLoop(size), 0.05) for size in (1, 2, 4)]]


def test_what_fails_is_not_answered() -> None:
    """Requests that failed do not count as warm-up: three in ten take more points for the rest."""
    plan = replace(PLAN, warm_up_requests=2000)
    capacity, measured = warm_up(FAST, plan, failing_share=0.3)

    assert len(measured) > 1 + 5
    run_in = [p.measurement for p in capacity.points if p.phase is Phase.WARM_UP][:-1]
    assert sum(map(answered, run_in)) >= 2000


class Compiling(Simulation):
    """Takes 20 ms for each request at first, and 2 ms once it has answered `cold` requests."""

    def __init__(self, cold: int) -> None:
        self._cold = cold

    def open_loop(self, arrivals: FloatArray, random: np.random.Generator) -> FloatArray:
        return Instances(1, constant(2e-3)).open_loop(arrivals, random)

    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        speed_s = 0.02 if self._cold > 0 else 2e-3
        server = Instances(1, constant(speed_s))
        arrivals, departures = server.closed_loop(concurrency, duration_s, random)
        self._cold -= len(arrivals)
        return arrivals, departures


@pytest.mark.parametrize(
    ("warm_up_requests", "outcome"), [(0, Outcome.INFEASIBLE), (600, Outcome.FEASIBLE)]
)
def test_a_server_is_judged_as_it_will_be(warm_up_requests: int, outcome: Outcome) -> None:
    """A server that compiles itself would be too slow alone, were it not warmed up before."""
    plan = replace(PLAN, budget=LatencyBudget(95, 0.01), warm_up_requests=warm_up_requests)
    capacity, _ = warm_up(Compiling(cold=500), plan)

    assert capacity.outcome is outcome


def test_a_beat_only_rises() -> None:
    """Hosts say what they found in any order; what is known for sure counts."""
    rising = RisingBeat(Beat(100.0))
    for beat in (Beat(90.0), Beat(101.0, log_error=0.1)):
        rising.raise_to(beat)
        assert rising.now == Beat(100.0)
    rising.raise_to(Beat(120.0, log_error=0.1))
    assert rising.now == Beat(120.0, log_error=0.1)

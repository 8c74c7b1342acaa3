"""The highest throughput of a closed loop within the budget, on simulated servers."""

from typing import Any

import pytest

from tests.capacity.simulated_server import (
    Batching,
    Instances,
    SimulatedServer,
    Simulation,
    constant,
    exponential,
)
from tuner.capacity.find import find_capacity
from tuner.capacity.probes import Beat, Capacity, CapacityPlan, RisingBeat
from tuner.goals import LatencyBudget, Loop
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop
from tuner.records import Outcome, Phase

WORKERS = Instances(4, constant(0.01))
"""Four that take 10 ms each: the latency is 10 ms x concurrency / 4."""


def searched(
    simulation: Simulation, limit_s: float, *, concurrency: int, beat: float = 0.0, batch: int = 1
) -> tuple[Capacity, list[int]]:
    """The answer, and the concurrencies that were tried."""
    server = SimulatedServer(simulation)
    plan = CapacityPlan(
        budget=LatencyBudget(95, limit_s),
        concurrency=concurrency,
        largest_batch=batch,
        beat=RisingBeat(Beat(beat)),
        arrivals=Loop.CLOSED,
    )
    capacity = find_capacity(server, plan)
    assert all(isinstance(profile, ClosedLoop) for _, profile, _ in server.measured)
    tried = [p for phase, p, _ in server.measured if phase is Phase.SEARCH]
    return capacity, [p.concurrency for p in tried if isinstance(p, ClosedLoop)]


@pytest.mark.parametrize("start", [1, 2, 8, 64])
def test_the_highest_concurrency_within_the_limit_is_found(start: int) -> None:
    """Four workers of 10 ms within 35 ms: 12 to 14 in flight, 400 answers a second."""
    capacity, tried = searched(WORKERS, 0.0351, concurrency=start)
    assert capacity.outcome is Outcome.FEASIBLE
    assert capacity.throughput == pytest.approx(400, rel=0.02)
    assert capacity.best is not None
    assert len(tried) == len(set(tried)) <= 12


def test_below_the_workers_each_request_in_flight_counts() -> None:
    """Within 10 ms no queue is possible: 4 in flight are all."""
    capacity, tried = searched(WORKERS, 0.0101, concurrency=32)
    assert capacity.throughput == pytest.approx(400, rel=0.02)
    assert tried[:4] == [32, 16, 8, 4]


def test_a_saturated_server_is_not_loaded_further() -> None:
    """With any latency allowed, the search ends where a doubling brings nothing."""
    _, tried = searched(WORKERS, 10.0, concurrency=1)
    assert max(tried) <= 16


def test_a_batch_that_waits_for_its_delay_hides_nothing() -> None:
    """Alone, a request waits 20 ms for others; with 8 in flight, batches leave at once."""
    simulation = Batching(base_s=2e-3, each_s=0.25e-3, most=8, delay_s=0.02)
    capacity, _ = searched(simulation, 0.012, concurrency=16, batch=8)
    assert capacity.outcome is Outcome.FEASIBLE
    assert capacity.throughput == pytest.approx(2000, rel=0.1)


def test_what_is_too_slow_alone_is_infeasible() -> None:
    """10 ms are not within 5 ms."""
    capacity, tried = searched(WORKERS, 0.005, concurrency=4)
    assert (capacity.outcome, capacity.throughput, tried) == (Outcome.INFEASIBLE, 0.0, [])


def test_what_cannot_beat_the_best_is_given_up() -> None:
    """Over the limit with less throughput than the best has: fewer in flight carry less."""
    capacity, tried = searched(WORKERS, 0.03, concurrency=64, beat=1000.0)
    assert capacity.outcome is Outcome.PRUNED
    assert capacity.throughput == pytest.approx(400, rel=0.05)
    assert tried == [64]


def test_what_is_beaten_meanwhile_is_given_up() -> None:
    """The point in progress is over the limit; so was an earlier one, which is proof enough."""
    plan = CapacityPlan(
        budget=LatencyBudget(95, 0.03), concurrency=64, largest_batch=1, arrivals=Loop.CLOSED
    )
    server = SimulatedServer(WORKERS)

    def measure(phase: Phase, *load: Any, **facts: Any) -> Measurement:
        measured = server(phase, *load, **facts)
        if load[0] == ClosedLoop(8):  # within the limit: it proves nothing itself
            plan.beat.raise_to(Beat(1000.0))
        return measured

    assert find_capacity(measure, plan).outcome is Outcome.PRUNED
    loads = [p.concurrency for _, p, _ in server.measured if isinstance(p, ClosedLoop)]
    assert loads[-4:] == [64, 32, 16, 8]


def test_the_error_of_the_throughput_is_told() -> None:
    """From the scatter of the answers over time."""
    capacity, _ = searched(Instances(2, exponential(5e-3)), 0.05, concurrency=4)
    assert 0.01 <= capacity.log_error < 0.1

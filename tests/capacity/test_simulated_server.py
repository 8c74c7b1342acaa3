"""The simulated servers themselves: closed forms of queueing theory, and schedules by hand."""

import math

import numpy as np
import pytest

from tests.capacity.simulated_server import (
    Batching,
    Instances,
    SimulatedServer,
    Simulation,
    Slowed,
    Stalling,
    constant,
    exponential,
    fresh_start,
    lognormal,
    true_capacity,
)
from tuner.goals import LatencyBudget
from tuner.load.arrivals import schedule
from tuner.load.histogram import percentile
from tuner.load.measurement import LATE
from tuner.load.profile import ClosedLoop, OpenLoop, Overload
from tuner.numbers.arrays import FloatArray
from tuner.records import Phase

ONE_S = Instances(1, constant(1.0))


def latencies(server: Simulation, rate: float, requests: int) -> FloatArray:
    arrivals = schedule(OpenLoop(rate, seed=3), requests / rate)
    return server.open_loop(arrivals, np.random.default_rng(4)) - arrivals


@pytest.mark.parametrize("q", [50, 95, 99])
@pytest.mark.parametrize("rate", [40, 100, 140])
def test_latencies_of_one_queue(q: float, rate: float) -> None:
    """Those of M/M/1 are exponential with the rate mu - lambda."""
    seen = np.sort(latencies(Instances(1, exponential(5e-3)), rate, 1_000_000))
    assert percentile(seen, q) == pytest.approx(-math.log(1 - q / 100) / (200 - rate), rel=0.03)


def test_the_mean_latency_of_two_instances() -> None:
    """1 / mu + C / (2 mu - lambda) in M/M/2; of the requests, C = 2 rho^2 / (1 + rho) wait."""
    rate, rho = 280.0, 0.7
    expected_s = 5e-3 + 2 * rho**2 / (1 + rho) / (400 - rate)
    seen = latencies(Instances(2, exponential(5e-3)), rate, 200_000)
    assert seen.mean() == pytest.approx(expected_s, rel=0.03)


def test_batches_of_one_are_a_queue() -> None:
    """The mean wait of M/D/1 is rho / 2 / (1 - rho) service times."""
    rho, service_s = 0.8, 5e-3
    server = Batching(base_s=service_s, each_s=0.0, most=1, noise=0.0)
    seen = latencies(server, rho / service_s, 200_000)
    assert seen.mean() == pytest.approx(service_s * (1 + rho / 2 / (1 - rho)), rel=0.03)


def test_requests_of_one_instance_follow_one_another() -> None:
    """Each begins once it is there and the one before is done."""
    departures = ONE_S.open_loop(np.array([0.0, 0.5, 5.0, 5.1]), np.random.default_rng())
    assert departures.tolist() == pytest.approx([1.0, 2.0, 6.0, 7.0])


@pytest.mark.parametrize(
    ("instances", "expected"), [(1, [7, 7, 12, 28, 28]), (2, [7, 7, 10, 28, 28])]
)
def test_when_batches_begin(instances: int, expected: list[float]) -> None:
    """When they are full or the delay is over, and an instance is free."""
    server = Batching(4.0, 1.0, most=2, delay_s=3.0, noise=0.0, instances=instances)
    arrivals = np.array([0.0, 1.0, 2.0, 21.0, 22.0])
    assert server.open_loop(arrivals, np.random.default_rng()).tolist() == expected


@pytest.mark.parametrize("instances", [1, 2, 3])
def test_a_closed_loop_fills_the_batches(instances: int) -> None:
    """With enough in flight, each instance answers full batches, one after another."""
    server = Batching(4e-3, 0.5e-3, most=16, delay_s=2e-3, noise=0.0, instances=instances)
    arrivals, departures = server.closed_loop(32 * instances, 12.0, np.random.default_rng())
    assert np.all(np.diff(arrivals) >= 0)
    assert np.all(departures > arrivals)
    assert (departures <= 12.0).sum() == pytest.approx(instances * 16 / 12e-3 * 12, rel=0.01)


def test_a_closed_loop_has_so_many_in_flight() -> None:
    """Each user sends the next request when the last one is answered."""
    server = Batching(4e-3, 0.5e-3, most=4, delay_s=2e-3, instances=2)
    arrivals, departures = server.closed_loop(10, 5.0, np.random.default_rng(1))
    assert np.all(np.diff(arrivals) >= 0)
    assert np.count_nonzero(arrivals == 0.0) == 10
    assert set(arrivals[10:]) <= set(departures)
    for now in np.linspace(0.01, 4.9, 50):
        assert np.count_nonzero((arrivals <= now) & (departures > now)) == 10


STALL_S, GAP_S = 0.02, 0.5
STALLING = Stalling(Instances(1, constant(1e-5)), GAP_S, constant(STALL_S))


def test_nothing_happens_during_a_stall() -> None:
    """Who comes during a stall waits for its end: latencies from none to all of it."""
    arrivals = np.arange(0.0, 200.0, 1e-3)
    seen = STALLING.open_loop(arrivals, np.random.default_rng(2)) - arrivals
    waited = seen[seen > 1e-4]
    assert len(waited) / len(seen) == pytest.approx(STALL_S / (GAP_S + STALL_S), rel=0.2)
    assert np.median(waited) == pytest.approx(STALL_S / 2, rel=0.2)
    assert seen.max() > 0.95 * STALL_S
    assert np.median(seen) == pytest.approx(1e-5)


def test_work_goes_on_after_a_stall() -> None:
    """A service takes as much longer as there are stalls in it."""
    arrivals = np.arange(0.0, 1000.0, 2.0)
    slow = Stalling(ONE_S, GAP_S, STALLING.stall_s)
    longer_s = slow.open_loop(arrivals, np.random.default_rng(2)) - arrivals - 1.0
    stalls = longer_s / STALL_S
    # Those that begin in a stall wait for a part of it.
    whole = stalls[np.abs(stalls - np.round(stalls)) < 1e-6]
    assert len(whole) > 0.9 * len(stalls)
    assert whole.mean() == pytest.approx(1.0 / GAP_S, rel=0.1)


def test_stalls_take_their_part_of_the_throughput() -> None:
    """A closed loop gets through what the time between the stalls allows."""
    stalling = Stalling(Instances(4, exponential(5e-3)), 0.1, lognormal(0.02, 1.0))
    arrivals, departures = stalling.closed_loop(8, 100.0, np.random.default_rng(5))
    assert arrivals.max() < 100.0
    assert (departures <= 100.0).sum() == pytest.approx(100 * 800 * 0.1 / 0.12, rel=0.03)


def test_no_stalls_at_all() -> None:
    """The server as it is."""
    never = Stalling(ONE_S, 1e9, STALLING.stall_s)
    arrivals = np.array([0.0, 0.5, 5.0])
    assert never.open_loop(arrivals, np.random.default_rng()).tolist() == [1.0, 2.0, 6.0]


def test_a_slowed_server() -> None:
    """Everything takes so many times as long, under the same arrivals."""
    slow = Slowed(Batching(4.0, 1.0, most=2, delay_s=3.0, noise=0.0), 2.0)
    departures = slow.open_loop(np.array([0.0, 1.0, 2.0]), np.random.default_rng())
    assert departures.tolist() == [13.0, 13.0, 23.0]
    arrivals, departures = Slowed(ONE_S, 2.0).closed_loop(1, 7.0, np.random.default_rng())
    assert (arrivals.tolist(), departures.tolist()) == ([0, 2, 4, 6], [2, 4, 6, 8])


def test_starts_differ() -> None:
    """By a lognormal factor, whose standard deviation is the variation."""
    random = np.random.default_rng(6)
    arrivals = np.array([0.0])
    services = [
        fresh_start(ONE_S, random, variation=0.05).open_loop(arrivals, random)[0]
        for _ in range(2000)
    ]
    logs = np.log(services)
    assert logs.std() == pytest.approx(0.05, rel=0.05)
    assert logs.mean() == pytest.approx(0.0, abs=0.005)


def test_the_true_capacity() -> None:
    """Of M/M/1: the rate lambda with -ln(1 - q) / (mu - lambda) = limit."""
    found = true_capacity(
        Instances(1, exponential(5e-3)), LatencyBudget(95, 0.05), highest=200, requests=1_000_000
    )
    assert found == pytest.approx(200 + math.log(0.05) / 0.05, rel=0.01)


def test_the_time_that_measuring_takes() -> None:
    """What was planned, and for how long answers were waited for; less if it was stopped."""
    server = SimulatedServer(Instances(1, constant(0.25)), drain_s=5.0)
    server(Phase.SATURATION, ClosedLoop(4), duration_s=1.1)
    assert server.spent_s == pytest.approx(2.0)  # three wait when the eighth begins, at 1 s
    overloaded = SimulatedServer(Instances(1, constant(0.25)), drain_s=0.3)
    overloaded(Phase.SEARCH, OpenLoop(100), duration_s=60.0, overload=Overload(32))
    assert 0.5 < overloaded.spent_s < 5.0
    slow = SimulatedServer(Instances(9, constant(0.25)), drain_s=0.3)
    lost = Overload(1000, slow_s=0.2, forgiven=20, after_s=1.0)
    late = slow(Phase.SEARCH, OpenLoop(10), duration_s=60.0, overload=lost)
    assert late.stopped_early == LATE
    assert 1.0 < slow.spent_s < 10.0

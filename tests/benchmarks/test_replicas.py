"""Replicas behind a load balancer: closed forms, schedules by hand, and what is claimed."""

import math

import numpy as np
import pytest

from benchmarks import replicas
from benchmarks.load_balancer import Balancer, Cluster, Server, capacity, exponential, poisson
from benchmarks.replicas import LAWS, Case
from tuner.numbers.arrays import FloatArray

ONE_S = Server(1.0)


def served(cluster: Cluster, count: int, *arrivals: float) -> list[float]:
    """The latencies of a few requests on `count` replicas."""
    times: FloatArray = np.array(arrivals)
    return list(cluster.latencies(times, [count] * len(arrivals), 0))


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_constant_service(rho: float) -> None:
    """The mean wait of M/D/1 is rho / 2 / (1 - rho) service times (Pollaczek-Khinchine)."""
    seen = Cluster(ONE_S, Balancer.RANDOM).latencies(poisson(rho, 100_000, 1), [1] * 100_000, 1)

    assert seen.mean() == pytest.approx(1 + rho / 2 / (1 - rho), rel=0.05)


@pytest.mark.parametrize("count", [1, 4])
def test_a_random_split_is_as_one(count: int) -> None:
    """Each replica is M/M/1 with its part of the rate: latencies are exponential, mu - lambda."""
    cluster = Cluster(Server(5e-3, factors=exponential), Balancer.RANDOM)

    seen_s = cluster.percentile_s(100.0 * count, count, requests=200_000, seed=2)

    assert seen_s == pytest.approx(math.log(100) / (200 - 100), rel=0.05)


def test_the_capacity_that_can_be_computed() -> None:
    """Of M/M/1: the rate lambda with ln 100 / (mu - lambda) = limit."""
    found = capacity(Server(5e-3, factors=exponential), 0.06, requests=60_000, seed=3)

    assert found == pytest.approx(200 - math.log(100) / 0.06, rel=0.05)


def test_batches() -> None:
    """What waits when a slot is free is taken together, up to the largest batch."""
    alone = Cluster(Server(4.0, 1.0, most=2), Balancer.RANDOM)

    assert served(alone, 1, 0.0, 1.0, 2.0, 3.0) == [5.0, 10.0, 9.0, 13.0]


def test_slots() -> None:
    """Two slots serve two requests at a time."""
    assert served(Cluster(Server(2.0, slots=2), Balancer.RANDOM), 1, 0.0, 0.0, 0.5) == [2, 2, 3.5]


def test_round_robin() -> None:
    """The third request goes to the first of two replicas again, however busy that is."""
    assert served(Cluster(ONE_S, Balancer.ROUND_ROBIN), 2, 0.0, 0.6, 0.7) == [1.0, 1.0, 1.3]


def test_least_outstanding() -> None:
    """A request goes to the replica that has answered."""
    slow_first = Cluster(ONE_S, Balancer.LEAST_OUTSTANDING, speeds=(0.1, 1.0))

    assert served(slow_first, 2, 0.0, 0.1, 1.2) == pytest.approx([10.0, 1.0, 1.0])


@pytest.mark.parametrize("name", LAWS)
def test_the_stated_replicas_keep_the_budget_and_one_fewer_does_not(name: str) -> None:
    """Behind a balancer that picks at random, at a demand that leaves no slack."""
    truth = replicas.true_capacity(name, 3_000)
    demand = 0.9 * 3 * truth
    number = replicas.stated(demand, replicas.nearly_exact(truth))
    case = Case(name, Balancer.RANDOM)

    assert number == 3
    assert case.p99(demand, number, 30_000, seed=5) <= 1
    assert case.p99(demand, number - 1, 30_000, seed=5) > 1


def test_a_day() -> None:
    """Replicas that follow the demand keep the budget in all periods; one fewer not in all."""
    name = "4 instances, lognormal, 5 ms"
    stated, fewer = (
        replicas.day(name, 657.0, Balancer.RANDOM, number, seed=1) for number in (0, 1)
    )

    assert max(stated) <= 1 < max(fewer)


def test_a_measured_capacity() -> None:
    """Its 95 % interval has the truth in 19 of 20 cases or more."""
    found = [replicas.measured(100.0, seed) for seed in range(400)]

    assert sum(each.low <= 100 <= each.high for each in found) >= 0.93 * len(found)

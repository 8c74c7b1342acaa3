"""Replicas behind a load balancer, simulated event by event; times are seconds of virtual time.

A replica takes what waits, up to `most` requests, as one batch into one of its `slots`, for
(base_s + each_s x requests) times a random factor of mean 1.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tuner.load.histogram import percentile
from tuner.numbers.arrays import FloatArray

Factors = Callable[[np.random.Generator, int], FloatArray]


def constant(_random: np.random.Generator, count: int) -> FloatArray:
    return np.ones(count)


def exponential(random: np.random.Generator, count: int) -> FloatArray:
    return random.exponential(1.0, count)


def lognormal(random: np.random.Generator, count: int) -> FloatArray:
    """Half as wide as their mean."""
    sigma = math.sqrt(math.log(1.25))
    return random.lognormal(-(sigma**2) / 2, sigma, count)


@dataclass(frozen=True)
class Server:
    base_s: float
    each_s: float = 0.0
    most: int = 1
    slots: int = 1
    factors: Factors = constant

    @property
    def saturation(self) -> float:
        """Requests per second without end."""
        return self.slots * self.most / (self.base_s + self.each_s * self.most)


class Balancer(StrEnum):
    """How the replica of a request is chosen."""

    RANDOM = "random"
    ROUND_ROBIN = "round robin"
    LEAST_OUTSTANDING = "least outstanding"


class _Replicas:
    """The replicas while they serve; requests are known by their number."""

    def __init__(
        self, server: Server, arrivals: FloatArray, speeds: Sequence[float], seed: int
    ) -> None:
        self.outstanding = [0] * len(speeds)
        self.done_s = [math.inf] * len(arrivals)
        self._server = server
        self._speeds = speeds
        self._waiting = [deque[int]() for _ in speeds]
        self._idle = [server.slots] * len(speeds)
        self._ends: list[tuple[float, int, int]] = []
        random = np.random.default_rng([seed, 1])
        self._factors = server.factors(random, len(arrivals)).tolist()

    def take(self, now_s: float, replica: int, request: int) -> None:
        self.outstanding[replica] += 1
        self._waiting[replica].append(request)
        if self._idle[replica]:
            self._begin(now_s, replica)

    def until(self, now_s: float) -> None:
        """Finish what ends until then."""
        while self._ends and self._ends[0][0] <= now_s:
            end_s, replica, size = heapq.heappop(self._ends)
            self.outstanding[replica] -= size
            self._idle[replica] += 1
            if self._waiting[replica]:
                self._begin(end_s, replica)

    def _begin(self, now_s: float, replica: int) -> None:
        waiting, server = self._waiting[replica], self._server
        size = min(len(waiting), server.most)
        work_s = (server.base_s + server.each_s * size) * self._factors.pop()
        end_s = now_s + work_s / self._speeds[replica]
        for _ in range(size):
            self.done_s[waiting.popleft()] = end_s
        self._idle[replica] -= 1
        heapq.heappush(self._ends, (end_s, replica, size))


@dataclass(frozen=True)
class Cluster:
    """Equal servers behind a balancer; `speeds` are factors, all 1 without."""

    server: Server
    balancer: Balancer
    speeds: tuple[float, ...] = ()

    def latencies(self, arrivals: FloatArray, counts: Sequence[int], seed: int) -> FloatArray:
        """Of each request, in the order of arrival.

        Args:
            arrivals: In seconds, ascending.
            counts: How many replicas there are to choose from, for each arrival.
            seed: Of the service times and of random choices.
        """
        replicas = _Replicas(self.server, arrivals, self.speeds or (1.0,) * max(counts), seed)
        chances = np.random.default_rng([seed, 2]).random(len(arrivals)).tolist()
        for request, now_s in enumerate(arrivals.tolist()):
            replicas.until(now_s)
            count = counts[request]
            if self.balancer is Balancer.RANDOM:
                chosen = int(chances[request] * count)
            elif self.balancer is Balancer.ROUND_ROBIN:
                chosen = request % count
            else:
                there = replicas.outstanding[:count]
                chosen = there.index(min(there))
            replicas.take(now_s, chosen, request)
        replicas.until(math.inf)
        found: FloatArray = np.array(replicas.done_s) - arrivals
        return found

    def percentile_s(
        self, rate: float, count: int, *, requests: int, seed: int, percent: float = 99.0
    ) -> float:
        """Under a steady Poisson demand on `count` replicas, without its first twentieth."""
        found = self.latencies(poisson(rate, requests, seed), [count] * requests, seed)
        return percentile(np.sort(found[requests // 20 :]), percent)


def poisson(rate: float, count: int, seed: int) -> FloatArray:
    """`count` arrivals; one seed has the same at all rates, closer or wider."""
    gaps: FloatArray = np.random.default_rng([seed, 0]).exponential(1.0, count)
    return np.cumsum(gaps) / rate


def capacity(server: Server, limit_s: float, *, requests: int, seed: int) -> float:
    """The highest Poisson rate of one replica whose p99 is within the limit, by bisection."""
    alone = Cluster(server, Balancer.RANDOM)
    low, high = 0.0, server.saturation
    while high - low > 0.001 * server.saturation:
        rate = (low + high) / 2
        within = alone.percentile_s(rate, 1, requests=requests, seed=seed) <= limit_s
        low, high = (rate, high) if within else (low, rate)
    return (low + high) / 2

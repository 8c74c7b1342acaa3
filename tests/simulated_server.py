"""Servers simulated in virtual time: a `measure` for the capacity search that takes no time.

`Instances` is M/G/k: each request holds one of k instances. `Batching` has one device, which a
batch of n requests holds for a + b * n seconds. Both answer in order of arrival.
"""

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tests.run_records import run_record
from tuner.capacity import LatencyBudget, Phase
from tuner.load import ClosedLoop, Endpoint, LoadProfile, Measurement, OpenLoop, Overload
from tuner.load.arrivals import schedule
from tuner.load.histogram import percentile
from tuner.load.measurement import RunRecord
from tuner.load.profile import LoadRun
from tuner.load.recorder import PENDING, SUCCESS

FloatArray = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], FloatArray]
_BLOCK_S = 0.1


class Simulation(ABC):
    """Arrivals in, departures out; times are seconds of virtual time."""

    @abstractmethod
    def open_loop(self, arrivals: FloatArray, random: np.random.Generator) -> FloatArray: ...

    @abstractmethod
    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Arrivals, ascending, and departures."""


def exponential(mean_s: float) -> Draw:
    return lambda random, count: random.exponential(mean_s, count)


def lognormal(mean_s: float, variation: float) -> Draw:
    """`variation` is the standard deviation over the mean."""
    sigma = np.sqrt(np.log(1 + variation**2))
    mu = np.log(mean_s) - sigma**2 / 2
    return lambda random, count: random.lognormal(mu, sigma, count)


@dataclass(frozen=True)
class Instances(Simulation):
    count: int
    service_s: Draw

    def open_loop(self, arrivals: FloatArray, random: np.random.Generator) -> FloatArray:
        free, departures = [0.0] * self.count, np.empty(len(arrivals))
        services = self.service_s(random, len(arrivals)).tolist()
        for index, (arrival, service) in enumerate(zip(arrivals.tolist(), services, strict=True)):
            departures[index] = max(arrival, free[0]) + service
            heapq.heapreplace(free, departures[index])
        return departures

    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        free, users = [0.0] * self.count, [0.0] * concurrency
        arrivals, departures = [], []
        services: list[float] = []
        while (arrival := heapq.heappop(users)) < duration_s:
            services = services or self.service_s(random, 1000).tolist()
            done = max(arrival, free[0]) + services.pop()
            heapq.heapreplace(free, done)
            heapq.heappush(users, done)
            arrivals.append(arrival)
            departures.append(done)
        return np.array(arrivals), np.array(departures)


@dataclass(frozen=True)
class Batching(Simulation):
    base_s: float
    each_s: float
    most: int
    delay_s: float = 0.0
    noise: float = 0.05

    def open_loop(self, arrivals: FloatArray, random: np.random.Generator) -> FloatArray:
        departures, free, first = np.empty(len(arrivals)), 0.0, 0
        while first < len(arrivals):
            full = first + self.most - 1
            full_s = arrivals[full] if full < len(arrivals) else np.inf
            start = max(free, min(arrivals[first] + self.delay_s, full_s))
            waiting = int(np.searchsorted(arrivals[first : first + self.most], start, "right"))
            free = start + self._batch_s(waiting, random)
            departures[first : first + waiting] = free
            first += waiting
        return departures

    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        users, free = deque([0.0] * concurrency), 0.0
        arrivals: list[float] = []
        departures: list[float] = []
        while users[0] < duration_s:
            # Those who wait are here already: who comes next comes at the end of this batch.
            full_s = users[self.most - 1] if len(users) >= self.most else np.inf
            start = max(free, min(users[0] + self.delay_s, full_s))
            batch = [users.popleft() for _ in range(min(len(users), self.most))]
            free = start + self._batch_s(len(batch), random)
            arrivals += batch
            departures += [free] * len(batch)
            users.extend([free] * len(batch))
        return np.array(arrivals), np.array(departures)

    def _batch_s(self, size: int, random: np.random.Generator) -> float:
        return (self.base_s + self.each_s * size) * (1 + self.noise * random.standard_normal())


@dataclass
class SimulatedServer:
    """The `measure` that `find_capacity` asks for; `measured` are its calls."""

    simulation: Simulation
    seed: int = 0
    failing_share: float = 0.0
    kind: str = "http_503"
    inferences: int = 1
    drain_s: float = 0.3
    measured: list[tuple[Phase, LoadProfile, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng([self.seed, 77])

    def __call__(
        self,
        phase: Phase,
        profile: LoadProfile,
        *,
        duration_s: float,
        overload: Overload | None = None,
    ) -> Measurement:
        self.measured.append((phase, profile, duration_s))
        if isinstance(profile, ClosedLoop):
            due, done = self.simulation.closed_loop(profile.concurrency, duration_s, self._random)
        else:
            due = schedule(profile, duration_s)
            done = self.simulation.open_loop(due, self._random)
        stop_s = _overloaded_at(due, done, overload, duration_s) if overload else duration_s
        sent = due <= stop_s
        run = LoadRun(endpoint=Endpoint("", 0), profile=profile, duration_s=duration_s)
        record = self._record(due[sent], done[sent], stop_s, stopped=stop_s < duration_s)
        return Measurement.of(run, [record], self.inferences)

    def _record(
        self, due: FloatArray, done: FloatArray, end_s: float, *, stopped: bool
    ) -> RunRecord:
        gave_up_s = end_s + self.drain_s
        answered = done <= gave_up_s
        outcomes = np.where(answered, SUCCESS, PENDING).astype(np.uint8)
        outcomes[self._random.random(len(due)) < self.failing_share] = SUCCESS + 1
        seen = np.minimum(done, gave_up_s)
        record = run_record(due, seen, outcomes, end_s=end_s, kinds=(self.kind,))
        return replace(record, stopped_early="overload" if stopped else "")


def _overloaded_at(
    due: FloatArray, done: FloatArray, overload: Overload, duration_s: float
) -> float:
    """When the load engine would have stopped: the rule of `Overload`."""
    finished, last, blocks = np.sort(done), 0, 0
    for now in np.arange(_BLOCK_S, duration_s, _BLOCK_S):
        outstanding = int(np.searchsorted(due, now) - np.searchsorted(finished, now))
        losing = outstanding > overload.outstanding and outstanding >= last
        blocks = blocks + 1 if losing else 0
        if blocks >= overload.blocks:
            return float(now)
        last = outstanding
    return duration_s


def true_capacity(
    simulation: Simulation, budget: LatencyBudget, *, highest: float, requests: int = 100_000
) -> float:
    """The load whose percentile is the limit, by bisection with long runs of other arrivals."""
    low, high = 0.0, highest
    while high - low > 0.002 * highest:
        rate = (low + high) / 2
        arrivals = schedule(OpenLoop(rate, seed=99), requests / rate)
        latencies = simulation.open_loop(arrivals, np.random.default_rng(98)) - arrivals
        steady = np.sort(latencies[requests // 20 :])
        if percentile(steady, budget.percentile) <= budget.limit_s:
            low = rate
        else:
            high = rate
    return low

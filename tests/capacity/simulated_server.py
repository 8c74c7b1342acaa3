"""Servers simulated in virtual time: a `measure` for the capacity search that takes no time.

`Instances` is M/G/k: each request holds one of k instances. `Batching` holds one of its instances
for a + b * n seconds with a batch of n requests. Both take requests in order of arrival.
`Stalling` and `Slowed` are servers on a machine that stalls, or that is slower than another.
"""

import heapq
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from tests.run_records import run_record
from tuner.goals import LatencyBudget
from tuner.load.arrivals import schedule
from tuner.load.histogram import percentile
from tuner.load.measurement import LATE, Measurement, RunRecord
from tuner.load.profile import ClosedLoop, Endpoint, LoadProfile, LoadRun, OpenLoop, Overload
from tuner.load.recorder import PENDING, SUCCESS
from tuner.numbers.arrays import FloatArray
from tuner.records import Phase

Draw = Callable[[np.random.Generator, int], FloatArray]
_BLOCK_S = 0.1
_AFTER_LAST_S = 1.0


class Simulation(ABC):
    """Arrivals in, departures out; times are seconds of virtual time."""

    @abstractmethod
    def open_loop(self, arrivals: FloatArray, random: np.random.Generator) -> FloatArray: ...

    @abstractmethod
    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Arrivals, ascending, and departures."""


def constant(service_s: float) -> Draw:
    return lambda _, count: np.full(count, service_s)


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
        services = self.service_s(random, len(arrivals))
        if self.count == 1:
            return _one_after_another(arrivals, services)
        free, departures = [0.0] * self.count, []
        for arrival, service in zip(arrivals.tolist(), services.tolist(), strict=True):
            done = max(arrival, free[0]) + service
            heapq.heapreplace(free, done)
            departures.append(done)
        return np.array(departures)

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
    """A batch begins once it is full, or its first request has waited for `delay_s`."""

    base_s: float
    each_s: float
    most: int
    delay_s: float = 0.0
    noise: float = 0.05
    instances: int = 1

    def open_loop(self, arrivals: FloatArray, random: np.random.Generator) -> FloatArray:
        due, count = arrivals.tolist(), len(arrivals)
        noise = random.standard_normal(count).tolist()
        free, first = [0.0] * self.instances, 0
        ends: list[float] = []
        sizes: list[int] = []
        while first < count:
            full = first + self.most - 1
            full_s = due[full] if full < count else np.inf
            start = max(free[0], min(due[first] + self.delay_s, full_s))
            last = bisect_right(due, start, first + 1, min(first + self.most, count))
            end = start + self._batch_s(last - first, noise[len(ends)])
            heapq.heapreplace(free, end)
            ends.append(end)
            sizes.append(last - first)
            first = last
        return np.repeat(ends, sizes)

    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        users, free = [0.0] * concurrency, [0.0] * self.instances
        arrivals: list[float] = []
        departures: list[float] = []
        # When each user comes next is known, ascending: at the end of its batch.
        while users[0] < duration_s:
            full_s = users[self.most - 1] if len(users) >= self.most else np.inf
            start = max(free[0], min(users[0] + self.delay_s, full_s))
            size = bisect_right(users, start, 1, min(self.most, concurrency))
            end = start + self._batch_s(size, random.standard_normal())
            heapq.heapreplace(free, end)
            arrivals += users[:size]
            departures += [end] * size
            users = sorted(users[size:] + [end] * size)
        return np.array(arrivals), np.array(departures)

    def _batch_s(self, size: int, noise: float) -> float:
        return (self.base_s + self.each_s * size) * (1 + self.noise * noise)


@dataclass(frozen=True)
class Stalling(Simulation):
    """A server on a machine that stalls, as one does whose processors are taken away for a while.

    Nothing happens for `stall_s`, after `gap_s` of work on average (Poisson); users go on sending.
    """

    server: Simulation
    gap_s: float
    stall_s: Draw

    def open_loop(self, arrivals: FloatArray, random: np.random.Generator) -> FloatArray:
        clock = self._clock(float(arrivals[-1]), random)
        return clock.wall_s(self.server.open_loop(clock.work_s(arrivals), random))

    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        clock = self._clock(duration_s, random)
        work_s = float(clock.work_s(np.array([duration_s]))[0])
        arrivals, departures = self.server.closed_loop(concurrency, work_s, random)
        return clock.wall_s(arrivals), clock.wall_s(departures)

    def _clock(self, until_s: float, random: np.random.Generator) -> "_StallingClock":
        # What arrives last may be answered later than it arrives: some stalls beyond it.
        horizon_s = until_s + _AFTER_LAST_S
        count = random.poisson(horizon_s / self.gap_s)
        stalls_s = np.sort(random.uniform(0.0, horizon_s, count))
        return _StallingClock(stalls_s, self.stall_s(random, count))


class _StallingClock:
    """Translates between a clock that stands still during stalls and the one on the wall."""

    def __init__(self, moments_s: FloatArray, lengths_s: FloatArray) -> None:
        """`moments_s`, ascending, are those of the clock that stands still."""
        self._moments_s = moments_s
        self._lost_s = np.concatenate([[0.0], np.cumsum(lengths_s)])  # before each, and at the end

    def wall_s(self, work_s: FloatArray) -> FloatArray:
        lost_s: FloatArray = self._lost_s[np.searchsorted(self._moments_s, work_s)]
        return work_s + lost_s

    def work_s(self, wall_s: FloatArray) -> FloatArray:
        """During a stall, the moment of the stall."""
        begun = np.searchsorted(self._moments_s + self._lost_s[:-1], wall_s)
        since_s = np.concatenate([[0.0], self._moments_s])[begun]
        return np.maximum(wall_s - self._lost_s[begun], since_s)


@dataclass(frozen=True)
class Slowed(Simulation):
    """A server that takes `factor` times as long for all that it does."""

    server: Simulation
    factor: float

    def open_loop(self, arrivals: FloatArray, random: np.random.Generator) -> FloatArray:
        return self.factor * self.server.open_loop(arrivals / self.factor, random)

    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        duration_s /= self.factor
        arrivals, departures = self.server.closed_loop(concurrency, duration_s, random)
        return self.factor * arrivals, self.factor * departures


def fresh_start(
    server: Simulation, random: np.random.Generator, *, variation: float = 0.04
) -> Simulation:
    """The server as it happens to come up: its speed differs from start to start (lognormal)."""
    return Slowed(server, float(np.exp(variation * random.standard_normal())))


def _one_after_another(arrivals: FloatArray, services: FloatArray) -> FloatArray:
    """Departures from one instance: Lindley's recursion, unrolled."""
    ends = np.cumsum(services)
    departures: FloatArray = ends + np.maximum.accumulate(arrivals - (ends - services))
    return departures


@dataclass
class SimulatedServer:
    """The `measure` that `find_capacity` asks for.

    `measured` are its calls, as they were planned; `spent_s` is the virtual time that they took,
    which is less where a load point was stopped, and more for the requests to be answered at its
    end.
    """

    simulation: Simulation
    seed: int = 0
    failing_share: float = 0.0
    kind: str = "http_503"
    inferences: int = 1
    drain_s: float = 0.3
    measured: list[tuple[Phase, LoadProfile, float]] = field(default_factory=list)
    spent_s: float = 0.0

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
        stop_s, why = stopped_at(due, done, overload, duration_s, done - due)
        sent = due <= stop_s
        self.spent_s += min(max(stop_s, float(done[sent].max())), stop_s + self.drain_s)
        run = LoadRun(endpoint=Endpoint("", 0), profile=profile, duration_s=duration_s)
        record = self._record(due[sent], done[sent], stop_s, stopped_early=why)
        return Measurement.of(run, [record], self.inferences)

    def _record(
        self, due: FloatArray, done: FloatArray, end_s: float, *, stopped_early: str
    ) -> RunRecord:
        gave_up_s = end_s + self.drain_s
        answered = done <= gave_up_s
        outcomes = np.where(answered, SUCCESS, PENDING).astype(np.uint8)
        outcomes[self._random.random(len(due)) < self.failing_share] = SUCCESS + 1
        seen = np.minimum(done, gave_up_s)
        record = run_record(due, seen, outcomes, end_s=end_s, kinds=(self.kind,))
        return replace(record, stopped_early=stopped_early)


def stopped_at(
    due: FloatArray,
    done: FloatArray,
    overload: Overload | None,
    duration_s: float,
    judged_s: FloatArray,
) -> tuple[float, str]:
    """When and why the load engine would have stopped: the rules of `Overload`."""
    if overload is None:
        return duration_s, ""
    checks = np.arange(_BLOCK_S, duration_s, _BLOCK_S)
    waiting = np.searchsorted(due, checks) - np.searchsorted(np.sort(done), checks)
    slow_s = math.inf if overload.slow_s is None else overload.slow_s
    late = np.searchsorted(np.sort(done[judged_s > slow_s]), checks)
    last, blocks = 0, 0
    for now, outstanding, slow in zip(checks, waiting, late, strict=True):
        losing = outstanding > overload.outstanding and outstanding >= last
        blocks = blocks + 1 if losing else 0
        if blocks >= overload.blocks:
            return float(now), "overload"
        if now >= overload.after_s and slow > overload.forgiven:
            return float(now), LATE
        last = outstanding
    return duration_s, ""


def true_capacity(
    simulation: Simulation, budget: LatencyBudget, *, highest: float, requests: int = 100_000
) -> float:
    """The load whose percentile is the limit, by bisection with long runs of other arrivals."""
    low, high = 0.0, highest
    while high - low > 0.001 * highest:
        rate = (low + high) / 2
        arrivals = schedule(OpenLoop(rate, seed=99), requests / rate)
        latencies = simulation.open_loop(arrivals, np.random.default_rng(98)) - arrivals
        steady = np.sort(latencies[requests // 20 :])
        if percentile(steady, budget.percentile) <= budget.limit_s:
            low = rate
        else:
            high = rate
    return (low + high) / 2

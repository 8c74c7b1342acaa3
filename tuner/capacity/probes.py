"""The load points of one configuration: what they are for, how one is taken, what is kept.

Shared by the searches for a capacity in an open loop (open_search) and in a closed one
(closed_search); both begin with the same warm-up.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from tuner.capacity.intervals import FEWEST_FOR_WARM_UP, percentile_interval, warm_up_share
from tuner.errors import Reason, TrialFailure
from tuner.goals import LatencyBudget, Loop
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadProfile, OpenLoop, Overload
from tuner.numbers.arrays import FloatArray
from tuner.numbers.distributions import Z_ONE_SIDED
from tuner.records import Interval, Outcome, Phase

# Each burst of a batch size lasts this long.
_BURST_S = 0.05
# One request at a time: the first time this long, then twice as long each time, until the latency
# is steady;
_FIRST_UNLOADED_S = 0.5
# in all no longer than this,
_UNLOADED_LIMIT_S = 10.0
# or than this many answers, where they take seconds.
_UNLOADED_ANSWERS = 4
# By how many times an answer may be slower under load than without, where no limit says so.
_LOADED_ANSWERS = 4
# Load points that are planned for one configuration.
POINTS = 3
# A point of which more than this share of the requests failed says nothing.
_FAILED_SHARE = 0.5
# A server that compiles itself while it runs is put under full load for spells of this length,
_RUN_IN_S = 1.0
# in all no longer than this.
_RUN_IN_LIMIT_S = 20.0


@dataclass(frozen=True)
class LoadPoint:
    """One measurement and what it was for; `interval` is that of the budget's percentile."""

    phase: Phase
    measurement: Measurement
    interval: Interval

    def within(self, budget: LatencyBudget) -> bool:
        return self.interval.estimate <= budget.limit_s

    @property
    def rate(self) -> float:
        """Offered requests per second of an open loop, answered ones of a closed loop."""
        profile = self.measurement.profile
        return profile.rate if isinstance(profile, OpenLoop) else self.answered

    @property
    def answered(self) -> float:
        """Answered requests per second."""
        return self.measurement.throughput / self.measurement.inferences_per_request


@dataclass(frozen=True)
class Capacity:
    """The answer: `throughput` in inferences per second, 0 where no load meets the budget.

    `log_error` is the standard error of the throughput's logarithm. For a pruned configuration the
    throughput is the bound that proved it beaten. `best` is the highest load that met the budget.
    `answer_s` is what load points were planned with (`Probes.paced_s`).
    """

    outcome: Outcome
    throughput: float
    log_error: float
    points: tuple[LoadPoint, ...]
    best: LoadPoint | None
    unloaded_s: float
    saturation: float
    answer_s: float = 0.0


@dataclass(frozen=True)
class Expected:
    """What an earlier measurement of the same configuration found, in inferences per second.

    `answer_s` is what an answer took under load, where limits are for parts of it; else 0.
    """

    throughput: float
    saturation: float
    answer_s: float = 0.0


@dataclass(frozen=True)
class Beat:
    """What a configuration is to beat: what the best so far carries, in inferences per second.

    `log_error` is the standard error of the throughput's logarithm. There is nothing to beat where
    the throughput is 0.
    """

    throughput: float = 0.0
    log_error: float = 0.0

    @property
    def surely(self) -> float:
        """What the best carries at least, with 95 % confidence."""
        return self.throughput * math.exp(-Z_ONE_SIDED * self.log_error)


NOTHING_TO_BEAT = Beat()


class RisingBeat:
    """What a configuration is to beat by now: raised when another one turns out to be better.

    One thread may raise it while another one measures.
    """

    def __init__(self, beat: Beat = NOTHING_TO_BEAT) -> None:
        self.now = beat

    def raise_to(self, beat: Beat) -> None:
        """From now on `beat`, unless what it surely carries is no more than before."""
        if beat.surely > self.now.surely:
            self.now = beat


class Measure(Protocol):
    """Puts a load on the server under test."""

    def __call__(
        self,
        phase: Phase,
        profile: LoadProfile,
        *,
        duration_s: float,
        overload: Overload | None = None,
    ) -> Measurement:
        """Measure for `duration_s`; raises TrialFailure if that says nothing of the server."""


@dataclass(frozen=True, kw_only=True)
class CapacityPlan:
    """What the search must know beforehand.

    `concurrency` should saturate the server; `largest_batch` is what it makes by itself; what has
    no chance to be better than `beat` is of no interest, which is looked at after each load point:
    it may rise meanwhile. `points` are the measurements that are planned under load,
    `stretch` how many times as long as usual each is. `expected` saves the
    saturation probe, where the configuration was measured before. `warm_up_requests` are sent
    before anything counts: a server that compiles itself while it runs is as fast as it will be
    only then.
    """

    budget: LatencyBudget
    concurrency: int
    largest_batch: int = 1
    seed: int = 0
    beat: RisingBeat = field(default_factory=RisingBeat)
    points: int = POINTS
    stretch: float = 1.0
    arrivals: Loop = Loop.OPEN
    expected: Expected | None = None
    warm_up_requests: int = 0


@dataclass
class Probes:
    """The points of one configuration, in the order in which they were measured.

    `unloaded_s` is the percentile with one request at a time, `median_s` the median, of what is
    judged; `answer_s` is the median time of whole answers. `floor_s` is less where a burst of the
    warm-up had less: where a batch waits for others, one request alone is slower. `longest_s` is
    what an answer takes at most, as long as the limits are kept.
    """

    measure: Measure
    plan: CapacityPlan
    points: list[LoadPoint] = field(default_factory=list)
    unloaded_s: float = math.nan
    floor_s: float = math.inf
    median_s: float = 0.0
    answer_s: float = 0.0
    longest_s: float = 0.0
    saturation: float = 0.0  # requests per second
    inferences: int = 1

    def warm_up(self) -> bool:
        """Bursts of every batch size, then one request at a time until the latency is steady.

        First of all full load, where the server compiles itself while it runs: cold bursts would
        make it look slower than any load makes it.

        Returns whether any load can meet the budget: one of them was not proved over it.
        """
        self._run_in()
        concurrency = 1
        while concurrency <= self.plan.largest_batch:
            self.add(Phase.WARM_UP, ClosedLoop(concurrency), duration_s=_BURST_S)
            concurrency *= 2
        unloaded = self._unloaded()
        bursts = [p.interval for p in self.of(Phase.WARM_UP)[1:] if p.interval.low > 0]
        floor = min([unloaded.interval, *bursts], key=lambda each: each.estimate)
        self.unloaded_s, self.floor_s = unloaded.interval.estimate, floor.estimate
        self.longest_s = _longest_s(self.plan.budget, unloaded.measurement, self.answer_s)
        self.inferences = unloaded.measurement.inferences_per_request
        return floor.low <= self.plan.budget.limit_s

    def add(
        self,
        phase: Phase,
        profile: LoadProfile,
        *,
        duration_s: float,
        overload: Overload | None = None,
    ) -> LoadPoint:
        """Measure one more point.

        Raises:
            TrialFailure: Too many requests failed for it to mean anything.
        """
        measurement = self.measure(phase, profile, duration_s=duration_s, overload=overload)
        if measurement.failed > _FAILED_SHARE * measurement.requests:
            kind = max(measurement.errors, key=lambda each: measurement.errors[each])
            reason = Reason.UNRESPONSIVE if kind == "timeout" else Reason.LOAD_FAILED
            raise TrialFailure(
                reason,
                f"{measurement.failed} of {measurement.requests} requests failed, most of them "
                f"as {kind}",
            )
        interval = percentile_interval(measurement, self.plan.budget.percentile)
        point = LoadPoint(phase, measurement, interval)
        self.points.append(point)
        return point

    @property
    def paced_s(self) -> float:
        """What an answer takes, as far as the length of a load point depends on it.

        Where limits are for parts of answers, that is what it took under load: a point must last
        for several of them, before as many are under way as there will be.
        """
        if self.plan.budget.answers is None:
            return self.answer_s
        seen = [
            _allowed_s(point.measurement, self.plan.budget)
            for point in self.points
            if point.phase in (Phase.SATURATION, Phase.SEARCH)
        ]
        known_s = self.plan.expected.answer_s if self.plan.expected else 0.0
        return min(self.longest_s, max(self.answer_s, known_s, *seen))

    def of(self, phase: Phase) -> list[LoadPoint]:
        return [point for point in self.points if point.phase is phase]

    def per_inference(self, rate: float) -> float:
        return rate * self.inferences

    def result(
        self,
        outcome: Outcome,
        throughput: float = 0.0,
        *,
        log_error: float = math.inf,
        best: LoadPoint | None = None,
    ) -> Capacity:
        return Capacity(
            outcome=outcome,
            throughput=throughput,
            log_error=log_error,
            points=tuple(self.points),
            best=best,
            unloaded_s=self.unloaded_s,
            saturation=self.per_inference(self.saturation),
            answer_s=self.paced_s,
        )

    def _run_in(self) -> None:
        """Full load, until enough requests were answered or it takes too long."""
        answered, spent_s = 0, 0.0
        while answered < self.plan.warm_up_requests and spent_s < _RUN_IN_LIMIT_S:
            profile = ClosedLoop(self.plan.concurrency)
            seen = self.add(Phase.WARM_UP, profile, duration_s=_RUN_IN_S).measurement
            answered += seen.requests - seen.failed - seen.unanswered
            spent_s += max(_RUN_IN_S, _median_s(seen.answer_times_s))

    def _unloaded(self) -> LoadPoint:
        length_s, spent_s, is_slow = _FIRST_UNLOADED_S, 0.0, False
        while True:
            point = self.add(Phase.UNLOADED, ClosedLoop(1), duration_s=length_s)
            spent_s += length_s
            self.answer_s = _median_s(point.measurement.answer_times_s)
            self.median_s = _median_s(point.measurement.latencies_s)
            cold = warm_up_share(point.measurement.latencies_s)
            left_s = unloaded_limit_s(self.answer_s) - spent_s
            if cold <= 1 / 2 or left_s <= 0 or is_slow:
                break
            is_slow = FEWEST_FOR_WARM_UP * self.answer_s > left_s
            length_s = left_s if is_slow else min(2 * length_s, left_s)
        return self._without_start(point, cold) if 0 < cold <= 1 / 2 else point

    def _without_start(self, point: LoadPoint, share: float) -> LoadPoint:
        """The point without the warm-up in it: that would be read as the server's latency."""
        measurement = point.measurement
        first = round(share * len(measurement.due_s))
        steady = replace(
            measurement,
            due_s=measurement.due_s[first:],
            latencies_s=measurement.latencies_s[first:],
            lags_s=measurement.lags_s[first:],
        )
        interval = percentile_interval(steady, self.plan.budget.percentile)
        return replace(point, interval=interval)


def unloaded_limit_s(answer_s: float) -> float:
    """How long a server that takes `answer_s` for an answer is asked one request at a time."""
    return max(_UNLOADED_LIMIT_S, _UNLOADED_ANSWERS * answer_s)


def _longest_s(budget: LatencyBudget, unloaded: Measurement, answer_s: float) -> float:
    """An answer whose time between tokens is at its limit takes as many times as long."""
    limits = budget.limits
    if limits.whole_s < math.inf:
        return limits.whole_s
    times = limits.itl_s / unloaded.itl(50) if limits.itl_s < math.inf else math.nan
    slower = max(1.0, times) if math.isfinite(times) else _LOADED_ANSWERS
    return slower * answer_s + (limits.ttft_s if limits.ttft_s < math.inf else 0.0)


def _allowed_s(measurement: Measurement, budget: LatencyBudget) -> float:
    """What an answer took; less, in proportion, where half of the requests were over the limit."""
    judged_s = _median_s(measurement.latencies_s)
    share = min(1.0, budget.limit_s / judged_s) if judged_s else 1.0
    return share * _median_s(measurement.answer_times_s)


def _median_s(times_s: FloatArray) -> float:
    """Of all requests that did not fail; those without an answer count with their age."""
    ended = times_s[np.isfinite(times_s)]
    return float(np.median(ended)) if len(ended) else 0.0

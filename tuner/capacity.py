"""From measurements to one answer: the highest load within the latency budget.

The order of probes: warm up, measure unloaded, saturate in a closed loop, then search the root of
log(percentile / limit) over log(load) with seeded open-loop arrivals. The search works on any
`measure` function, so it can be tried on simulated servers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from tuner.errors import Reason, TrialFailure
from tuner.estimators import Interval, percentile_interval, throughput_interval, warm_up_share
from tuner.load import ClosedLoop, LoadProfile, Measurement, OpenLoop, Overload

_WARM_UP_BURST_S = 0.1
_WARM_UP_LIMIT_S = 10.0
_SATURATION_S = 1.0
_SATURATION_DOUBLINGS = 4
_SATURATION_RISE = 1.05
_FIRST_LOAD = 0.8  # of the saturation throughput
_SMALLEST_POINT_S = 2.0
_SLOW_POINT_S = 5.0
_LARGEST_POINT_S = 30.0
_BELOW_ROOT = 0.93
_EXTRA_POINTS = 3
_BRACKET = 1.06  # the root search is content once the bracket is this narrow
_FAILED_SHARE = 0.5


@dataclass(frozen=True)
class LatencyBudget:
    """The latency that users accept: `percentile` percent of requests within `limit_s`."""

    percentile: float
    limit_s: float

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:
            raise ValueError(f"`0 < percentile < 100` must hold, but got {self.percentile:g}")
        if not 0 < self.limit_s < math.inf:
            raise ValueError(f"`0 < limit` must hold, but got {self.limit_s:g} s")

    def __str__(self) -> str:
        return f"p{self.percentile:g} <= {self.limit_s * 1e3:g} ms"


class Phase(StrEnum):
    """What a load point was measured for."""

    WARM_UP = "warm-up"
    UNLOADED = "unloaded"
    SATURATION = "saturation"
    SEARCH = "search"


class Outcome(StrEnum):
    """What is known of a configuration once it was measured."""

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    PRUNED = "pruned"


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
        if isinstance(profile, OpenLoop):
            return profile.rate
        return self.measurement.throughput / self.measurement.inferences_per_request


@dataclass(frozen=True)
class Capacity:
    """The answer: `throughput` in inferences per second, 0 where no load meets the budget.

    `log_error` is the standard error of the throughput's logarithm. For a pruned configuration the
    throughput is the bound that proved it beaten. `best` is the highest load that met the budget.
    """

    outcome: Outcome
    throughput: float
    log_error: float
    points: tuple[LoadPoint, ...]
    best: LoadPoint | None
    unloaded_s: float
    saturation: float


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

    `concurrency` should saturate the server; `largest_batch` is what it makes by itself;
    `beat` is the throughput below which a configuration is of no interest; `points` are the open
    loop measurements that are planned.
    """

    budget: LatencyBudget
    concurrency: int
    largest_batch: int = 1
    seed: int = 0
    beat: float = 0.0
    points: int = 4


def find_capacity(measure: Measure, plan: CapacityPlan) -> Capacity:
    """The highest load within `plan.budget`.

    Raises:
        TrialFailure: Too many requests failed for the measurement to mean anything.
    """
    search = _Search(measure, plan)
    unloaded = search.warm_up()
    if unloaded.interval.low > plan.budget.limit_s:
        return search.result(Outcome.INFEASIBLE)
    saturation = search.saturate()
    if throughput_interval(saturation.measurement).high < plan.beat:
        return search.result(Outcome.PRUNED, saturation.measurement.throughput)
    for rate in search.rates():
        point = search.probe(rate)
        if search.is_beaten(point):
            return search.result(Outcome.PRUNED, search.per_inference(point.rate))
    return search.conclude()


def duration_s(budget: LatencyBudget, requests_per_s: float) -> float:
    """How long one open-loop point takes: 33 limits or 1000 requests, whichever is longer.

    A slow server gets fewer than 1000 requests: it is measured well enough to be beaten.
    """
    requests_s = min(1000 / requests_per_s, _SLOW_POINT_S)
    return min(max(33 * budget.limit_s, requests_s, _SMALLEST_POINT_S), _LARGEST_POINT_S)


def expected_s(budget: LatencyBudget, plan_points: int = 4) -> float:
    """Roughly how long the measuring of a configuration takes, for plans and time left."""
    return 1.0 + 2 * _SATURATION_S + (plan_points - 1) * duration_s(budget, 500)


@dataclass
class _Search:
    """The points so far, and what follows from them."""

    measure: Measure
    plan: CapacityPlan
    points: list[LoadPoint] = field(default_factory=list)
    unloaded_s: float = 0.0
    saturation: float = 0.0  # requests per second
    inferences: int = 1

    def warm_up(self) -> LoadPoint:
        """Bursts of every batch size, then one request at a time until the latency is steady."""
        concurrency = 1
        while concurrency <= self.plan.largest_batch:
            self._add(Phase.WARM_UP, ClosedLoop(concurrency), duration_s=_WARM_UP_BURST_S)
            concurrency *= 2
        length_s, spent_s = 0.5, 0.0
        while True:
            point = self._add(Phase.UNLOADED, ClosedLoop(1), duration_s=length_s)
            spent_s += length_s
            cold = warm_up_share(point.measurement.latencies_s)
            if cold <= 1 / 2 or spent_s >= _WARM_UP_LIMIT_S:
                break
            length_s = min(2 * length_s, _WARM_UP_LIMIT_S - spent_s)
        if 0 < cold <= 1 / 2:
            point = self._without_start(point, cold)
        self.unloaded_s = point.interval.estimate
        self.inferences = point.measurement.inferences_per_request
        return point

    def _without_start(self, point: LoadPoint, share: float) -> LoadPoint:
        """The point without the warm-up in it: that would be read as the server's latency."""
        measurement = point.measurement
        first = round(share * len(measurement.due_s))
        steady = replace(
            measurement,
            due_s=measurement.due_s[first:],
            latencies_s=measurement.latencies_s[first:],
        )
        interval = percentile_interval(steady, self.plan.budget.percentile)
        return replace(point, interval=interval)

    def saturate(self) -> LoadPoint:
        """The closed loop's throughput, with more in flight for as long as that helps."""
        concurrency, best = self.plan.concurrency, None
        for _ in range(_SATURATION_DOUBLINGS):
            point = self._add(Phase.SATURATION, ClosedLoop(concurrency), duration_s=_SATURATION_S)
            rises = best is None or point.rate > _SATURATION_RISE * best.rate
            best = point if best is None or point.rate > best.rate else best
            if not rises or best.interval.estimate > 4 * self.plan.budget.limit_s:
                break
            concurrency *= 2
        if best is None or best.rate == 0:
            raise TrialFailure(Reason.UNRESPONSIVE, "no request was answered under full load")
        self.saturation = best.rate
        return best

    def rates(self) -> Iterator[float]:
        """The loads to probe, each chosen from what the earlier ones showed.

        Some more than planned while all were too high: a capacity needs a load that was within.
        """
        yield _FIRST_LOAD * self.saturation
        for number in range(1, self.plan.points + _EXTRA_POINTS):
            low, high = self._bracket()
            if high / max(low, 1e-9) < _BRACKET or (low > 0 and number >= self.plan.points):
                return
            yield self._next_rate(low, high)

    def probe(self, rate: float) -> LoadPoint:
        budget = self.plan.budget
        return self._add(
            Phase.SEARCH,
            OpenLoop(rate, seed=self.plan.seed),
            duration_s=duration_s(budget, rate),
            overload=Overload(max(32, math.ceil(2 * rate * budget.limit_s))),
        )

    def is_beaten(self, point: LoadPoint) -> bool:
        """Proved over the budget at a load that would not have been enough."""
        over = point.interval.low > self.plan.budget.limit_s
        return over and self.per_inference(point.rate) < self.plan.beat

    def per_inference(self, rate: float) -> float:
        return rate * self.inferences

    def conclude(self) -> Capacity:
        """The root between the highest load within the budget and the lowest one over it."""
        within = [p for p in self._searched() if p.within(self.plan.budget)]
        if not within:
            return self.result(Outcome.INFEASIBLE)
        best = max(within, key=lambda p: p.rate)
        over = [p for p in self._searched() if p.rate > best.rate]
        root = self._root(best, min(over, key=lambda p: p.rate)) if over else best.rate
        return self.result(Outcome.FEASIBLE, self.per_inference(root), best)

    def result(
        self, outcome: Outcome, throughput: float = 0.0, best: LoadPoint | None = None
    ) -> Capacity:
        return Capacity(
            outcome=outcome,
            throughput=throughput,
            log_error=self._log_error(best) if best else math.inf,
            points=tuple(self.points),
            best=best,
            unloaded_s=self.unloaded_s,
            saturation=self.per_inference(self.saturation),
        )

    def _add(
        self,
        phase: Phase,
        profile: LoadProfile,
        *,
        duration_s: float,
        overload: Overload | None = None,
    ) -> LoadPoint:
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

    def _searched(self) -> list[LoadPoint]:
        return [p for p in self.points if p.phase is Phase.SEARCH]

    def _bracket(self) -> tuple[float, float]:
        """The highest load within the budget and the lowest over it; else 0, 1.1 x saturation."""
        over = [p.rate for p in self._searched() if not p.within(self.plan.budget)]
        high = min(over, default=1.1 * self.saturation)
        within = [p.rate for p in self._searched() if p.within(self.plan.budget)]
        return max((rate for rate in within if rate < high), default=0.0), high

    def _next_rate(self, low: float, high: float) -> float:
        """The root that the queue model predicts, kept inside the bracket and off its ends."""
        if low == 0.0:
            # Aimed a little lower than the model says: a bracket needs a lower end.
            lowest = min(self._searched(), key=lambda p: p.rate)
            return min(max(_BELOW_ROOT * self._model_root(lowest), 0.4 * high), 0.9 * high)
        nearest = min(self._searched(), key=lambda p: abs(self._log_ratio(p)))
        rate = self._model_root(nearest)
        width = math.log(high / low)
        position = min(max(math.log(max(rate, 1e-9) / low) / width, 0.25), 0.75)
        return low * math.exp(position * width)

    def _model_root(self, point: LoadPoint) -> float:
        """Where percentile = a + b rho / (1 - rho) through `point` meets the limit.

        `a` is the unloaded percentile, rho the load over the saturation throughput (M/M/1-like).
        """
        limit, latency = self.plan.budget.limit_s, point.interval.estimate
        a = min(self.unloaded_s, 0.9 * limit)
        full = max(self.saturation, 1.02 * point.rate)
        rho = point.rate / full
        if not math.isfinite(latency) or latency <= a:
            return 0.75 * point.rate if latency > limit else 0.97 * full
        b = (latency - a) * (1 - rho) / rho
        odds = (limit - a) / b
        return full * odds / (1 + odds)

    def _root(self, best: LoadPoint, over: LoadPoint) -> float:
        """The log-log line between the bracket's ends, where it meets the limit."""
        low, high = self._log_ratio(best), self._log_ratio(over)
        if over.measurement.stopped_early or not math.isfinite(high) or high <= low:
            # The end above says only that it is too high: the line to it would be too steep.
            return min(self._model_root(best), math.sqrt(best.rate * over.rate))
        share = -low / (high - low)
        return best.rate * math.exp(share * math.log(over.rate / best.rate))

    def _log_ratio(self, point: LoadPoint) -> float:
        return math.log(max(point.interval.estimate, 1e-9) / self.plan.budget.limit_s)

    def _log_error(self, best: LoadPoint) -> float:
        """The percentile's standard error over the slope of the queue model, and the bracket.

        Not below 1 %: the model is no better than that.
        """
        low, estimate, high = (
            math.log(max(each, 1e-9))
            for each in (best.interval.low, best.interval.estimate, best.interval.high)
        )
        # With too few requests beyond the percentile there is no upper end; the lower one serves.
        half_width = (high - low) / 2 if math.isfinite(high) else estimate - low
        rho = min(best.rate / self.saturation, 0.98)
        loaded = 1 - min(self.unloaded_s / best.interval.estimate, 0.95)
        slope = loaded / (1 - rho)
        over = [p.rate for p in self._searched() if p.rate > best.rate]
        width = math.log(min(over) / best.rate) if over else math.log(_BRACKET)
        return math.hypot(half_width / 1.96 / slope, width / math.sqrt(12), 0.01)

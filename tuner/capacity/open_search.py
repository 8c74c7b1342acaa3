"""The highest rate of an open loop within the latency budget.

A saturation probe says what the server carries without a limit; then each load is chosen where
the root is most likely, given all the points so far (queue_model). Arrivals are the same for all
configurations, point by point: what one owes to a lucky schedule, the others have too.
"""

import math
from collections.abc import Iterator

from tuner.capacity.intervals import throughput_interval
from tuner.capacity.probes import Capacity, CapacityPlan, LoadPoint, Probes
from tuner.capacity.queue_model import Observation, Root, root
from tuner.errors import Reason, TrialFailure
from tuner.goals import LatencyBudget
from tuner.load.profile import ClosedLoop, OpenLoop, Overload
from tuner.numbers.distributions import Z_ONE_SIDED, Z
from tuner.records import Outcome, Phase

SATURATION_S = 1.0
_SATURATION_DOUBLINGS = 4
_SATURATION_RISE = 1.05
# The first load, as a share of the saturation throughput; rather the best one's capacity, if it is
# not much less: whether that can be beaten is then known after one point.
_FIRST_LOAD, _MUCH_LESS = 0.8, 0.5
_SMALLEST_POINT_S, _SLOW_POINT_S, _LARGEST_POINT_S = 2.0, 5.0, 30.0
_LIMITS_A_POINT = 33
_EXTRA_POINTS = 3
_PRECISE = 0.025  # standard error of the log capacity with which the search is content
_POINT_SEEDS = 100  # the arrivals of a point are those of no other trial's seed
# Where all loads were too high, the next is this quantile of the root; but not lower than so many
# times what it would be if the latency fell no faster than the load, and not below half of it.
# Each extra point goes lower by another share: a flat curve would take many small steps.
_BELOW_ROOT, _IN_PROPORTION, _HALF, _STEEPER = 0.2, 0.9, 0.5, 0.2
_WORST_CHANCE = 0.05  # of beating the best, below which a configuration is given up
_SMALLEST_ERROR = 0.01  # the model is no better than that
_UNKNOWN_ERROR = 0.2  # of a log percentile with too few requests beyond it


def find(probes: Probes) -> Capacity:
    """The highest rate, once `probes` has warmed the server up.

    Raises:
        TrialFailure: Too many requests failed for the measurement to mean anything.
    """
    plan = probes.plan
    if plan.expected is None:
        saturation = _saturate(probes)
        if throughput_interval(saturation.measurement).high < sure_beat(plan):
            return probes.result(Outcome.PRUNED, saturation.measurement.throughput)
    else:
        probes.saturation = plan.expected.saturation / probes.inferences
    found: Root | None = None
    for rate in _rates(probes):
        number = len(probes.of(Phase.SEARCH))
        probes.add(
            Phase.SEARCH,
            OpenLoop(rate, seed=_POINT_SEEDS * plan.seed + number),
            duration_s=plan.stretch * duration_s(plan.budget, rate),
            overload=Overload(max(32, math.ceil(2 * rate * plan.budget.limit_s))),
        )
        found = _root(probes)
        to_beat = plan.beat / probes.inferences
        if found.probability_above(to_beat, plan.beat_log_error) < _WORST_CHANCE:
            bound = probes.per_inference(found.quantile(1 - _WORST_CHANCE))
            return probes.result(Outcome.PRUNED, bound)
    return _conclude(probes, found)


def sure_beat(plan: CapacityPlan) -> float:
    """What the best configuration carries at least, in inferences per second."""
    return plan.beat * math.exp(-Z_ONE_SIDED * plan.beat_log_error)


def duration_s(budget: LatencyBudget, requests_per_s: float) -> float:
    """How long one point takes: 33 limits or 1000 requests, whichever is longer.

    A slow server gets fewer than 1000 requests: it is measured well enough to be beaten.
    """
    requests_s = min(1000 / requests_per_s, _SLOW_POINT_S)
    limits_s = _LIMITS_A_POINT * budget.limit_s
    return min(max(limits_s, requests_s, _SMALLEST_POINT_S), _LARGEST_POINT_S)


def _saturate(probes: Probes) -> LoadPoint:
    """The closed loop's throughput, with more in flight for as long as that helps."""
    concurrency, best = probes.plan.concurrency, None
    for _ in range(_SATURATION_DOUBLINGS):
        point = probes.add(Phase.SATURATION, ClosedLoop(concurrency), duration_s=SATURATION_S)
        rises = best is None or point.rate > _SATURATION_RISE * best.rate
        best = point if best is None or point.rate > best.rate else best
        if not rises or best.interval.estimate > 4 * probes.plan.budget.limit_s:
            break
        concurrency *= 2
    if best is None or best.rate == 0:
        raise TrialFailure(Reason.UNRESPONSIVE, "no request was answered under full load")
    probes.saturation = best.rate
    return best


def _rates(probes: Probes) -> Iterator[float]:
    """The loads to probe, each chosen from what the earlier ones showed.

    Some more than planned while all were too high: a capacity needs a load that was within.
    """
    points = probes.plan.points
    yield _first_rate(probes)
    for number in range(1, points + _EXTRA_POINTS):
        within = _within(probes)
        found = _root(probes)
        if within and (number >= points or found.log_error < _PRECISE):
            return
        if within:
            yield found.rate
        else:
            extra = max(0, number - points + 1)
            yield max(found.quantile(_BELOW_ROOT), _lowest_next(probes)) * (1 - _STEEPER * extra)


def _first_rate(probes: Probes) -> float:
    plan = probes.plan
    if plan.expected is not None:
        return plan.expected.throughput / probes.inferences
    usual, to_beat = _FIRST_LOAD * probes.saturation, plan.beat / probes.inferences
    return to_beat if _MUCH_LESS * usual < to_beat < usual else usual


def _lowest_next(probes: Probes) -> float:
    """One point says little of how fast the latency falls: the posterior alone would fall deep."""
    lowest = min(probes.of(Phase.SEARCH), key=lambda point: point.rate)
    in_proportion = _IN_PROPORTION * probes.plan.budget.limit_s / _seen_s(lowest)
    return lowest.rate * max(_HALF, min(in_proportion, _IN_PROPORTION))


def _root(probes: Probes) -> Root:
    """From all points under load but those that a later, higher one has overruled.

    With dynamic batching a small load can be over the limit where a larger one is within it: a
    batch that does not fill waits for its delay.
    """
    within = _within(probes)
    highest = max((point.rate for point in within), default=0.0)
    telling = [p for p in probes.of(Phase.SEARCH) if p in within or p.rate > highest]
    return root(
        [Observation(p.rate, _seen_s(p), _log_error(p)) for p in telling],
        limit_s=probes.plan.budget.limit_s,
        unloaded_s=probes.floor_s,
        saturation=probes.saturation,
    )


def _seen_s(point: LoadPoint) -> float:
    """The percentile as it enters the fit: the middle of its interval, on a log scale.

    The percentile of a short run is too low more often than too high, because bursts are rare; its
    interval is longer upwards. Behind a queue that grows without end, a latency says only how long
    one looked.
    """
    if point.measurement.stopped_early:
        return math.inf
    low, estimate, high = point.interval.low, point.interval.estimate, point.interval.high
    return math.sqrt(low * high) if low > 0 and math.isfinite(high) else estimate


def _log_error(point: LoadPoint) -> float:
    """The standard error of the log percentile; one-sided where the upper end is not known."""
    low, estimate, high = (
        math.log(max(each, 1e-9))
        for each in (point.interval.low, point.interval.estimate, point.interval.high)
    )
    if not math.isfinite(estimate):
        return 0.0
    if not math.isfinite(high):
        return max((estimate - low) / Z, _UNKNOWN_ERROR)
    return (high - low) / 2 / Z


def _within(probes: Probes) -> list[LoadPoint]:
    budget = probes.plan.budget
    return [p for p in probes.of(Phase.SEARCH) if p.within(budget) and not _stopped(p)]


def _stopped(point: LoadPoint) -> bool:
    return bool(point.measurement.stopped_early)


def _conclude(probes: Probes, found: Root | None) -> Capacity:
    within = _within(probes)
    if not within or found is None:
        return probes.result(Outcome.INFEASIBLE)
    return probes.result(
        Outcome.FEASIBLE,
        probes.per_inference(found.rate),
        log_error=max(found.log_error, _SMALLEST_ERROR),
        best=max(within, key=lambda point: point.rate),
    )

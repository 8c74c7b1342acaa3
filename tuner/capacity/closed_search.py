"""The highest throughput of a closed loop within the latency budget: a search over concurrency.

For comparison with tools that load in no other way. A closed loop waits for the server before it
sends again, so its tail latencies are lower than what the same throughput means for users who do
not wait (Schroeder et al., NSDI 2006).
"""

import math
from collections.abc import Iterable

from tuner.capacity.intervals import throughput_interval
from tuner.capacity.open_search import duration_s
from tuner.capacity.probes import Capacity, LoadPoint, Probes
from tuner.load.profile import ClosedLoop
from tuner.numbers.distributions import Z
from tuner.records import Outcome, Phase

# The highest concurrency that is tried.
_MOST_CONCURRENCY = 4096
# A doubling that has less than this many times the throughput has saturated the server.
_SATURATION_RISE = 1.02
# The search is content once the ends of the bracket are no further apart than this factor.
_CLOSE = 1.1
# The rate, in requests per second, for which the first point is long enough.
_FIRST_GUESS_RATE = 1000.0
# No log capacity is known better than with this standard error.
_SMALLEST_LOG_ERROR = 0.01


def closed_capacity(probes: Probes) -> Capacity:
    """From the concurrency that should saturate the server up or down to the limit, then between.

    Coming from above, a small load that is over the limit (a batch that waits for its delay) hides
    no larger one that is within it.

    Raises:
        TrialFailure: Too many requests failed for the measurement to mean anything.
    """
    plan = probes.plan
    points: dict[int, LoadPoint] = {}
    concurrency: int | None = plan.concurrency
    while concurrency is not None and len(points) < plan.points + _planned_steps(plan.concurrency):
        point = _measured(probes, concurrency)
        points[concurrency] = point
        probes.saturation = max(probes.saturation, point.rate)
        if bound := _beaten(probes, points.values()):
            return probes.result(Outcome.PRUNED, bound.measurement.throughput)
        concurrency = _next(probes, points)
    within = [p for p in points.values() if p.within(plan.budget)]
    if not within:
        return probes.result(Outcome.INFEASIBLE)
    best = max(within, key=lambda p: p.measurement.throughput)
    interval = throughput_interval(best.measurement)
    error = math.log(interval.high / interval.estimate) / Z
    return probes.result(
        Outcome.FEASIBLE, interval.estimate, log_error=max(error, _SMALLEST_LOG_ERROR), best=best
    )


def _beaten(probes: Probes, points: Iterable[LoadPoint]) -> LoadPoint | None:
    """One that was over the limit, and surely carried less than what is to be beaten by now."""
    surely = probes.plan.beat.now.surely
    over = (point for point in points if not point.within(probes.plan.budget))
    return next((p for p in over if throughput_interval(p.measurement).high < surely), None)


def _measured(probes: Probes, concurrency: int) -> LoadPoint:
    known = probes.of(Phase.SEARCH)
    rate = known[-1].rate if known else _FIRST_GUESS_RATE
    length_s = probes.plan.stretch * duration_s(probes.plan.budget, max(rate, 1.0), probes.paced_s)
    return probes.add(Phase.SEARCH, ClosedLoop(concurrency), duration_s=length_s)


def _planned_steps(concurrency: int) -> int:
    """The halvings that lead from the first concurrency to 1."""
    return math.ceil(math.log2(concurrency)) + 1


def _next(probes: Probes, points: dict[int, LoadPoint]) -> int | None:
    """The concurrency to try next; None once the answer is known."""
    budget = probes.plan.budget
    low = max((c for c, p in points.items() if p.within(budget)), default=0)
    high = min((c for c in points if c > low), default=0)
    if not high:
        return _doubled(points, low)
    if not low:
        return high // 2 or None
    middle = round(math.sqrt(low * high))
    return middle if low < middle < high and high > _CLOSE * low else None


def _doubled(points: dict[int, LoadPoint], low: int) -> int | None:
    lower = [p.rate for c, p in points.items() if c < low]
    risen = not lower or points[low].rate > _SATURATION_RISE * max(lower)
    return 2 * low if risen and 2 * low <= _MOST_CONCURRENCY else None

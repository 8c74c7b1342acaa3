"""The highest rate of an open loop within the latency budget.

A saturation probe says what the server carries without a limit; then each load is chosen where
the root is most likely, given all the points so far (queue_model), until it is known well enough.
Arrivals are typical (typical_arrivals): no configuration owes anything to a lucky schedule.
"""

import math
from collections.abc import Iterator

import numpy as np

from tuner.capacity.intervals import throughput_interval
from tuner.capacity.probes import Capacity, LoadPoint, Probes
from tuner.capacity.queue_model import Observation, Root, root
from tuner.capacity.typical_arrivals import typical_seed
from tuner.errors import Reason, TrialFailure
from tuner.goals import LatencyBudget
from tuner.load.measurement import LATE
from tuner.load.profile import ClosedLoop, OpenLoop, Overload
from tuner.numbers.distributions import Z
from tuner.records import Outcome, Phase

# Each closed loop of the saturation probe lasts this long,
_SATURATION_S = 0.5
# or as long as this many answers without load, if they are slow;
_SATURATION_ANSWERS = 4.5
# there are at most this many, each with twice as many requests in flight,
_SATURATION_LOOPS = 4
# until one has less than this many times the throughput of the best before, or half of its answers
# are over the limit.
_SATURATION_RISE = 1.05
# Where limits are for parts of answers, hardly anything is known of how many a server works on at
# once: there are at most this many loops,
_LOOPS_OF_ANSWERS = 8
# and this many in a row without a rise end them. A server may be slow the first time that it works
# on that many (benchmarks/README.md, "vLLM").
_WITHOUT_RISE_OF_ANSWERS = 2
# Answers that end within this many times the median one are of the first round.
_ROUND = 1.5
# The first load, as a share of the saturation throughput: at most,
_FIRST_LOAD = 0.8
# and at least. What lies between is that of a queue with constant service times, whose time has
# its high percentiles beyond the service at this many times rho / (1 - rho) services or so.
_LEAST_FIRST_LOAD = 0.3
_TAIL = 2.3
# It is what the best configuration carries instead, if that is less, but at least this share of
# it: whether the best can be beaten is then known after one point.
_LEAST_FIRST = 0.5
# A point lasts at least this long,
_SHORTEST_POINT_S = 1.5
# however slow the server is, no longer than this for the sake of more requests,
_REQUESTS_LIMIT_S = 5.0
# and for the sake of a large latency limit no longer than this,
_LONGEST_POINT_S = 30.0
# or than this many answers without load: a queue needs time to show how long it grows.
_LONGEST_POINT_ANSWERS = 15
# Where limits are for parts of answers, a point should last for this many answers,
_POINT_ANSWERS = 15
# and have this many requests beyond the percentile.
_POINT_BEYOND = 2
# The latency limits and the requests that it should last.
_POINT_LIMITS = 16
_POINT_REQUESTS = 800
# A point that is far over the limit whatever is still to come, since it has this many times the
# late requests that all of it may have, ends at once; but not before this time,
_FAR_OVER = 3.0
_LEAST_BEFORE_LATE_S = 1.0
# nor before this share of it: by how much it is over should be known as well.
_LEAST_SHARE_BEFORE_LATE = 0.4
# Points beyond the planned ones, while all loads were too high.
_EXTRA_POINTS = 3
# The standard error of the log capacity with which the search is content.
_PRECISE_LOG_ERROR = 0.08
# The arrivals of a point are those of no other trial's seed, for up to this many points a trial.
_POINT_SEEDS = 100
# Where all loads were too high, the next one is this quantile of the root,
_BELOW_ROOT = 0.2
# but not below this share of what it would be if the latency fell no faster than the load,
_IN_PROPORTION = 0.9
# nor below this share of the lowest load so far.
_LOWEST = 0.5
# Each extra point is lower by this share more: a flat curve would take many small steps.
_STEEPER = 0.2
# A configuration with less chance than this of beating the best is given up.
_WORST_CHANCE = 0.05
# One with more chance than this of beating it needs no more than this many points.
_SURE_CHANCE = 0.95
_POINTS_OF_A_LEAP = 2
# No open loop carries more than this many times what the server was seen to answer: a short point
# hardly shows that a load is just too much.
_MOST_BEYOND = 1.02
# The model's own standard error of a log capacity: no capacity is known better.
_SMALLEST_LOG_ERROR = 0.01
# The standard error of a log percentile with too few requests beyond it.
_UNKNOWN_LOG_ERROR = 0.2


def open_capacity(probes: Probes) -> Capacity:
    """The highest rate, once `probes` has warmed the server up.

    Raises:
        TrialFailure: Too many requests failed for the measurement to mean anything.
    """
    plan = probes.plan
    if plan.expected is None:
        saturation = _saturate(probes)
        most = throughput_interval(saturation.measurement).high
        if max(most, probes.per_inference(probes.saturation)) < plan.beat.now.surely:
            return probes.result(Outcome.PRUNED, saturation.measurement.throughput)
    else:
        probes.saturation = plan.expected.saturation / probes.inferences
    closed = probes.saturation
    found: Root | None = None
    for rate in _rates(probes):
        number = len(probes.of(Phase.SEARCH))
        length_s = plan.stretch * duration_s(plan.budget, rate, probes.paced_s)
        seed = typical_seed(
            _POINT_SEEDS * plan.seed + number,
            round(rate * length_s),
            plan.budget.percentile,
            rate * probes.paced_s if plan.budget.answers else 0.0,
        )
        probes.add(
            Phase.SEARCH,
            OpenLoop(rate, seed=seed),
            duration_s=length_s,
            overload=_lost(plan.budget, rate, length_s, probes.longest_s),
        )
        # No server answers more than it can, whatever a short closed loop showed.
        probes.saturation = max([closed, *(point.answered for point in _within(probes))])
        found = _root(probes)
        beat = plan.beat.now
        to_beat = beat.throughput / probes.inferences
        if found.probability_above(to_beat, beat.log_error) < _WORST_CHANCE:
            bound = probes.per_inference(found.quantile(1 - _WORST_CHANCE))
            return probes.result(Outcome.PRUNED, bound)
    return _conclude(probes, found, closed)


def _lost(budget: LatencyBudget, rate: float, length_s: float, longest_s: float) -> Overload:
    """When a point is far over the limit, whatever is still to come."""
    return Overload(
        outstanding(rate, longest_s),
        slow_s=budget.limit_s,
        forgiven=math.floor(_FAR_OVER * (1 - budget.percentile / 100) * rate * length_s),
        after_s=max(_LEAST_BEFORE_LATE_S, _LEAST_SHARE_BEFORE_LATE * length_s),
    )


def outstanding(rate: float, longest_s: float) -> int:
    """So many requests without an answer are more than a server that keeps up ever has.

    `longest_s` is what an answer takes at most, as long as the limits are kept.
    """
    return max(32, math.ceil(2 * rate * longest_s))


def duration_s(budget: LatencyBudget, requests_per_s: float, answer_s: float = 0.0) -> float:
    """How long one point takes: 16 limits or 800 requests, whichever is longer.

    `answer_s` is what an answer takes, if that is known: without load, or under it where limits
    are for its parts (`Probes.paced_s`). A slow server gets fewer than 800 requests: it is
    measured well enough to be beaten.
    """
    requests_s = min(_POINT_REQUESTS / requests_per_s, _REQUESTS_LIMIT_S)
    limits_s = _POINT_LIMITS * budget.limit_s
    longest_s = max(_LONGEST_POINT_S, _LONGEST_POINT_ANSWERS * answer_s)
    if budget.answers:
        beyond_s = _POINT_BEYOND / (1 - budget.percentile / 100) / requests_per_s
        requests_s = max(requests_s, beyond_s, _POINT_ANSWERS * answer_s)
    return min(max(limits_s, requests_s, _SHORTEST_POINT_S), longest_s)


def saturation_s(answer_s: float) -> float:
    """How long a closed loop of the saturation probe takes."""
    return max(_SATURATION_S, _SATURATION_ANSWERS * answer_s)


def _saturate(probes: Probes) -> LoadPoint:
    """The closed loop's throughput, with more in flight for as long as that helps."""
    concurrency, best, most, without_rise = probes.plan.concurrency, None, 0.0, 0
    of_answers = probes.plan.budget.answers is not None
    for _ in range(_LOOPS_OF_ANSWERS if of_answers else _SATURATION_LOOPS):
        try:
            point = _full_load(probes, concurrency)
            if of_answers:
                point = _full_load_again(probes, point, concurrency)
        except TrialFailure:
            # Too many for the server, or this machine: what it did with fewer is known.
            if best is None:
                raise
            break
        rate = _answered_rate(probes, point)
        without_rise = 0 if best is None or rate > _SATURATION_RISE * most else without_rise + 1
        if best is None or rate > most:
            best, most = point, rate
        enough = without_rise == (_WITHOUT_RISE_OF_ANSWERS if of_answers else 1)
        if enough or point.measurement.percentile(50) > probes.plan.budget.limit_s:
            break
        concurrency *= 2
    if best is None or most == 0:
        lasted_s = best.measurement.duration_s if best else 0.0
        raise TrialFailure(
            Reason.UNRESPONSIVE,
            f"no request was answered under full load ({probes.plan.concurrency} in flight, "
            f"{lasted_s:.3g} s)",
        )
    probes.saturation = most
    return best


def _full_load_again(probes: Probes, point: LoadPoint, concurrency: int) -> LoadPoint:
    """For long enough, now that it is known what answers take under load."""
    if saturation_s(probes.paced_s) <= point.measurement.duration_s:
        return point
    longer = _full_load(probes, concurrency)
    return longer if longer.rate else point


def _full_load(probes: Probes, concurrency: int) -> LoadPoint:
    """A closed loop that lasts until there are answers.

    Where all in flight are worked on at the same time, they take as many times as long.
    """
    length_s = saturation_s(probes.paced_s)
    longest_s = max(length_s, 2 * concurrency * probes.answer_s)
    while True:
        point = probes.add(Phase.SATURATION, ClosedLoop(concurrency), duration_s=length_s)
        if point.rate or length_s >= longest_s:
            return point
        length_s = min(2 * length_s, longest_s)


def _answered_rate(probes: Probes, point: LoadPoint) -> float:
    """Answered requests per second.

    Answers come in rounds, of which the last is cut off: they are counted until the last one,
    not until the end. Where limits are for parts of answers these are long, and each has a length
    of its own: they are counted from the end of the first round on, if there are more.
    """
    measurement = point.measurement
    done_s = measurement.due_s + measurement.answer_times_s
    in_time_s = done_s[done_s <= measurement.duration_s]
    if not len(in_time_s):
        return point.rate
    first_s, last_s = 0.0, float(in_time_s.max())
    if probes.plan.budget.answers:
        early_s = in_time_s[in_time_s <= _ROUND * probes.paced_s]
        first_s = float(early_s.max(initial=0.0)) if early_s.max(initial=0.0) < last_s else 0.0
    return np.count_nonzero(in_time_s > first_s) / (last_s - first_s)


def _rates(probes: Probes) -> Iterator[float]:
    """The loads to probe, each chosen from what the earlier ones showed.

    Some more than planned while all were too high: a capacity needs a load that was within.
    """
    points = probes.plan.points
    yield _first_rate(probes)
    for number in range(1, points + _EXTRA_POINTS):
        within = _within(probes)
        found = _root(probes)
        if within and (number >= points or _is_known(probes, found, number)):
            return
        if within:
            yield found.rate
        else:
            extra = max(0, number - points + 1)
            yield max(found.quantile(_BELOW_ROOT), _lowest_next(probes)) * (1 - _STEEPER * extra)


def _is_known(probes: Probes, found: Root, points: int) -> bool:
    """Well enough; what is better than the best for sure will hardly stay the best for long."""
    beat = probes.plan.beat.now
    to_beat = beat.throughput / probes.inferences
    leaps = to_beat > 0 and found.probability_above(to_beat, beat.log_error) > _SURE_CHANCE
    return found.log_error < _PRECISE_LOG_ERROR or (leaps and points >= _POINTS_OF_A_LEAP)


def _first_rate(probes: Probes) -> float:
    plan = probes.plan
    if plan.expected is not None:
        return plan.expected.throughput / probes.inferences
    usual = _usual_share(probes) * probes.saturation
    to_beat = plan.beat.now.throughput / probes.inferences
    return to_beat if _LEAST_FIRST * usual < to_beat < usual else usual


def _usual_share(probes: Probes) -> float:
    """Of the saturation: the more answers fit into the limit, or are made at once, the higher."""
    if not probes.median_s:
        return _FIRST_LOAD
    at_once = max(1.0, probes.saturation * probes.answer_s)
    room = at_once * max(0.0, probes.plan.budget.limit_s / probes.median_s - 1) / _TAIL
    return min(_FIRST_LOAD, max(_LEAST_FIRST_LOAD, room / (1 + room)))


def _lowest_next(probes: Probes) -> float:
    """One point says little of how fast the latency falls: the posterior alone would fall deep."""
    lowest = min(probes.of(Phase.SEARCH), key=lambda point: point.rate)
    in_proportion = min(1.0, probes.plan.budget.limit_s / _seen_s(lowest))
    return lowest.rate * max(_LOWEST, _IN_PROPORTION * in_proportion)


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
        of_parts=probes.plan.budget.answers is not None,
    )


def _seen_s(point: LoadPoint) -> float:
    """The percentile as it enters the fit: the middle of its interval, on a log scale.

    The percentile of a short run is too low more often than too high, because bursts are rare; its
    interval is longer upwards. Behind a queue that grows without end, a latency says only how long
    one looked.
    """
    if point.measurement.stopped_early not in ("", LATE):
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
        return max((estimate - low) / Z, _UNKNOWN_LOG_ERROR)
    return (high - low) / 2 / Z


def _within(probes: Probes) -> list[LoadPoint]:
    budget = probes.plan.budget
    searched = probes.of(Phase.SEARCH)
    return [p for p in searched if p.within(budget) and not p.measurement.stopped_early]


def _conclude(probes: Probes, found: Root | None, closed: float) -> Capacity:
    """What was found, `closed` being the requests per second that the closed loop showed."""
    within = _within(probes)
    if not within or found is None:
        return probes.result(Outcome.INFEASIBLE)
    most = _MOST_BEYOND * probes.saturation
    if probes.plan.budget.answers and probes.saturation > _MOST_BEYOND * closed:
        most = math.inf  # it had too few users, or met a server that was not warm: it is no bound
    return probes.result(
        Outcome.FEASIBLE,
        probes.per_inference(min(found.rate, most)),
        log_error=max(found.log_error, _SMALLEST_LOG_ERROR),
        best=max(within, key=lambda point: point.rate),
    )

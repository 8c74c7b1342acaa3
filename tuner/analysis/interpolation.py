"""Between the loads that were measured: the capacity at a latency limit, the latency at a load.

A capacity lies between the highest load within the limit and the next one above it, which is over.
That is not the lowest load over the limit: with dynamic batching, a batch that does not fill waits
for its delay, and a small load can be slower than a larger one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tuner.analysis.comparison import START_LOG_ERROR
from tuner.analysis.load_curves import LoadCurve, LoadReading
from tuner.records import TrialRecord

# A load within this factor of the answer counts as having been measured.
_NEAR = 1.05
# Two loads further apart than this factor leave what lies between them vague.
_FAR = 1.5


class EstimateKind(StrEnum):
    """How an estimate is known.

    measured       a load within 5 % of it was measured
    interpolated   it lies between two loads that were measured
    at least       a capacity: no load that was measured is over the limit
    at most        a latency: only higher loads were measured
    none           a capacity: no load that was measured is within the limit;
                   a latency: no load that high was measured
    """

    MEASURED = "measured"
    INTERPOLATED = "interpolated"
    AT_LEAST = "at least"
    AT_MOST = "at most"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class CurveEstimate:
    """A place on the load curve of one configuration, between two loads that were measured.

    It is where the latency meets the limit, and `throughput` is the capacity; for the objective
    latency it is at the throughput that was asked about. `value` is that of the objective and
    `log_error` the standard error of its logarithm. `trial` is the configuration's first one,
    `starts` is how many of its trials have a load curve.
    """

    trial: TrialRecord
    kind: EstimateKind
    throughput: float
    lower: LoadReading | None
    upper: LoadReading | None
    value: float
    log_error: float
    starts: int

    @property
    def low(self) -> float:
        """The throughput of the load below, 0 without one."""
        return self.lower.throughput if self.lower else 0.0

    @property
    def high(self) -> float:
        """The throughput of the load above, infinite without one."""
        return max(self.low, self.upper.throughput) if self.upper else math.inf

    @property
    def wide(self) -> bool:
        """Whether the two loads are so far apart that one between them should be measured."""
        if self.lower is None or self.upper is None:
            return False
        neighbours = self.upper.concurrency is not None and self.upper.load <= self.lower.load + 1
        return self.upper.load > _FAR * self.lower.load and not neighbours


def capacity(curves: Sequence[LoadCurve], limit_s: float) -> CurveEstimate:
    """Where the latency of a configuration meets the limit; `curves` are those of its trials."""
    lower, upper = _middle([bracket(curve, limit_s) for curve in curves])
    throughput = _root(lower, upper, limit_s)
    return CurveEstimate(
        trial=curves[0].trial,
        kind=_kind(lower, upper, throughput),
        throughput=throughput,
        lower=lower,
        upper=upper,
        value=throughput,
        log_error=math.hypot(start_error(curves), _spread(lower, upper)),
        starts=len(curves),
    )


def bracket(curve: LoadCurve, limit_s: float) -> tuple[LoadReading | None, LoadReading | None]:
    """The highest load of one trial within the limit, and the next one above it."""
    within = [each for each in curve.readings if each.latency_s <= limit_s]
    lower = max(within, key=lambda each: each.load, default=None)
    above = [each for each in curve.readings if lower is None or each.load > lower.load]
    return lower, min(above, key=lambda each: each.load, default=None)


def _middle(
    brackets: Sequence[tuple[LoadReading | None, LoadReading | None]],
) -> tuple[LoadReading | None, LoadReading | None]:
    """The two middle ones, by load, of the ends of all brackets.

    A load between them has the least sum of distances to the brackets. Of brackets that agree it
    is their common part; where starts contradict each other, neither the luckiest nor the
    unluckiest rules. A missing lower end counts as no load, a missing upper one as an endless one.
    """
    lowers = [lower for lower, _ in brackets if lower]
    uppers = [upper for _, upper in brackets if upper]
    ends = sorted([*lowers, *uppers], key=lambda each: each.load)
    # Half of the ends are below the middle: as many as there are brackets, the missing included.
    below = len(lowers)
    return (ends[below - 1] if below else None, ends[below] if below < len(ends) else None)


def _root(lower: LoadReading | None, upper: LoadReading | None, limit_s: float) -> float:
    """The throughput at the limit, on the line of log latency over log load."""
    if lower is None:
        return 0.0
    if upper is None or lower.concurrency is not None:
        return lower.throughput
    ordered = lower.latency_s <= limit_s < upper.latency_s and lower.load < upper.load
    if not ordered:  # ends of starts that contradict each other
        return math.sqrt(lower.throughput * upper.throughput)
    if math.isinf(upper.latency_s):
        odds = _odds(lower.throughput, upper) * limit_s / lower.latency_s
        return upper.throughput * odds / (1 + odds)
    share = math.log(limit_s / lower.latency_s) / math.log(upper.latency_s / lower.latency_s)
    return float(lower.throughput * (upper.throughput / lower.throughput) ** share)


def _odds(throughput: float, full: LoadReading) -> float:
    """Load over headroom, rho / (1 - rho), where `full` is what the server carries at most.

    A single queue's latency grows in proportion to it (M/M/1); a line towards an infinite latency
    would say nothing.
    """
    return throughput / (full.throughput - throughput)


def _kind(lower: LoadReading | None, upper: LoadReading | None, throughput: float) -> EstimateKind:
    if lower is None:
        return EstimateKind.NONE
    if upper is None:
        return EstimateKind.AT_LEAST
    if lower.concurrency is not None:
        return EstimateKind.MEASURED
    factor = min(throughput / lower.throughput, upper.throughput / throughput)
    return EstimateKind.MEASURED if factor <= _NEAR else EstimateKind.INTERPOLATED


def _spread(lower: LoadReading | None, upper: LoadReading | None) -> float:
    """The standard deviation of a log capacity that may be anywhere between the two."""
    if lower is None or upper is None or lower.concurrency is not None:
        return 0.0
    return math.log(upper.throughput / lower.throughput) / math.sqrt(12)


def start_error(curves: Sequence[LoadCurve]) -> float:
    """The standard error of a logarithm that was measured on that many fresh starts."""
    return START_LOG_ERROR / math.sqrt(len(curves))


def latency(curves: Sequence[LoadCurve], throughput: float) -> CurveEstimate:
    """The latency of a configuration at `throughput` > 0, between the loads next to it.

    Infinite where the server falls behind, NaN where no load that high was measured.
    """
    lower, upper = _neighbours([r for c in curves for r in c.open_readings], throughput)
    return CurveEstimate(
        trial=curves[0].trial,
        kind=_latency_kind(lower, upper, throughput),
        throughput=throughput,
        lower=lower,
        upper=upper,
        value=_latency_s(lower, upper, throughput),
        log_error=start_error(curves),
        starts=len(curves),
    )


def _neighbours(
    readings: Sequence[LoadReading], throughput: float
) -> tuple[LoadReading | None, LoadReading | None]:
    """The loads next to `throughput`; twice the median one of those that are equal to it."""
    ordered = sorted(readings, key=lambda each: (each.throughput, each.latency_s))
    equal = [each for each in ordered if math.isclose(each.throughput, throughput)]
    if equal:
        middle = equal[len(equal) // 2]
        return middle, middle
    below = [each for each in ordered if each.throughput < throughput]
    above = [each for each in ordered if each.throughput > throughput]
    return (below[-1] if below else None, above[0] if above else None)


def _latency_s(lower: LoadReading | None, upper: LoadReading | None, throughput: float) -> float:
    """On the line of log latency over log load; NaN beyond the highest load."""
    if lower is None or lower is upper:
        return upper.latency_s if upper else math.nan
    if math.isinf(lower.latency_s):
        return math.inf
    if upper is None:
        return math.nan
    if math.isinf(upper.latency_s):
        return lower.latency_s * _odds(throughput, upper) / _odds(lower.throughput, upper)
    share = math.log(throughput / lower.throughput) / math.log(upper.throughput / lower.throughput)
    return float(lower.latency_s * (upper.latency_s / lower.latency_s) ** share)


def _latency_kind(
    lower: LoadReading | None, upper: LoadReading | None, throughput: float
) -> EstimateKind:
    if upper is None:
        return EstimateKind.NONE
    return EstimateKind.AT_MOST if lower is None else _kind(lower, upper, throughput)

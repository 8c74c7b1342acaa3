"""What replayed searches say: when they had found enough, and whether that beats another order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.replayed_trials import Cost, Moment
from tuner.numbers.arrays import FloatArray
from tuner.records import Interval

_WORST = 0.9
_RESAMPLES = 4000
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Spread:
    """Over all searches: nine of ten are not above `worst_decile`."""

    median: float
    worst_decile: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(float(np.median(values)), float(np.quantile(values, _WORST)))


@dataclass(frozen=True)
class Summary:
    """What it took all searches; `found` is the share of them that got there at all.

    A search that did not is charged with the whole space.
    """

    trials: Spread
    points: Spread
    time_s: Spread
    exhaustive_share: float
    found: float


@dataclass(frozen=True)
class Comparison:
    """Load points beside another's with the same seeds: ratio and difference of the means."""

    ratio: Interval
    difference: Interval

    @property
    def verdict(self) -> str:
        if self.ratio.high < 1:
            return "better"
        return "worse" if self.ratio.low > 1 else "tie"


def reached(moments: Iterable[Moment], wanted: float) -> Cost | None:
    """What it cost until `wanted` was recommended and always from then on; None if it was not."""
    since: Cost | None = None
    for moment in moments:
        if moment.capacity < wanted:
            since = None
        elif since is None:
            since = moment.cost
    return since


def summary(costs: Sequence[Cost | None], exhaustive: Cost) -> Summary:
    """Over searches of one contestant; `exhaustive` is what the whole space costs."""
    charged = [cost or exhaustive for cost in costs]
    points = Spread.of([cost.points for cost in charged])
    return Summary(
        trials=Spread.of([cost.trials for cost in charged]),
        points=points,
        time_s=Spread.of([cost.time_s for cost in charged]),
        exhaustive_share=points.median / exhaustive.points,
        found=sum(cost is not None for cost in costs) / len(costs),
    )


def comparison(points: Sequence[float], others: Sequence[float]) -> Comparison:
    """With 95 % intervals from resampled pairs (the percentile bootstrap, Efron 1979)."""
    pairs = np.array([points, others], dtype=np.float64)
    count = pairs.shape[1]
    drawn = np.random.default_rng(0).integers(0, count, (_RESAMPLES, count))
    ours, theirs = pairs[0][drawn].mean(axis=1), pairs[1][drawn].mean(axis=1)
    mean, other = float(pairs[0].mean()), float(pairs[1].mean())
    return Comparison(
        ratio=_interval(mean / other, ours / theirs),
        difference=_interval(mean - other, ours - theirs),
    )


def _interval(estimate: float, resampled: FloatArray) -> Interval:
    low, high = np.percentile(resampled, _INTERVAL)
    return Interval(float(low), estimate, float(high))

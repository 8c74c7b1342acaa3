"""Load points as a table, of which a script draws the plot of latency against throughput."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.analysis.pareto import Row, front
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Standings
from tuner.goals import LatencyBudget
from tuner.records import StudyRecord
from tuner.report.token_text import latency_name, latency_title
from tuner.store.curve_points import CurvePoint, curve_points
from tuner.store.storage import Storage

# The points on a page: more make it neither clearer nor lighter.
_MOST = 600


@dataclass(frozen=True, kw_only=True)
class PlotPoint:
    """One of them; `kind` is `best`, `defaults` or `other`, for its configuration."""

    trial: int
    throughput: float
    latency_ms: float
    tokens_per_s: float = math.nan
    kind: str
    stopped_early: bool
    on_front: bool


@dataclass(frozen=True)
class Plot:
    """Latencies are at the percentile of the `budget`, within its limit; throughputs in `unit`."""

    points: tuple[PlotPoint, ...]
    budget: LatencyBudget
    unit: RateUnit

    @property
    def limit_ms(self) -> float:
        return 1e3 * self.budget.limit_s

    @property
    def title(self) -> str:
        """What the latencies are."""
        return latency_title(self.budget)

    @property
    def latency(self) -> str:
        """The same, on the axis of a chart."""
        return latency_name(self.budget)

    @property
    def generated(self) -> bool:
        """Whether answers are made of output tokens."""
        return self.unit is RateUnit.REQUESTS

    @property
    def front(self) -> tuple[PlotPoint, ...]:
        """The points that no other beats in throughput and latency, by their throughput."""
        return tuple(
            sorted((p for p in self.points if p.on_front), key=lambda each: each.throughput)
        )


def plot(storage: Storage, study: StudyRecord, result: Standings) -> Plot:
    """That of the newest load points of the study."""
    found = curve_points(storage, study, limit=_MOST)
    on_front = _front(found)
    kinds = _kinds(study, result)
    points = [
        PlotPoint(
            trial=each.trial,
            throughput=each.throughput,
            latency_ms=1e3 * each.latency_s,
            tokens_per_s=each.tokens_per_s,
            kind=kinds.get(each.trial, "other"),
            stopped_early=each.stopped_early,
            on_front=number in on_front,
        )
        for number, each in enumerate(found)
    ]
    return Plot(tuple(points), study.budget, RateUnit.of(study))


def _front(points: Sequence[CurvePoint]) -> set[int]:
    """The places of those on the Pareto front."""
    rows: list[Row] = [
        {"place": place, "throughput": each.throughput, "latency_s": each.latency_s}
        for place, each in enumerate(points)
        if not each.stopped_early
    ]
    kept = front(rows, maximize=["throughput"], minimize=["latency_s"])
    return {row["place"] for row in kept}


def _kinds(study: StudyRecord, result: Standings) -> dict[int, str]:
    """By the number of the trial."""
    named = {}
    if result.winner:
        named[result.winner.configuration] = "best"
    if study.baseline:
        named[study.baseline.configuration] = "defaults"
    return {
        trial.number: named[trial.configuration]
        for trial in study.trials
        if trial.configuration in named
    }

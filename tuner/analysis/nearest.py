"""Where no configuration meets a latency budget: the one that comes closest, and by how much."""

import math
from dataclasses import dataclass

from tuner.analysis.load_curves import lowest_latency
from tuner.analysis.rate_unit import RateUnit
from tuner.goals import LatencyBudget
from tuner.records import StudyRecord, TrialRecord


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The lowest latency that was measured of any configuration, at the percentile of `budget`.

    It is that of `trial` with one request at a time, unless there is a load beside it: a
    `concurrency`, or an open loop of `throughput`, in `unit`.
    """

    trial: TrialRecord
    budget: LatencyBudget
    latency_s: float
    unit: RateUnit
    throughput: float | None = None
    concurrency: int | None = None

    @property
    def over_s(self) -> float:
        """By how much the latency is over the limit, in seconds; 0 where it is within."""
        return max(0.0, self.latency_s - self.budget.limit_s)

    @property
    def factor(self) -> float:
        """The latency as a multiple of the limit; up to 1 where it is within."""
        return self.latency_s / self.budget.limit_s


def nearest_unloaded(study: StudyRecord) -> Nearest | None:
    """With one request at a time, for the study's own budget; for studies in brief, too.

    None if nothing was measured.
    """
    measured = [t for t in study.searched if math.isfinite(t.unloaded_s)]
    closest = min(measured, key=lambda t: t.unloaded_s, default=None)
    if closest is None:
        return None
    return Nearest(
        trial=closest,
        budget=study.budget,
        latency_s=closest.unloaded_s,
        unit=RateUnit.of(study),
    )


def nearest_load(study: StudyRecord, budget: LatencyBudget) -> Nearest | None:
    """At whatever load, for any budget; None if nothing was measured."""
    lowest = lowest_latency(study, budget.percentile)
    if lowest is None:
        return None
    loaded = lowest.concurrency != 1
    return Nearest(
        trial=next(each for each in study.trials if each.number == lowest.trial),
        budget=budget,
        latency_s=lowest.latency_s,
        unit=RateUnit.of(study),
        throughput=lowest.throughput if loaded else None,
        concurrency=lowest.concurrency if loaded else None,
    )

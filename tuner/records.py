"""What was observed, as it is stored and reported: studies, trials and load points."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tuner.capacity import LatencyBudget, Phase
from tuner.errors import Reason
from tuner.load import ClosedLoop, Histogram, Measurement
from tuner.space import Configuration
from tuner.targets.base import ServerStatistics, Verdict

LATENCY_PERCENTILES = (50, 90, 95, 99)
# Failures that say nothing of the configuration: nobody must learn from them.
NOT_ITS_FAULT = (Reason.CLIENT_OVERLOADED, Reason.INTERRUPTED)


class Purpose(StrEnum):
    """What a trial was run for."""

    BASELINE = "baseline"
    SEARCH = "search"
    FINAL = "final"


class TrialState(StrEnum):
    """How a trial ended.

    feasible     some load meets the latency budget; `throughput` is the capacity
    infeasible   no load meets it
    pruned       proved that it cannot beat the best one; `throughput` is the bound of that proof
    failed       there is no measurement, for a Reason
    """

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class PointRecord:
    """One load point; `load` is the concurrency of a closed loop, the rate of an open one.

    `latency_s` is the percentile that the study's latency budget is about.
    """

    phase: str
    kind: str
    load: float
    duration_s: float
    throughput: float
    requests: int
    mean_s: float
    latency_s: float
    percentiles_s: Mapping[int, float]
    errors: Mapping[str, int]
    unanswered: int
    send_lag_p99_s: float
    engine_cpu_s: float
    priority: str
    stopped_early: str
    histogram: Histogram

    @classmethod
    def of(cls, phase: Phase, m: Measurement, budget: LatencyBudget) -> "PointRecord":
        closed = isinstance(m.profile, ClosedLoop)
        return cls(
            phase=phase.value,
            kind="closed" if closed else "open",
            load=m.profile.concurrency if isinstance(m.profile, ClosedLoop) else m.profile.rate,
            duration_s=m.duration_s,
            throughput=m.throughput,
            requests=m.requests,
            mean_s=m.mean_s,
            latency_s=m.percentile(budget.percentile),
            percentiles_s={q: m.percentile(q) for q in LATENCY_PERCENTILES},
            errors=dict(m.errors),
            unanswered=m.unanswered,
            send_lag_p99_s=m.send_lag_p99_s,
            engine_cpu_s=m.engine_cpu_s,
            priority=m.priority,
            stopped_early=m.stopped_early,
            histogram=m.histogram,
        )

    def percentile(self, q: float) -> float:
        """In seconds; exact for the percentiles that are stored, else to a bin's width."""
        exact = self.percentiles_s.get(int(q)) if q == int(q) else None
        return self.histogram.percentile(q) if exact is None else exact


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial. `timings_s` says where its time went, by step; `total` is all of it.

    `proposal` is the number that the sampler knows it by; `export` is the file that deploys its
    configuration.
    """

    number: int
    purpose: Purpose
    proposal: int | None
    configuration: Configuration
    state: TrialState
    reason: Reason | None = None
    message: str = ""
    throughput: float = 0.0
    log_error: float = math.inf
    unloaded_s: float = math.nan
    saturation: float = 0.0
    applied: str = ""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    statistics: ServerStatistics = field(default_factory=ServerStatistics)
    timings_s: Mapping[str, float] = field(default_factory=dict)
    points: tuple[PointRecord, ...] = ()
    log_tail: str = ""
    export: str = ""
    seed: int = 0
    started_at: datetime
    finished_at: datetime

    def best_point(self, budget: LatencyBudget) -> PointRecord | None:
        """The highest open-loop load that met the budget of the study."""
        within = [
            p
            for p in self.points
            if p.kind == "open" and not p.stopped_early and p.latency_s <= budget.limit_s
        ]
        return max(within, key=lambda p: p.load, default=None)


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """One study: what was searched, on what, for which latency budget."""

    name: str
    created_at: datetime
    server: str
    model: str
    model_fingerprint: str
    space_fingerprint: str
    budget: LatencyBudget
    parameters: Mapping[str, str]
    request: Mapping[str, Any]
    hardware: Mapping[str, Any]
    environment: Mapping[str, str]
    trials: tuple[TrialRecord, ...] = ()

    @property
    def baseline(self) -> TrialRecord | None:
        return next((t for t in self.trials if t.purpose is Purpose.BASELINE), None)

    @property
    def searched(self) -> tuple[TrialRecord, ...]:
        """All trials of the search, the baseline among them, without the finals."""
        return tuple(t for t in self.trials if t.purpose is not Purpose.FINAL)

    @property
    def finals(self) -> tuple[TrialRecord, ...]:
        return tuple(t for t in self.trials if t.purpose is Purpose.FINAL)

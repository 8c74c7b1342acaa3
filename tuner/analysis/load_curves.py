"""The load curves of a study: the latency percentile at each load that was measured."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tuner.analysis.one_host import as_on_one_host
from tuner.analysis.rate_unit import inferences_per_request
from tuner.goals import Loop
from tuner.load.histogram import Histogram
from tuner.records import (
    NOT_ITS_FAULT,
    Phase,
    PointRecord,
    StudyRecord,
    TrialRecord,
    TrialState,
    Usage,
)
from tuner.space.space import Configuration


@dataclass(frozen=True, kw_only=True)
class LoadReading:
    """The latency percentile at one load of one trial; infinite where the server fell behind.

    `throughput` is in inferences per second: what an open loop offered, what a closed loop of this
    `concurrency` got. `usage` is for each inference.
    """

    trial: int
    throughput: float
    latency_s: float
    requests: int
    concurrency: int | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def load(self) -> float:
        """The concurrency of a closed loop, the throughput of an open one."""
        return self.throughput if self.concurrency is None else self.concurrency


@dataclass(frozen=True)
class LoadCurve:
    """What one trial measured under load.

    `readings` are of the loop that the study searches capacities with, `open_readings` of open
    loops; where the study searches in an open loop they are the same.
    """

    trial: TrialRecord
    readings: tuple[LoadReading, ...]
    open_readings: tuple[LoadReading, ...]


def load_curves(study: StudyRecord, percentile: float) -> tuple[tuple[LoadCurve, ...], ...]:
    """For each configuration that did not fail, those of its trials that have a load curve.

    It is an empty tuple for a configuration that was dropped before it had one. A configuration
    that failed once by its own fault is not there at all: nobody should deploy it. In a fleet
    rates are those of the first host.
    """
    return tuple(
        tuple(
            LoadCurve(trial, readings, _open(study, trial, percentile))
            for trial in trials
            if trial.points
            and (readings := _readings(study, loaded_points(study, trial), trial, percentile))
        )
        for trials in _by_configuration(as_on_one_host(study)).values()
    )


def loaded_points(study: StudyRecord, trial: TrialRecord) -> tuple[PointRecord, ...]:
    """The points of a trial's load curve: all of its open loops.

    Where the study loads in a closed loop they are those of the search over the concurrency. The
    other closed loops (warm-up, unloaded, saturation) are there to prepare the search.
    """
    if study.arrivals is Loop.CLOSED:
        return tuple(p for p in trial.points if p.kind == "closed" and p.phase == Phase.SEARCH)
    return tuple(p for p in trial.points if p.kind == "open")


def reference_load(study: StudyRecord) -> float:
    """The throughput at which the study compares latencies, in inferences per second.

    That of the points that were measured for it; where there are none, the baseline's capacity.
    """
    for trial in as_on_one_host(study).trials:
        for point in trial.points:
            if point.phase == Phase.REFERENCE:
                return point.load * inferences_per_request(study)
    return study.baseline.throughput if study.baseline else 0.0


def lowest_latency(study: StudyRecord, percentile: float) -> LoadReading | None:
    """Of all configurations that did not fail, the lowest percentile at any load.

    With one request at a time it is a reading of concurrency 1. None if nothing was measured.
    """
    readings = [r for each in load_curves(study, percentile) for c in each for r in c.readings]
    for trials in _by_configuration(study).values():
        for trial in trials:
            readings += _unloaded(study, trial, percentile)
    known = [each for each in readings if math.isfinite(each.latency_s)]
    return min(known, key=lambda each: each.latency_s, default=None)


def _by_configuration(study: StudyRecord) -> dict[Configuration, list[TrialRecord]]:
    telling = [trial for trial in study.trials if trial.reason not in NOT_ITS_FAULT]
    failed = {t.configuration for t in telling if t.state is TrialState.FAILED}
    trials: dict[Configuration, list[TrialRecord]] = {}
    for trial in telling:
        if trial.configuration not in failed:
            trials.setdefault(trial.configuration, []).append(trial)
    return trials


def _open(study: StudyRecord, trial: TrialRecord, q: float) -> tuple[LoadReading, ...]:
    return _readings(study, [p for p in trial.points if p.kind == "open"], trial, q)


def _readings(
    study: StudyRecord, points: Iterable[PointRecord], trial: TrialRecord, q: float
) -> tuple[LoadReading, ...]:
    """One for each load; a load that was measured in several parts is one."""
    parts: dict[float, list[PointRecord]] = {}
    for point in points:
        parts.setdefault(point.load, []).append(point)
    return tuple(_reading(study, each, trial, q) for each in parts.values())


def _reading(
    study: StudyRecord, points: Sequence[PointRecord], trial: TrialRecord, q: float
) -> LoadReading:
    last = points[-1]
    closed = last.kind == "closed"
    return LoadReading(
        trial=trial.number,
        throughput=last.throughput if closed else last.load * inferences_per_request(study),
        latency_s=_percentile_s(study, points, q),
        requests=sum(point.requests for point in points),
        concurrency=int(last.load) if closed else None,
        usage=last.usage.per(last.throughput * last.duration_s),
    )


def _percentile_s(study: StudyRecord, points: Sequence[PointRecord], q: float) -> float:
    """Infinite for what was stopped early: its latencies say only how long one looked."""
    if any(point.stopped_early for point in points):
        return math.inf
    if len(points) == 1:
        return points[0].latency_s if q == study.budget.percentile else points[0].percentile(q)
    counts: Counter[int] = Counter()
    for point in points:
        counts.update(point.histogram.counts)
    return Histogram(counts, sum(p.histogram.failures for p in points)).percentile(q)


def _unloaded(study: StudyRecord, trial: TrialRecord, q: float) -> Iterator[LoadReading]:
    """With one request at a time: the last of these points, the earlier ones were not warm."""
    points = [point for point in trial.points if point.phase == Phase.UNLOADED]
    for point in points[-1:]:
        reading = _reading(study, [point], trial, q)
        # The trial's own figure leaves out the warm-up that was still in the point.
        exact = q == study.budget.percentile
        yield replace(reading, latency_s=trial.unloaded_s) if exact else reading

"""Two studies side by side: of versions, machines or models (pure).

Both are looked at within the latency budget of the first one. Where the other one searched for
another, its load points are cut again at that budget (`tuner.analysis.answers`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuner.analysis import comparison
from tuner.analysis.answers import answer, of_baseline
from tuner.analysis.comparison import Estimate
from tuner.analysis.interpolation import CurveEstimate, EstimateKind, capacity
from tuner.analysis.load_curves import LoadCurve, load_curves
from tuner.analysis.nearest import Nearest, nearest_load
from tuner.analysis.standings import Ratio, Standing, carrying, standings
from tuner.goals import LatencyBudget
from tuner.records import StudyRecord, TrialRecord
from tuner.space.space import Configuration

# Latency limits at which the throughputs are compared, from the lowest to the highest of both.
_LIMITS = 9
# What lies between two loads that were measured.
_INSIDE = (EstimateKind.MEASURED, EstimateKind.INTERPOLATED)


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What one configuration carries within the budget, in inferences per second.

    `log_error` is the standard error of its logarithm. It rests on `confirmations` fresh starts of
    finals; 0 for the search alone, and for what was cut again. `is_bound` says that no load was
    measured that is over the limit, so that it may carry more.
    """

    trial: TrialRecord
    throughput: float
    log_error: float
    confirmations: int = 0
    is_bound: bool = False

    @classmethod
    def of_standing(cls, standing: Standing) -> "Carried":
        return cls(
            trial=standing.trial,
            throughput=standing.throughput,
            log_error=standing.log_error,
            confirmations=standing.confirmations,
        )

    @classmethod
    def of_estimate(cls, estimate: CurveEstimate) -> "Carried":
        return cls(
            trial=estimate.trial,
            throughput=estimate.throughput,
            log_error=estimate.log_error,
            is_bound=estimate.kind is EstimateKind.AT_LEAST,
        )

    def minus(self, other: "Carried") -> Estimate:
        """The logarithm of this throughput over the other's, as two that were measured apart."""
        return Estimate(
            math.log(self.throughput / other.throughput),
            math.hypot(self.log_error, other.log_error),
            rounds=min(self.confirmations, other.confirmations),
        )


@dataclass(frozen=True, kw_only=True)
class Side:
    """One study within the budget of the comparison; `recut` where it is not its own.

    `carrying` has every configuration that carries something. Without any, there is no `winner`,
    and `nearest` is what comes closest. `baseline` is None where it carries nothing.
    """

    study: StudyRecord
    recut: bool
    winner: Carried | None
    baseline: Carried | None
    carrying: Mapping[Configuration, Carried]
    nearest: Nearest | None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What both studies measured; `ratio` is that of the other study over the first."""

    first: Carried
    other: Carried
    ratio: Ratio


@dataclass(frozen=True, kw_only=True)
class LimitPair(Pair):
    """The most that each study carries within another latency limit."""

    limit_s: float


@dataclass(frozen=True)
class Difference:
    """A fact in which two studies differ; None where one does not have it."""

    name: str
    first: object
    other: object


@dataclass(frozen=True, kw_only=True)
class StudyComparison:
    """All ratios are of the other study over the first.

    `same` are the configurations that both measured, `overall` is their geometric mean. `limits`
    go over the latencies that the load points of both cover, from the lowest to the highest.
    """

    budget: LatencyBudget
    first: Side
    other: Side
    winners: Pair | None
    baselines: Pair | None
    same: tuple[Pair, ...]
    overall: Ratio | None
    limits: tuple[LimitPair, ...]
    differences: tuple[Difference, ...]


def compared(first: StudyRecord, other: StudyRecord) -> StudyComparison:
    """Compare two studies, with their load points, within the latency budget of the first.

    A ratio is proved where it is farther from 1 than chance takes it in one case of twenty, and
    rests on three fresh starts of each side. Of several configurations or limits the p-values are
    Holm's. The intervals have the scatter of fresh starts within a study; what else changed
    between two studies (the machine's speed on another day) is in none of them.
    """
    sides = _side(first, first.budget), _side(other, first.budget)
    same = _same(*sides)
    return StudyComparison(
        budget=first.budget,
        first=sides[0],
        other=sides[1],
        winners=_pair(sides[0].winner, sides[1].winner),
        baselines=_pair(sides[0].baseline, sides[1].baseline),
        same=same,
        overall=_overall(same),
        limits=_limits(first, other, first.budget.percentile),
        differences=tuple(_differences(first, other)),
    )


def _side(study: StudyRecord, budget: LatencyBudget) -> Side:
    if study.budget != budget:
        return _recut(study, budget)
    result = standings(study)
    known = [*carrying(study), *result.ranked]
    baseline = result.baseline if result.baseline and result.baseline.throughput else None
    return Side(
        study=study,
        recut=False,
        winner=Carried.of_standing(result.winner) if result.winner else None,
        baseline=Carried.of_standing(baseline) if baseline else None,
        carrying={each.configuration: Carried.of_standing(each) for each in known},
        nearest=None if result.winner else nearest_load(study, budget),
    )


def _recut(study: StudyRecord, budget: LatencyBudget) -> Side:
    found = answer(study, budget)
    baseline = of_baseline(study, found.ranked)
    return Side(
        study=study,
        recut=True,
        winner=Carried.of_estimate(found.best) if found.best else None,
        baseline=Carried.of_estimate(baseline) if baseline else None,
        carrying={e.trial.configuration: Carried.of_estimate(e) for e in found.ranked},
        nearest=None if found.best else nearest_load(study, budget),
    )


def _pair(first: Carried | None, other: Carried | None) -> Pair | None:
    if first is None or other is None:
        return None
    difference = other.minus(first)
    return Pair(first=first, other=other, ratio=Ratio.of(difference, difference.p_value))


def _same(first: Side, other: Side) -> tuple[Pair, ...]:
    """The configurations that both measured, those that the first one carries most with first."""
    both = [
        (own, other.carrying[configuration])
        for configuration, own in first.carrying.items()
        if configuration in other.carrying
    ]
    both.sort(key=lambda pair: (-pair[0].throughput, pair[0].trial.number))
    return tuple(
        Pair(first=own, other=theirs, ratio=ratio)
        for (own, theirs), ratio in zip(both, _ratios(both), strict=True)
    )


def _ratios(pairs: Sequence[tuple[Carried, Carried]]) -> list[Ratio]:
    differences = [other.minus(first) for first, other in pairs]
    p_values = comparison.holm([each.p_value for each in differences])
    return [Ratio.of(each, p) for each, p in zip(differences, p_values, strict=True)]


def _overall(same: Sequence[Pair]) -> Ratio | None:
    """The geometric mean of two or more ratios, as sure as they agree with each other."""
    if len(same) < 2:
        return None
    differences = [pair.other.minus(pair.first) for pair in same]
    mean = comparison.mean(
        [each.value for each in differences], [each.scatter for each in differences]
    )
    mean = replace(mean, rounds=min(each.rounds for each in differences))
    return Ratio.of(mean, mean.p_value)


def _limits(first: StudyRecord, other: StudyRecord, percentile: float) -> tuple[LimitPair, ...]:
    """At latency limits for which the best of each study lies between loads that it measured."""
    own, theirs = ([c for c in load_curves(study, percentile) if c] for study in (first, other))
    ranges_s = _range_s(own), _range_s(theirs)
    low_s, high_s = max(low for low, _ in ranges_s), min(high for _, high in ranges_s)
    if not low_s < high_s < math.inf:
        return ()
    limits_s = [float(each) for each in np.geomspace(low_s, high_s, _LIMITS)]
    best = [(limit_s, _best(own, limit_s), _best(theirs, limit_s)) for limit_s in limits_s]
    inside = [(limit_s, a, b) for limit_s, a, b in best if a and b]
    ratios = _ratios([(a, b) for _, a, b in inside])
    return tuple(
        LimitPair(limit_s=limit_s, first=a, other=b, ratio=ratio)
        for (limit_s, a, b), ratio in zip(inside, ratios, strict=True)
    )


def _range_s(curves: Sequence[Sequence[LoadCurve]]) -> tuple[float, float]:
    """The lowest and the highest finite latency under load; (inf, -inf) without any."""
    found = [r.latency_s for each in curves for curve in each for r in curve.readings]
    finite = [latency_s for latency_s in found if math.isfinite(latency_s)]
    return min(finite, default=math.inf), max(finite, default=-math.inf)


def _best(curves: Sequence[Sequence[LoadCurve]], limit_s: float) -> Carried | None:
    """What carries the most within a limit; None where that is not known.

    It is not where the best is a bound only, nor where one that was over the limit at each load
    that was measured might carry more at a lower one.
    """
    found = [capacity(each, limit_s) for each in curves]
    best = max(found, key=lambda each: each.throughput)
    is_open = any(e.kind is EstimateKind.NONE and e.high > best.throughput for e in found)
    return Carried.of_estimate(best) if best.kind in _INSIDE and not is_open else None


def _differences(first: StudyRecord, other: StudyRecord) -> Iterator[Difference]:
    facts, others = dict(_facts(first)), dict(_facts(other))
    for name in dict.fromkeys([*facts, *others]):
        if facts.get(name) != others.get(name):
            yield Difference(name, facts.get(name), others.get(name))


def _facts(study: StudyRecord) -> Iterator[tuple[str, object]]:
    """What a result depends on, by name, in the order that it is shown in."""
    yield "server", study.server
    yield "model", study.model
    yield "model fingerprint", study.model_fingerprint
    yield "search space fingerprint", study.space_fingerprint
    yield "latency budget", str(study.budget)
    yield "arrivals", study.arrivals.value
    yield "objectives", ", ".join(objective.value for objective in study.objectives)
    yield "sampler", study.sampler
    for room, facts in (
        ("hardware", study.hardware),
        ("environment", study.environment),
        ("place", study.place or {}),
        ("request", study.request),
        ("option", study.options),
    ):
        for name, value in facts.items():
            yield f"{room} {name}", value

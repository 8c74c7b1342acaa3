"""Two studies side by side: of versions, machines or models (pure).

Both are looked at within the latency budget of the first one. Where the other one searched for
another, the load points of both are cut at that budget (`tuner.analysis.answers`).
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
from tuner.records import NOT_ITS_FAULT, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration

# Latency limits at which the throughputs are compared, from the lowest to the highest of both.
_LIMITS = 9
# What lies between two loads that were measured.
_INSIDE = (EstimateKind.MEASURED, EstimateKind.INTERPOLATED)


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What one configuration carries within the budget, in inferences per second.

    `log_error` is the standard error of its logarithm. It rests on `confirmations` fresh starts of
    finals; 0 for the search alone, and for what load points say. `is_bound` says that no load was
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
    """One study within the budget of the comparison; `recut` where its load points say it.

    `carrying` has every configuration that carries something, `failing` those that were tried and,
    by their own fault, carry nothing; of others nothing is known. Without any that carries
    something, there is no `winner`, and `nearest` is what comes closest. `baseline` is None where
    it carries nothing.
    """

    study: StudyRecord
    recut: bool
    winner: Carried | None
    baseline: Carried | None
    carrying: Mapping[Configuration, Carried]
    failing: frozenset[Configuration]
    nearest: Nearest | None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What both studies measured; `ratio` is that of the other study over the first."""

    first: Carried
    other: Carried
    ratio: Ratio

    @property
    def is_bound(self) -> bool:
        """Whether one of the two may carry more, so that the ratio is a bound, too."""
        return self.first.is_bound or self.other.is_bound


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

    `same` are the configurations that both measured, `overall` is the geometric mean of those that
    are no bounds. `only_first` and `only_other` carry something in one study, and nothing in the
    other, which tried them, too. `limits` go over the latencies that the load points of both
    cover, from the lowest to the highest.
    """

    budget: LatencyBudget
    first: Side
    other: Side
    winners: Pair | None
    baselines: Pair | None
    same: tuple[Pair, ...]
    overall: Ratio | None
    only_first: tuple[Carried, ...]
    only_other: tuple[Carried, ...]
    limits: tuple[LimitPair, ...]
    differences: tuple[Difference, ...]

    @property
    def averaged(self) -> tuple[Pair, ...]:
        """What `overall` is the mean of."""
        return _measured(self.same)


def compared(first: StudyRecord, other: StudyRecord, *, comparisons: int = 1) -> StudyComparison:
    """Compare two studies, with their load points, within the latency budget of the first.

    A ratio is `decided` where it is farther from 1 than chance takes it in one case of twenty, and
    `proved` where that rests on three fresh starts of each side: both are about the scatter within
    a study. What else changed between two studies (the machine's speed on another day) is in none
    of the intervals. The p-values are Holm's over the winners and the defaults, over the other
    configurations, and over the limits; of several `comparisons` with the first study they are
    multiplied by their number (Bonferroni).
    """
    recut = first.budget != other.budget
    sides = _side(first, first.budget, recut=recut), _side(other, first.budget, recut=recut)
    winners, baselines = _headline(*sides, comparisons)
    same = _same(*sides, [each for each in (winners, baselines) if each], comparisons)
    return StudyComparison(
        budget=first.budget,
        first=sides[0],
        other=sides[1],
        winners=winners,
        baselines=baselines,
        same=same,
        overall=_overall(same, comparisons),
        only_first=_only(*sides),
        only_other=_only(*reversed(sides)),
        limits=_limits(first, other, first.budget.percentile, comparisons),
        differences=tuple(_differences(first, other)),
    )


def _side(study: StudyRecord, budget: LatencyBudget, *, recut: bool) -> Side:
    """For studies of different budgets both come from load points: two methods make no ratio."""
    if recut:
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
        failing=_ended_as(study, TrialState.INFEASIBLE, TrialState.FAILED),
        nearest=None if result.winner else nearest_load(study, budget),
    )


def _recut(study: StudyRecord, budget: LatencyBudget) -> Side:
    found = answer(study, budget)
    baseline = of_baseline(study, found.ranked)
    over = frozenset(each.trial.configuration for each in found.infeasible)
    return Side(
        study=study,
        recut=True,
        winner=Carried.of_estimate(found.best) if found.best else None,
        baseline=Carried.of_estimate(baseline) if baseline else None,
        carrying={e.trial.configuration: Carried.of_estimate(e) for e in found.ranked},
        failing=over | _ended_as(study, TrialState.FAILED),
        nearest=None if found.best else nearest_load(study, budget),
    )


def _ended_as(study: StudyRecord, *states: TrialState) -> frozenset[Configuration]:
    """The configurations of which a trial ended so by its own fault."""
    ended = (t for t in study.trials if t.state in states and t.reason not in NOT_ITS_FAULT)
    return frozenset(trial.configuration for trial in ended)


def _only(own: Side, without: Side) -> tuple[Carried, ...]:
    """What carries something on one side alone, though both tried it; the most first."""
    lost = without.failing - without.carrying.keys()
    found = [carried for each, carried in own.carrying.items() if each in lost]
    return tuple(sorted(found, key=_most_first))


def _most_first(carried: Carried) -> tuple[float, int]:
    return -carried.throughput, carried.trial.number


def _headline(first: Side, other: Side, comparisons: int) -> tuple[Pair | None, Pair | None]:
    """The winners and the defaults: one family of claims."""
    both = (first.winner, other.winner), (first.baseline, other.baseline)
    found = iter(_pairs([(a, b) for a, b in both if a and b], comparisons))
    winners, baselines = (next(found) if a and b else None for a, b in both)
    return winners, baselines


def _same(
    first: Side, other: Side, headline: Sequence[Pair], comparisons: int
) -> tuple[Pair, ...]:
    """The configurations that both measured, those that the first one carries most with first.

    What the headline says of one of them stays what is said of it.
    """
    known = {
        each.first.trial.configuration: each
        for each in headline
        if each.first.trial.configuration == each.other.trial.configuration
    }
    both = [each for each in first.carrying if each in other.carrying]
    others = [each for each in both if each not in known]
    pairs = _pairs([(first.carrying[each], other.carrying[each]) for each in others], comparisons)
    known |= dict(zip(others, pairs, strict=True))
    return tuple(sorted((known[each] for each in both), key=lambda pair: _most_first(pair.first)))


def _pairs(family: Sequence[tuple[Carried, Carried]], comparisons: int) -> list[Pair]:
    """With the p-values of a family, of which there are as many as `comparisons`."""
    p_values = comparison.holm([comparisons * _p_value(*each) for each in family])
    return [
        Pair(first=first, other=other, ratio=Ratio.of(other.minus(first), p_value))
        for (first, other), p_value in zip(family, p_values, strict=True)
    ]


def _p_value(first: Carried, other: Carried) -> float:
    """1 where the one that seems to carry less is a bound: it may carry as much."""
    difference = other.minus(first)
    less = other if difference.value < 0 else first
    return 1.0 if less.is_bound else difference.p_value


def _measured(same: Sequence[Pair]) -> tuple[Pair, ...]:
    return tuple(each for each in same if not each.is_bound)


def _overall(same: Sequence[Pair], comparisons: int) -> Ratio | None:
    """The geometric mean of two or more ratios, as sure as they agree with each other."""
    differences = [pair.other.minus(pair.first) for pair in _measured(same)]
    if len(differences) < 2:
        return None
    mean = comparison.mean(
        [each.value for each in differences], [each.scatter for each in differences]
    )
    mean = replace(mean, rounds=min(each.rounds for each in differences))
    return Ratio.of(mean, min(1.0, comparisons * mean.p_value))


def _limits(
    first: StudyRecord, other: StudyRecord, percentile: float, comparisons: int
) -> tuple[LimitPair, ...]:
    """At latency limits for which the best of each study lies between loads that it measured."""
    own, theirs = ([c for c in load_curves(study, percentile) if c] for study in (first, other))
    ranges_s = _range_s(own), _range_s(theirs)
    low_s, high_s = max(low for low, _ in ranges_s), min(high for _, high in ranges_s)
    if not low_s < high_s < math.inf:
        return ()
    limits_s = [float(each) for each in np.geomspace(low_s, high_s, _LIMITS)]
    best = [(limit_s, _best(own, limit_s), _best(theirs, limit_s)) for limit_s in limits_s]
    inside = [(limit_s, a, b) for limit_s, a, b in best if a and b]
    pairs = _pairs([(a, b) for _, a, b in inside], comparisons)
    return tuple(
        LimitPair(limit_s=limit_s, first=a, other=b, ratio=pair.ratio)
        for (limit_s, a, b), pair in zip(inside, pairs, strict=True)
    )


def _range_s(curves: Sequence[Sequence[LoadCurve]]) -> tuple[float, float]:
    """The lowest and the highest finite latency under load; (inf, -inf) without any."""
    found = [r.latency_s for each in curves for curve in each for r in curve.readings]
    finite = [latency_s for latency_s in found if math.isfinite(latency_s)]
    return min(finite, default=math.inf), max(finite, default=-math.inf)


def _best(curves: Sequence[Sequence[LoadCurve]], limit_s: float) -> Carried | None:
    """What carries the most within a limit; None where that is not known.

    It is not where the best is a bound only, nor where another that is a bound, or was over the
    limit at each load that was measured, might carry more.
    """
    found = [(each, capacity(each, limit_s)) for each in curves]
    best = max((e for _, e in found), key=lambda each: each.throughput)
    others = [_most(own, e) for own, e in found if e.kind not in _INSIDE]
    is_open = any(most > best.throughput for most in others)
    return Carried.of_estimate(best) if best.kind in _INSIDE and not is_open else None


def _most(curves: Sequence[LoadCurve], estimate: CurveEstimate) -> float:
    """What a configuration may carry at most: without a load over the limit, what saturates it."""
    saturation = max(curve.trial.saturation for curve in curves)
    if estimate.kind is EstimateKind.AT_LEAST and saturation > 0:
        return max(estimate.throughput, saturation)
    return estimate.high


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

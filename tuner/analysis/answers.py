"""What the load points of a study say of another latency budget or another objective."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from tuner.analysis.interpolation import (
    CurveEstimate,
    EstimateKind,
    bracket,
    capacity,
    latency,
    start_error,
)
from tuner.analysis.load_curves import LoadCurve, LoadReading, load_curves, reference_load
from tuner.analysis.rate_unit import RateUnit
from tuner.errors import InputError
from tuner.goals import LatencyBudget, Objective
from tuner.numbers.distributions import Z
from tuner.records import StudyRecord, TrialRecord, Usage


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The configurations that meet `budget` (`ranked`, the best first), and those that do not.

    `least_throughput` is what each of the ranked ones carries; for the objective latency it is the
    load at which they are compared. `unmeasured` counts the configurations of which nothing is
    known: most of them were dropped before a load point that says something of the objective.
    `unit` is that of throughputs.
    """

    budget: LatencyBudget
    objective: Objective
    least_throughput: float
    ranked: tuple[CurveEstimate, ...]
    infeasible: tuple[CurveEstimate, ...]
    unmeasured: int
    unit: RateUnit

    @property
    def best(self) -> CurveEstimate | None:
        return self.ranked[0] if self.ranked else None

    @property
    def tied(self) -> tuple[CurveEstimate, ...]:
        """Those that may be as good as the best: the difference is within the uncertainty."""
        undecided = [each.trial.number for each in self.undecided]
        return tuple(
            each
            for each in self.ranked[1:]
            if _within_error(each, self.ranked[0], self.objective)
            and each.trial.number not in undecided
        )

    @property
    def undecided(self) -> tuple[CurveEstimate, ...]:
        """Those that may be better than the best: they were not measured near enough to it."""
        best = self.best
        match self.objective:
            case Objective.THROUGHPUT if best:
                over = [each for each in self.infeasible if each.high > best.throughput]
                return (*(e for e in self.ranked[1:] if e.kind is EstimateKind.AT_LEAST), *over)
            case Objective.LATENCY:
                return tuple(each for each in self.ranked[1:] if each.kind is EstimateKind.AT_MOST)
            case _:
                return ()


def answer(
    study: StudyRecord,
    budget: LatencyBudget,
    objective: Objective = Objective.THROUGHPUT,
    *,
    least_throughput: float | None = None,
) -> Answer:
    """The configurations that did not fail, ranked by `objective` within `budget`.

    Args:
        study: With its load points; all of them count, whatever the trial was for.
        budget: Any percentile and any limit.
        objective: What to rank by.
        least_throughput: What a configuration must carry, in the unit of the study; no matter for
            the objective throughput. By default what the baseline carries within `budget`, for the
            objective latency the load at which the study measured it.

    Raises:
        InputError: Nothing was measured that says anything of `objective`, or of such limits.
    """
    if not study.budget.is_alike(budget):
        raise InputError(
            f"study `{study.name}` was measured for {study.budget}; its load points say nothing "
            f"of {budget}",
            hint="other limits are known where all of them change in the same proportion",
        )
    measured = load_curves(study, budget.percentile)
    curves = [each for each in measured if each]
    match objective:
        case Objective.THROUGHPUT:
            least = 0.0
            estimates = [capacity(each, budget.limit_s) for each in curves]
        case Objective.LATENCY:
            least = least_throughput or _reference_load(study)
            estimates = [latency(each, least) for each in curves]
        case _:
            estimates = [_usage(each, budget.limit_s, objective) for each in curves]
            baseline = of_baseline(study, estimates)
            least = least_throughput or (baseline.throughput if baseline else 0.0)
    known = [each for each in estimates if not math.isnan(each.value)]
    if not known and objective is not Objective.THROUGHPUT:
        raise _nothing_measured(study, objective)
    best_first = sorted(known, key=lambda each: _rank(each, objective))
    return Answer(
        budget=budget,
        objective=objective,
        least_throughput=least,
        ranked=tuple(e for e in best_first if _meets(e, budget, objective, least)),
        infeasible=tuple(e for e in best_first if not _meets(e, budget, objective, least)),
        unmeasured=len(measured) - len(known),
        unit=RateUnit.of(study),
    )


def _reference_load(study: StudyRecord) -> float:
    load = reference_load(study)
    if not load:
        raise InputError(
            f"study `{study.name}` has no throughput at which it compares latencies: its baseline "
            "carries nothing within the budget",
            hint=f"`--min-throughput N` names one, in {RateUnit.of(study)}",
        )
    return load


def _usage(curves: Sequence[LoadCurve], limit_s: float, objective: Objective) -> CurveEstimate:
    """What a configuration takes of the machine within the limit, in the median of its starts."""
    within = [(curve.trial, bracket(curve, limit_s)[0]) for curve in curves]
    values = [_used(trial, lower, objective) for trial, lower in within]
    known = [value for value in values if math.isfinite(value)]
    return replace(
        capacity(curves, limit_s),
        value=median(known) if known else math.nan,
        log_error=start_error(curves),
    )


def _used(trial: TrialRecord, reading: LoadReading | None, objective: Objective) -> float:
    """At `reading`; where nothing was measured there, at the trial's own best load point."""
    there = replace(trial, usage=reading.usage if reading else Usage()).value(objective)
    return there if math.isfinite(there) else trial.value(objective)


def of_baseline(study: StudyRecord, estimates: Sequence[CurveEstimate]) -> CurveEstimate | None:
    """None where the baseline failed, or has no load curve."""
    baseline = study.baseline
    own = (e for e in estimates if baseline and e.trial.configuration == baseline.configuration)
    return next(own, None)


def _rank(estimate: CurveEstimate, objective: Objective) -> tuple[float, int]:
    value = -estimate.value if objective.maximize else estimate.value
    return value, estimate.trial.number


def _meets(
    estimate: CurveEstimate, budget: LatencyBudget, objective: Objective, least: float
) -> bool:
    if objective is Objective.LATENCY:
        return estimate.value <= budget.limit_s
    return estimate.kind is not EstimateKind.NONE and estimate.throughput >= least


def _within_error(other: CurveEstimate, best: CurveEstimate, objective: Objective) -> bool:
    margin = math.exp(Z * math.hypot(other.log_error, best.log_error))
    if objective.maximize:
        return other.value * margin >= best.value
    return other.value <= best.value * margin


def _nothing_measured(study: StudyRecord, objective: Objective) -> InputError:
    return InputError(
        f"study `{study.name}` has no load point that says anything of the objective "
        f"`{objective.value}`",
        hint=f"`tuner optimize --objective {objective.value}` measures it",
    )

"""An answer from stored load points: in sentences, as plain data, and where there is none."""

import math
from collections.abc import Sequence
from typing import Any

from tuner.analysis.answers import Answer
from tuner.analysis.interpolation import CurveEstimate, EstimateKind, capacity
from tuner.analysis.load_curves import LoadCurve, LoadReading
from tuner.analysis.nearest import Nearest, nearest_load
from tuner.analysis.rate_unit import RateUnit
from tuner.errors import NothingFeasibleError
from tuner.goals import LatencyBudget, Objective
from tuner.records import StudyRecord
from tuner.report import formats, nearest_text, rates
from tuner.report.amounts import amount
from tuner.report.findings import nothing_measured
from tuner.report.nearest_text import nearest_document
from tuner.report.token_text import judged, latency_title, limits_text

# Fewer requests beyond a percentile than this say little of it.
_ENOUGH_BEYOND = 3
# Configurations that are named in one sentence.
_MOST_NAMED = 3


def headline(answer: Answer, best: CurveEstimate) -> str:
    """What the best configuration achieves, and how that is known."""
    return f"{_finding(answer, best)}, {_grounds(answer.budget, best)}"


def doubts(answer: Answer, best: CurveEstimate) -> tuple[str, ...]:
    """Why the answer should be measured, a sentence each; none if it is good enough."""
    found = []
    if best.kind is EstimateKind.AT_LEAST and answer.objective is Objective.THROUGHPUT:
        found.append("no load that was measured is over the limit: it may carry more")
    if best.kind is EstimateKind.AT_MOST:
        found.append("the latency at that load itself was not measured")
    if best.wide and best.lower and best.upper:
        factor = formats.times(best.upper.load / best.lower.load)
        found.append(f"the gap between the loads around it is wide ({factor})")
    if answer.undecided:
        found.append(f"not measured near enough to be compared: {_listed(answer.undecided)}")
    return tuple(found)


def remarks(answer: Answer, best: CurveEstimate) -> tuple[str, ...]:
    """What must be known besides, a sentence each."""
    ties = f"as good within the uncertainty: {_listed(answer.tied)}" if answer.tied else ""
    said = (_about_requests(answer, best), ties, _about_unmeasured(answer))
    return tuple(filter(None, said))


def about_limits(study: StudyRecord, curves: Sequence[Sequence[LoadCurve]]) -> str:
    """What half of the study's latency limit would allow, and twice that limit."""
    half, twice = (_within(study, curves, study.budget.limit_s * factor) for factor in (0.5, 2))
    return f"Another latency limit would allow: {half}, {twice}"


def answer_document(study: StudyRecord, answer: Answer, measure: str) -> dict[str, Any]:
    """The whole answer; `measure` is the command that measures it."""
    return {
        "study": study.name,
        "latency_budget": str(answer.budget),
        "objective": answer.objective.value,
        "unit": answer.unit.value,
        "least_throughput": answer.least_throughput or None,
        "best": estimate_document(answer.best, answer.objective) if answer.best else None,
        "nearest": None if answer.best else _nearest(study, answer),
        "ranked": [estimate_document(each, answer.objective) for each in answer.ranked],
        "infeasible": [estimate_document(each, answer.objective) for each in answer.infeasible],
        "tied": [each.trial.number for each in answer.tied],
        "undecided": [each.trial.number for each in answer.undecided],
        "unmeasured": answer.unmeasured,
        "doubts": list(doubts(answer, answer.best)) if answer.best else [],
        "measure": measure,
    }


def nothing_within(study: StudyRecord, answer: Answer, measure: str) -> NothingFeasibleError:
    """What to say where no configuration is ranked; `measure` is the command that measures."""
    if answer.objective is Objective.LATENCY and answer.infeasible:
        return _too_slow(answer, _slow(answer))
    if most := _most(answer):
        return _too_little(answer, most)
    return _over_the_limit(study, answer, measure)


def _slow(answer: Answer) -> Nearest:
    """The lowest latency at the load that was asked about."""
    first, load = answer.infeasible[0], answer.least_throughput
    return Nearest(
        trial=first.trial,
        budget=answer.budget,
        latency_s=first.value,
        unit=answer.unit,
        throughput=load,
    )


def _most(answer: Answer) -> CurveEstimate | None:
    """What carries the most within the budget, if it is less than was asked for."""
    carrying = [each for each in answer.infeasible if each.kind is not EstimateKind.NONE]
    return max(carrying, key=lambda each: each.throughput, default=None)


def _nearest(study: StudyRecord, answer: Answer) -> dict[str, Any] | None:
    """What `nothing_within` says, as plain data."""
    if answer.objective is Objective.LATENCY and answer.infeasible:
        return nearest_document(_slow(answer))
    if most := _most(answer):
        share = most.throughput / answer.least_throughput
        return estimate_document(most, answer.objective) | {"factor": share}
    return nearest_document(nearest_load(study, answer.budget))


def _within(study: StudyRecord, curves: Sequence[Sequence[LoadCurve]], limit_s: float) -> str:
    limit = f"within {limits_text(study.budget.at(limit_s))}"
    estimates = (capacity(each, limit_s) for each in curves if each)
    carrying = [each for each in estimates if each.kind is not EstimateKind.NONE]
    best = max(carrying, key=lambda each: each.throughput, default=None)
    if best is None:
        return f"nothing that was measured {limit}"
    least = "at least " if best.kind is EstimateKind.AT_LEAST else ""
    return f"{least}{formats.rate(best.throughput)} {RateUnit.of(study)} {limit}"


def _finding(answer: Answer, best: CurveEstimate) -> str:
    least = "at least " if best.kind is EstimateKind.AT_LEAST else ""
    carries = f"{least}{rates.of_trials(best.throughput, answer.unit, [best.trial])}"
    match answer.objective:
        case Objective.THROUGHPUT:
            return f"{answer.budget}: {carries}"
        case Objective.LATENCY:
            most = "at most " if best.kind is EstimateKind.AT_MOST else ""
            latency = formats.latency(best.value)
            return f"{latency_title(answer.budget)} at {carries}: {most}{latency}"
        case _:
            used = amount(answer.objective, best.value, answer.unit)
            return (
                f"{answer.objective.value}: {used}, the least of what carries {_least(answer)} "
                f"within {answer.budget}; this carries {carries}"
            )


def _least(answer: Answer) -> str:
    if not answer.least_throughput:
        return "anything"
    return f"{formats.rate(answer.least_throughput)} {answer.unit}"


def _grounds(budget: LatencyBudget, best: CurveEstimate) -> str:
    ends = [each for each in (best.lower, best.upper) if each]
    nearest = min(ends, key=lambda each: abs(each.throughput - best.throughput))
    match best.kind:
        case EstimateKind.INTERPOLATED:
            return f"interpolated between {_between(budget, *ends)}; not measured at that load"
        case EstimateKind.AT_LEAST:
            return f"the highest load that was measured: {_of_trial(budget, nearest)}"
        case EstimateKind.AT_MOST:
            return f"only higher loads were measured, the lowest: {_of_trial(budget, nearest)}"
        case _:
            return f"measured at {_of_trial(budget, nearest)}"


def _between(budget: LatencyBudget, lower: LoadReading, upper: LoadReading) -> str:
    if lower.trial == upper.trial:
        return f"{_load(budget, lower)} and {_of_trial(budget, upper)}"
    return f"{_of_trial(budget, lower)} and {_of_trial(budget, upper)}"


def _of_trial(budget: LatencyBudget, reading: LoadReading) -> str:
    return f"{_load(budget, reading)} of trial {reading.trial}"


def _load(budget: LatencyBudget, reading: LoadReading) -> str:
    """A load and its latency: `2,200/s (17.8 ms)`, or how much of the limits: `12.0/s (0.98x)`."""
    overloaded = math.isinf(reading.latency_s)
    latency = "overloaded" if overloaded else judged(budget, reading.latency_s)
    if reading.concurrency is not None:
        return f"concurrency {reading.concurrency} ({latency})"
    return f"{formats.rate(reading.throughput)}/s ({latency})"


def _about_requests(answer: Answer, best: CurveEstimate) -> str:
    percentile = answer.budget.percentile
    fewest = min(each.requests for each in (best.lower, best.upper) if each)
    if fewest * (1 - percentile / 100) >= _ENOUGH_BEYOND:
        return ""
    return (
        f"p{percentile:g} is vague: one of these loads has {fewest:,} requests, fewer than "
        f"{_ENOUGH_BEYOND} beyond it"
    )


def _listed(estimates: Sequence[CurveEstimate]) -> str:
    names = [f"trial {each.trial.number}" for each in estimates[:_MOST_NAMED]]
    if len(estimates) > _MOST_NAMED:
        names.append(f"{len(estimates) - _MOST_NAMED} more")
    return formats.listed(names)


def _about_unmeasured(answer: Answer) -> str:
    if not answer.unmeasured:
        return ""
    if answer.unmeasured == 1:
        return "1 configuration is not ranked: no load point says anything of it"
    return (
        f"{answer.unmeasured} configurations are not ranked: no load point says anything of them"
    )


def estimate_document(
    estimate: CurveEstimate, objective: Objective = Objective.THROUGHPUT
) -> dict[str, Any]:
    """What one configuration carries, between which loads, and how that is known."""
    return {
        "trial": estimate.trial.number,
        "configuration": dict(estimate.trial.configuration),
        "kind": estimate.kind.value,
        "throughput": estimate.throughput,
        "low": estimate.low,
        "high": estimate.high,
        **_value(estimate.value, objective),
        "fresh_starts": estimate.starts,
        "between": [_reading(each) for each in (estimate.lower, estimate.upper) if each],
    }


def _value(value: float, objective: Objective) -> dict[str, float]:
    values = {
        Objective.THROUGHPUT: {},  # stands there already
        Objective.LATENCY: {"latency_ms": value * 1e3},
        Objective.MEMORY: {"memory_bytes": value},
        Objective.CPU: {"cpu_s": value},
        Objective.ENERGY: {"energy_j": value},
    }
    return values[objective]


def _reading(reading: LoadReading) -> dict[str, Any]:
    return {
        "trial": reading.trial,
        "throughput": reading.throughput,
        "concurrency": reading.concurrency,
        "latency_ms": reading.latency_s * 1e3,
        "requests": reading.requests,
    }


def _too_slow(answer: Answer, nearest: Nearest) -> NothingFeasibleError:
    return NothingFeasibleError(
        f"no configuration meets {answer.budget} at {_least(answer)}; the nearest has "
        f"{nearest_text.found(nearest)}: {nearest.trial.configuration}",
        hint="try a larger `--budget-ms`, or a smaller `--min-throughput`",
    )


def _too_little(answer: Answer, most: CurveEstimate) -> NothingFeasibleError:
    unit, carries, least = answer.unit, most.throughput, answer.least_throughput
    missing = f"{formats.rate(least - carries)} less ({formats.times(carries / least)})"
    return NothingFeasibleError(
        f"no configuration is known to carry {_least(answer)} within {answer.budget}; the "
        f"nearest carries {formats.rate(carries)} {unit}, {missing}: {most.trial.configuration}",
        hint=f"try `--min-throughput {math.floor(carries)}`",
    )


def _over_the_limit(study: StudyRecord, answer: Answer, measure: str) -> NothingFeasibleError:
    budget = answer.budget
    nearest = nearest_load(study, budget)
    if nearest is None:
        return nothing_measured(study)
    found, configuration = nearest_text.found(nearest), nearest.trial.configuration
    if nearest.over_s:
        return NothingFeasibleError(
            f"no configuration meets {budget}; the nearest has {found}: {configuration}",
            hint=f"try `--budget-ms {math.ceil(2e3 * nearest.latency_s)}`, or a faster model",
        )
    return NothingFeasibleError(
        f"no load that was measured meets {budget}; the nearest configuration has {found}: "
        f"{configuration}",
        hint=f"lower loads must be measured: `{measure}`",
    )

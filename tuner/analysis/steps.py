"""What one parameter's step from a value to the next did, all else equal (pure).

Where the effects of a study are an average over all configurations, this compares those that were
measured and differ in nothing else.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tuner.analysis import comparison
from tuner.analysis.comparison import START_LOG_ERROR, Estimate
from tuner.analysis.effects import LogCapacity
from tuner.analysis.interpolation import CurveEstimate, EstimateKind, capacity, latency
from tuner.analysis.load_curves import LoadCurve
from tuner.analysis.standings import Ratio
from tuner.records import StudyRecord
from tuner.space.expressions import Value
from tuner.space.space import Configuration

# The share of the smaller capacity at which two latencies are compared: nearer to it they are more
# a matter of the moment than of the parameter.
_SHARE_OF_CAPACITY = 0.9
# Of more configurations, there are more steps than anybody reads.
_MOST_COMPARED = 1000
# Kinds of a latency that was measured at that load, or below and above it.
_KNOWN = (EstimateKind.MEASURED, EstimateKind.INTERPOLATED)


@dataclass(frozen=True, kw_only=True)
class Step:
    """`parameter` from `before` to `after`.

    `ratio` is of the capacities; its p-value is Holm's over all steps of the study. It is the mean
    of `comparisons` with different values of the other parameters, of which `trials` is that with
    the best configuration (`of_best`), or else the fastest. In it, `slower_s` is by how much the
    budget's percentile rose at `load` inferences per second, which both carry, or at a load of 0
    with one request at a time; NaN where that is not known.
    """

    parameter: str
    before: Value
    after: Value
    ratio: Ratio
    comparisons: int
    trials: tuple[int, int]
    of_best: bool = False
    slower_s: float = math.nan
    load: float = 0.0


@dataclass(frozen=True)
class _Pair:
    """Two configurations that differ in one parameter, and the logarithms of their capacities.

    They are the fastest of `of` such pairs, which differ in what only one of the two has.
    """

    before: Configuration
    after: Configuration
    logs: tuple[float, float]
    error: float
    of: int = 1

    @property
    def ends(self) -> tuple[Configuration, Configuration]:
        return self.before, self.after


def steps(
    study: StudyRecord,
    capacities: Mapping[Configuration, LogCapacity],
    curves: Sequence[Sequence[LoadCurve]],
    best: Configuration | None = None,
) -> tuple[Step, ...]:
    """The steps that were measured: first those of the configuration `best`, the largest first.

    `capacities` are those of the study's effects; what is only a bound is not compared. `curves`
    are its load curves, at the percentile of its budget. Of more than 1000 configurations, only
    the steps from `best` and from the baseline are.
    """
    known = {configuration: each for configuration, each in capacities.items() if not each.bounded}
    if len(known) > _MOST_COMPARED:
        ends = [each for each in (best, study.baseline and study.baseline.configuration) if each]
        known = {c: own for c, own in known.items() if any(_is_next_to(c, end) for end in ends)}
    pairs = _pairs(study, known)
    estimates = [_estimate(found) for found in pairs.values()]
    # The fastest of several looks faster than it is: each choice counts as a comparison.
    choices = (math.prod(pair.of for pair in found) for found in pairs.values())
    p_values = comparison.holm(
        [min(1.0, n * own.p_value) for n, own in zip(choices, estimates, strict=True)]
    )
    measured = {each[0].trial.configuration: each for each in curves if each}
    numbers = {trial.configuration: trial.number for trial in reversed(study.trials)}
    found = []
    for (key, own), estimate, p_value in zip(pairs.items(), estimates, p_values, strict=True):
        parameter, before, after = key
        shown = max(own, key=lambda pair: (best in pair.ends, max(pair.logs)))
        slower_s, load = _slower(shown, measured, study.budget.limit_s)
        found.append(
            Step(
                parameter=parameter,
                before=before,
                after=after,
                ratio=Ratio.of(estimate, p_value),
                comparisons=len(own),
                trials=(numbers[shown.before], numbers[shown.after]),
                of_best=best in shown.ends,
                slower_s=slower_s,
                load=load,
            )
        )
    return tuple(sorted(found, key=_order))


def _order(step: Step) -> tuple[bool, float]:
    return not step.of_best, -abs(math.log(step.ratio.estimate))


def _pairs(
    study: StudyRecord, known: Mapping[Configuration, LogCapacity]
) -> dict[tuple[str, Value, Value], list[_Pair]]:
    """The pairs of each step, in the order of the parameters."""
    found: dict[tuple[str, Value, Value], list[_Pair]] = defaultdict(list)
    for parameter in dict.fromkeys(name for each in known for name in each):
        usual = study.baseline.configuration.get(parameter) if study.baseline else None
        for values in _alike(parameter, known):
            for before, after in _neighbours(list(values), usual):
                alike = itertools.product(values[before], values[after])
                near = [each for each in alike if _is_next_to(*each)]
                if near:
                    found[parameter, before, after].append(_fastest(near, known))
    return found


def _is_next_to(one: Configuration, other: Configuration) -> bool:
    """Whether no more than one parameter that both have differs."""
    return sum(other.get(name, value) != value for name, value in one.assignments) <= 1


def _alike(
    parameter: str, known: Mapping[Configuration, LogCapacity]
) -> Iterator[dict[Value, list[Configuration]]]:
    """Configurations that differ in `parameter` and in what comes with it, by its value."""
    having = [each for each in known if parameter in each]
    differing = {parameter} | _dependents(parameter, having)
    groups: dict[tuple[tuple[str, Value], ...], dict[Value, list[Configuration]]]
    groups = defaultdict(lambda: defaultdict(list))
    for each in having:
        rest = tuple(own for own in each.assignments if own[0] not in differing)
        groups[rest][each[parameter]].append(each)
    return (group for group in groups.values() if len(group) > 1)


def _dependents(parameter: str, having: Sequence[Configuration]) -> set[str]:
    """The parameters that configurations with some of its values do not have at all."""
    values: dict[tuple[str, ...], set[Value]] = defaultdict(set)
    for each in having:
        values[tuple(name for name, _ in each.assignments)].add(each[parameter])
    everywhere = set().union(*values.values())
    names = {name for own in values for name in own}
    return {
        name
        for name in names
        if set().union(*(v for own, v in values.items() if name in own)) != everywhere
    }


def _neighbours(values: Sequence[Value], usual: Value | None) -> list[tuple[Value, Value]]:
    """Steps between numbers that follow each other; from the usual one of values without order."""
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) == len(values):
        ordered = sorted(numbers)
        return list(itertools.pairwise(ordered))
    first = usual if usual in values else min(values, key=str)
    return [(first, other) for other in values if other != first] if first is not None else []


def _fastest(
    pairs: Sequence[tuple[Configuration, Configuration]],
    known: Mapping[Configuration, LogCapacity],
) -> _Pair:
    before, after = max(pairs, key=lambda pair: sum(known[each].log for each in pair))
    low, high = known[before], known[after]
    error = math.hypot(low.log_error, high.log_error, START_LOG_ERROR, START_LOG_ERROR)
    return _Pair(before, after, (low.log, high.log), error, len(pairs))


def _estimate(pairs: Sequence[_Pair]) -> Estimate:
    logs = [pair.logs[1] - pair.logs[0] for pair in pairs]
    errors = [pair.error for pair in pairs]
    return comparison.mean(logs, errors) if len(pairs) > 1 else Estimate(logs[0], errors[0])


def _slower(
    pair: _Pair, curves: Mapping[Configuration, Sequence[LoadCurve]], limit_s: float
) -> tuple[float, float]:
    """By how much the latency of `pair` rose, and at which load."""
    own = [curves[each] for each in pair.ends if each in curves]
    if len(own) < len(pair.ends):
        return math.nan, 0.0
    load = _SHARE_OF_CAPACITY * min(capacity(each, limit_s).throughput for each in own)
    before, after = (latency(each, load) for each in own) if load > 0 else (None, None)
    if before and after and _is_known(before) and _is_known(after):
        return after.value - before.value, load
    return own[1][0].trial.unloaded_s - own[0][0].trial.unloaded_s, 0.0


def _is_known(estimate: CurveEstimate) -> bool:
    """Whether it lies between two latencies that were measured."""
    ends = (estimate.lower, estimate.upper)
    return estimate.kind in _KNOWN and all(e and math.isfinite(e.latency_s) for e in ends)

"""What earlier studies know: which are like this one, and their best configurations (pure).

Only configurations are taken over, never what was measured: a machine changes its speed from day
to day, so even a study of the same model, machine and latency budget says what to try first, and
not how good it is. What is tried first is measured like everything else.
"""

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import geometric_mean

from tuner.records import NOT_ITS_FAULT, StudyRecord, TrialRecord, TrialState
from tuner.space.expressions import Value
from tuner.space.space import CategoricalParameter, Configuration, Parameter, SearchSpace

# Configurations of an earlier study that are tried first.
COUNT = 3


@dataclass(frozen=True)
class Similar:
    """An earlier study beside the present one: what they have in common, and what not."""

    study: StudyRecord
    same: tuple[str, ...]
    other: tuple[str, ...]

    @property
    def words(self) -> str:
        """`same model and machine, other latency budget: p99 <= 20 ms`."""
        found = [f"same {_joined(self.same)}"] if self.same else []
        return ", ".join([*found, *(f"other {each}" for each in self.other)])


@dataclass(frozen=True)
class WarmStart:
    """The best `configurations` of an earlier study, in the present search space.

    `adapted` counts those that had to be changed for it, `left_out` those that ranked as high but
    break one of its rules.
    """

    configurations: tuple[Configuration, ...]
    adapted: int = 0
    left_out: int = 0

    def sentence(self, study_name: str) -> str:
        """What was done, for the command line."""
        found = f"study {study_name} has no configuration to begin with"
        if self.configurations:
            count = _counted(len(self.configurations))
            found = f"begins with the best of study {study_name}: {count}"
        if self.adapted:
            found += f" ({self.adapted} adapted to this search space)"
        if self.left_out:
            found += f"; left out: {_counted(self.left_out)} that would break its rules"
        return found


def similar(study: StudyRecord, others: Iterable[StudyRecord]) -> tuple[Similar, ...]:
    """The studies of `others` that `study` can learn from, the most alike first.

    They are of the same server and have a feasible configuration. The model counts most, its
    files before its name; then the machine, the latency budget, the request and the space.
    """
    useful = [
        other
        for other in others
        if other.server == study.server and other.name != study.name and ranked(other)
    ]
    useful.sort(key=lambda other: other.created_at, reverse=True)
    useful.sort(key=lambda other: _difference(study, other))
    return tuple(_compared(study, other) for other in useful)


def offer(study: StudyRecord, others: Iterable[StudyRecord]) -> str:
    """A sentence that offers the study of the same model on this machine; empty without one."""
    for each in similar(study, others):
        earlier = each.study
        same_files = earlier.model_fingerprint == study.model_fingerprint
        if _on_same_machine(study, earlier) and (same_files or earlier.model == study.model):
            model = "the same model" if same_files else "a model of the same name"
            where = "hosts like these" if study.on_fleet else "this machine"
            return (
                f"study {earlier.name} tuned {model} on {where} ({earlier.budget}): add "
                f"`--warm-start {shlex.quote(earlier.name)}` to begin with its best"
            )
    return ""


def ranked(study: StudyRecord) -> tuple[Configuration, ...]:
    """The feasible configurations of a study, those that its finals confirmed first.

    By throughput, which in the finals is the geometric mean over all starts. What failed a start
    in the finals, or was infeasible in one, is left out.
    """
    finals: dict[Configuration, list[TrialRecord]] = {}
    for trial in study.finals:
        if trial.reason not in NOT_ITS_FAULT:
            finals.setdefault(trial.configuration, []).append(trial)
    confirmed = {
        configuration: geometric_mean([trial.throughput for trial in trials])
        for configuration, trials in finals.items()
        if all(_carries(trial) for trial in trials)
    }
    searched = {
        trial.configuration: trial.throughput
        for trial in study.searched
        if trial.configuration not in finals and _carries(trial)
    }
    return (*_descending(confirmed), *_descending(searched))


def configurations(
    best_first: Iterable[Configuration], space: SearchSpace, count: int = COUNT
) -> WarmStart:
    """The first `count` different ones of an earlier study that `space` has, or has the like of.

    `best_first` is the `ranked` order, or that under another latency budget. A value that the
    space does not have moves to the nearest one, a parameter that it does not have is dropped,
    one that is new takes its default. The space's defaults are left to the baseline.
    """
    taken: dict[Configuration, bool] = {}
    left_out = 0
    for configuration in best_first:
        if len(taken) == count:
            break
        translated = _translated(configuration, space)
        if space.violations(translated):
            left_out += 1
        elif translated != space.defaults:
            taken.setdefault(translated, translated != configuration)
    return WarmStart(tuple(taken), sum(taken.values()), left_out)


def _difference(study: StudyRecord, other: StudyRecord) -> tuple[float, ...]:
    """What differs, the most important first; small is alike."""
    percentiles = other.budget.percentile != study.budget.percentile
    limits = abs(math.log(other.budget.limit_s / study.budget.limit_s))
    kinds = not other.budget.is_alike(study.budget)
    return (
        other.model_fingerprint != study.model_fingerprint,
        other.model != study.model,
        not _on_same_machine(study, other),
        kinds,
        percentiles,
        limits,
        other.request != study.request,
        other.space_fingerprint != study.space_fingerprint,
    )


def _compared(study: StudyRecord, other: StudyRecord) -> Similar:
    model = "files of the model" if other.model == study.model else f"model: {other.model}"
    facts = (
        ("model", other.model_fingerprint == study.model_fingerprint, model),
        ("machine", _on_same_machine(study, other), f"machine{_hostname(other)}"),
        ("latency budget", other.budget == study.budget, f"latency budget: {other.budget}"),
        ("request", other.request == study.request, "request"),
        ("search space", other.space_fingerprint == study.space_fingerprint, "search space"),
    )
    return Similar(
        study=other,
        same=tuple(what for what, same, _ in facts if same),
        other=tuple(words for _, same, words in facts if not same),
    )


def _on_same_machine(study: StudyRecord, other: StudyRecord) -> bool:
    mine, theirs = (each.hardware.get("fingerprint") for each in (study, other))
    return mine is not None and mine == theirs


def _hostname(study: StudyRecord) -> str:
    name = study.hardware.get("hostname")
    return f": {name}" if name else ""


def _carries(trial: TrialRecord) -> bool:
    return trial.state is TrialState.FEASIBLE and trial.throughput > 0


def _descending(throughputs: dict[Configuration, float]) -> list[Configuration]:
    return sorted(throughputs, key=lambda each: throughputs[each], reverse=True)


def _translated(configuration: Configuration, space: SearchSpace) -> Configuration:
    values = {}
    for parameter in space.parameters:
        if parameter.name in configuration:
            values[parameter.name] = _nearest(parameter, configuration[parameter.name])
    return space.activate(values)


def _nearest(parameter: Parameter, value: Value) -> Value:
    """The value of the parameter's domain that is closest; its default where none is close."""
    if parameter.accepts(value):
        return value
    if isinstance(value, bool | str):
        return parameter.default
    if not isinstance(parameter, CategoricalParameter):
        return parameter.nearest(value)
    numbers = [each for each in parameter.choices if not isinstance(each, bool | str)]
    return min(numbers, key=lambda number: abs(number - value), default=parameter.default)


def _counted(count: int) -> str:
    return f"{count} configuration{'s' if count > 1 else ''}"


def _joined(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]

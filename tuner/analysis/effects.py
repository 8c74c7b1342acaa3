"""Which parameters mattered: the effect of each of their values on the capacity (pure).

An effect is a ratio of capacities: what a value gives in place of the default, all else equal, in
the average of the configurations that were tried. The logarithms of the capacities are fitted
with a sum of effects (see `tuner.regression`); how parameters work together is not modelled, and
makes the intervals wider.

What counts, configuration by configuration: the mean of all its measurements within the latency
budget, finals and repeats among them; where there is none, the lowest bound of a trial that was
stopped because beaten. Measurements count whatever led to them: who is measured again depends on
what was measured, which is in the fit (Rubin, Biometrika 63, 1976). A configuration that is over
the budget at any load, or failed, has no capacity; it is counted, and that is all.

In a fleet the factors of the hosts are taken off first. What is left between hosts is a block
effect: a column for each host but one, as long as there are enough configurations to tell them
from the parameters (randomised blocks: Montgomery, Design and Analysis of Experiments, chapter 4).
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import fmean, median

import numpy as np

from tuner.analysis.comparison import holm
from tuner.analysis.effect_columns import (
    CONFIGURATIONS_FOR_EACH,
    DOUBLED,
    Column,
    columns,
    matrix,
)
from tuner.analysis.hosts import speeds
from tuner.analysis.regression import Observations, Regression
from tuner.analysis.standings import Ratio
from tuner.numbers.arrays import FloatArray
from tuner.records import NOT_ITS_FAULT, Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space.expressions import Value
from tuner.space.space import Configuration

# The log error of a measurement that states none.
_USUAL_LOG_ERROR = 0.05
# The least that is believed of one that states its error.
_LEAST_LOG_ERROR = 1e-4


class Judgement(StrEnum):
    """What is known of an effect, with Holm's correction over all effects of the study."""

    HELPED = "helped"
    HURT = "hurt"
    UNDECIDED = "no proven effect"
    UNKNOWN = "not known"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What `value` of `parameter` does to the capacity, compared with `reference`.

    `value` is `each doubling` for a line over many numbers, `above 0` for all of them against 0.
    `reference` is the default, where the study knows it. `ratio` has the 95 % interval of this
    effect alone and the p-value corrected for all of them; None where it is not known, for the
    reason `why`. `measured`, `bounded` (stopped because beaten) and `without` (no capacity) count
    configurations with the value. `pairs` of measured configurations differ in nothing else;
    `direct` is the ratio that they alone show, NaN without any.
    """

    parameter: str
    value: Value
    reference: Value
    ratio: Ratio | None
    why: str = ""
    measured: int = 0
    bounded: int = 0
    without: int = 0
    pairs: int = 0
    direct: float = math.nan

    @property
    def judgement(self) -> Judgement:
        if self.ratio is None:
            return Judgement.UNKNOWN
        if not self.ratio.decided:
            return Judgement.UNDECIDED
        return Judgement.HELPED if self.ratio.estimate > 1 else Judgement.HURT


@dataclass(frozen=True)
class LogCapacity:
    """The logarithm of a capacity, or of the bound that it is below, with its standard error."""

    log: float
    log_error: float
    bounded: bool = False


@dataclass(frozen=True, kw_only=True)
class Effects:
    """The effects of a study, in the order of its parameters.

    `measured`, `bounded` and `without` count configurations; `needed` is how many must have been
    measured to tell all effects apart. `spread` is the standard deviation of the logarithm of
    what the effects do not explain; NaN where nothing is known. `multiplied` is what the single
    effects of the configuration in question multiply to; None where one of them is not known.
    `capacities` are what all of it is from, as if the machine had kept its speed.
    """

    effects: tuple[Effect, ...] = ()
    measured: int = 0
    bounded: int = 0
    without: int = 0
    needed: int = 0
    spread: float = math.nan
    multiplied: Ratio | None = None
    capacities: Mapping[Configuration, LogCapacity] = field(default_factory=dict)

    def of(self, *judgements: Judgement) -> tuple[Effect, ...]:
        return tuple(each for each in self.effects if each.judgement in judgements)


def effects(study: StudyRecord, together: Configuration | None = None) -> Effects:
    """The effect of each value that was tried; `together` is what `multiplied` is about."""
    tried = _by_configuration(study)
    outcomes = {configuration: _log_capacity(trials) for configuration, trials in tried.items()}
    known = {configuration: each for configuration, each in outcomes.items() if each}
    if not known:
        return Effects(without=len(outcomes))
    measured = sum(not each.bounded for each in known.values())
    found = columns(list(outcomes), _references(study, outcomes), measured)
    hosts = _host_columns(study, [tried[configuration] for configuration in known])
    fit, baseline = _CapacityFit(found, known, hosts), study.baseline
    estimates = [fit.regression.estimate(fit.unit(number)) for number in range(len(found))]
    p_values = iter(holm([each.p_value for each in estimates if each]))
    ratios = [Ratio.of(each, next(p_values)) if each else None for each in estimates]
    return Effects(
        effects=tuple(
            _effect(fit, number, ratio, outcomes) for number, ratio in enumerate(ratios)
        ),
        measured=measured,
        bounded=len(known) - measured,
        without=len(outcomes) - len(known),
        needed=len(found) + 2,
        spread=fit.regression.spread,
        multiplied=fit.multiplied(together, baseline.configuration)
        if together and baseline
        else None,
        capacities=known,
    )


class _CapacityFit:
    """The regression over the configurations whose capacity, or a bound of it, is known."""

    def __init__(
        self,
        found: Sequence[Column],
        known: Mapping[Configuration, LogCapacity],
        hosts: FloatArray,
    ) -> None:
        """`hosts` has a row for each of `known`, a column for each host but the first."""
        self.columns = found
        self._all = tuple(known)
        self._design = matrix(found, self._all)
        outcomes = list(known.values())
        self._bounded = np.array([each.bounded for each in outcomes])
        errors = [each.log_error for each in outcomes if not each.bounded]
        usual = median(errors) if errors else _USUAL_LOG_ERROR
        self._logs = np.array([each.log for each in outcomes])
        variances = [(usual if o.bounded else o.log_error) ** 2 for o in outcomes]
        self.measured = [
            c for c, bounded in zip(self._all, self._bounded.tolist(), strict=True) if not bounded
        ]
        blocks = hosts if self._tells(hosts) else hosts[:, :0]
        self._blocks = blocks.shape[1]
        self.regression = Regression(
            Observations(
                np.hstack([self._design, blocks]), self._logs, np.array(variances), self._bounded
            )
        )

    def _tells(self, hosts: FloatArray) -> bool:
        """Whether enough configurations were measured to tell `hosts` from the parameters."""
        design, blocks = self._design[~self._bounded], hosts[~self._bounded]
        both = np.hstack([design, blocks])
        if len(both) < CONFIGURATIONS_FOR_EACH * both.shape[1]:
            return False
        apart = np.linalg.matrix_rank(design) + blocks.shape[1]
        return bool(np.linalg.matrix_rank(both) == apart)

    def multiplied(self, own: Configuration, default: Configuration) -> Ratio | None:
        """What the effects of `own` multiply to, over the server's defaults."""
        rows = matrix(self.columns, [own, default])
        contrast = np.concatenate([rows[0] - rows[1], np.zeros(self._blocks)])
        estimate = self.regression.estimate(contrast)
        return Ratio.of(estimate, estimate.p_value) if estimate else None

    def why_unknown(self, number: int) -> str:
        column = self.columns[number]
        if not any(column.applies(each) for each in self.measured):
            return "no configuration with it has a measured capacity"
        compared = (each.get(column.parameter) == column.reference for each in self.measured)
        if column.value != DOUBLED and not any(compared):
            return f"none with {column.reference} has a measured capacity"
        if not self.regression.estimable(self.unit(number)):
            mixed = [n - 1 for n in self.regression.mixed_with(number + 1) if n]
            others = dict.fromkeys(self.columns[n].parameter for n in mixed)
            others.pop(column.parameter, None)
            return f"not separable from {', '.join(others) or 'its other values'}"
        return "too few configurations were measured"

    def direct(self, number: int) -> list[float]:
        """Of each pair that differs in this column alone, the logarithm of its ratio."""
        rows, logs = self._design[~self._bounded], self._logs[~self._bounded]
        own = rows[:, number + 1].tolist()
        alike: dict[bytes, list[int]] = {}
        for at, row in enumerate(np.delete(rows, number + 1, axis=1)):
            alike.setdefault(row.tobytes(), []).append(at)
        return [
            float(logs[one] - logs[two]) / (own[one] - own[two])
            for group in alike.values()
            for one, two in itertools.permutations(group, 2)
            if own[one] > own[two]
        ]

    def unit(self, number: int) -> FloatArray:
        unit = np.zeros(len(self.columns) + 1 + self._blocks)
        unit[number + 1] = 1.0
        return unit


def _effect(
    fit: _CapacityFit,
    number: int,
    ratio: Ratio | None,
    outcomes: Mapping[Configuration, LogCapacity | None],
) -> Effect:
    column = fit.columns[number]
    shown = [each for configuration, each in outcomes.items() if column.applies(configuration)]
    pairs = fit.direct(number)
    return Effect(
        parameter=column.parameter,
        value=column.value,
        reference=column.reference,
        ratio=ratio,
        why="" if ratio else fit.why_unknown(number),
        measured=sum(each is not None and not each.bounded for each in shown),
        bounded=sum(each is not None and each.bounded for each in shown),
        without=sum(each is None for each in shown),
        pairs=len(pairs),
        direct=math.exp(fmean(pairs)) if pairs else math.nan,
    )


def _by_configuration(study: StudyRecord) -> dict[Configuration, list[TrialRecord]]:
    """All trials that measured a capacity or tried to, as if the machine had kept its speed.

    In a fleet: as if the first host had measured all of them.
    """
    found = speeds(study.trials)
    factors = found.factors(study.trials)
    tried: dict[Configuration, list[TrialRecord]] = {}
    for trial in found.corrected(study.trials):
        if trial.purpose is Purpose.PROOF or trial.reason in NOT_ITS_FAULT:
            continue
        # Of one machine finals are compared among themselves, but here with the search.
        if trial.purpose is Purpose.FINAL and not found.fleet:
            usual = replace(trial, throughput=trial.throughput / factors[trial.number])
        else:
            usual = trial
        tried.setdefault(trial.configuration, []).append(usual)
    return tried


def _host_columns(study: StudyRecord, known: Sequence[Sequence[TrialRecord]]) -> FloatArray:
    """The share that each host but the first has in the trials of each configuration."""
    numbers = {host: n for n, host in enumerate(dict.fromkeys(t.host for t in study.trials))}
    places = {each.number: numbers[each.host] for each in study.trials}
    counts = {
        state: np.zeros((len(known), len(numbers)))
        for state in (TrialState.FEASIBLE, TrialState.PRUNED)
    }
    for row, trials in enumerate(known):
        for trial in trials:
            if trial.state in counts:
                counts[trial.state][row, places[trial.number]] += 1
    feasible, pruned = counts.values()
    used = np.where(feasible.any(axis=1, keepdims=True), feasible, pruned)
    used = used[:, used.any(axis=0)]
    return np.asarray((used / used.sum(axis=1, keepdims=True))[:, 1:])


def _log_capacity(trials: Sequence[TrialRecord]) -> LogCapacity | None:
    """None where there is no capacity."""
    measured = [t for t in trials if t.state is TrialState.FEASIBLE and t.throughput > 0]
    if measured:
        errors = [_log_error(each) for each in measured]
        return LogCapacity(
            fmean(math.log(each.throughput) for each in measured),
            max(math.hypot(*errors) / len(errors), _LEAST_LOG_ERROR),
        )
    bounds = [t.throughput for t in trials if t.state is TrialState.PRUNED and t.throughput > 0]
    if bounds:
        return LogCapacity(math.log(min(bounds)), math.nan, bounded=True)
    return None


def _log_error(trial: TrialRecord) -> float:
    return trial.log_error if math.isfinite(trial.log_error) else _USUAL_LOG_ERROR


def _references(
    study: StudyRecord, outcomes: Mapping[Configuration, LogCapacity | None]
) -> dict[str, Value]:
    """Of each parameter that was tried, what its values are compared with.

    That is the default: what the baseline has. Where the baseline has not got the parameter, the
    study's space names it; if that was not measured, it is the value that was most often.
    """
    baseline = study.baseline.configuration if study.baseline else Configuration(())
    measured = [each for each, outcome in outcomes.items() if outcome and not outcome.bounded]
    defaults = {p.name: p.default for p in study.space.parameters} if study.space else {}
    names = dict.fromkeys([*study.parameters, *(n for each in outcomes for n in each)])
    found = {}
    for name in names:
        values = [each[name] for each in measured if name in each]
        values = values or [each[name] for each in outcomes if name in each]
        if values:
            [(often, _)] = Counter(values).most_common(1)
            default = defaults.get(name)
            usual = default if default in values else often
            found[name] = baseline.get(name, usual)
    return found

"""The only door to Optuna: which configuration to try next.

A parameter that can be counted is an index into its choices there (an ordinal), so that doublings
keep their order and no value outside the choices is ever proposed.

Optuna's sampler takes dozens of trials to learn where good configurations are, and a study on a
server has no more than that. So three proposals of four are a small step away from the best
configuration, and the fourth is the sampler's, which may be anywhere.
"""

import logging
import math
import random
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import optuna
from optuna.trial import BaseTrial, FixedTrial, Trial, TrialState, create_trial

from tuner.capacity import LatencyBudget
from tuner.database import display_name, translated
from tuner.expressions import Value
from tuner.records import NOT_ITS_FAULT, TrialRecord
from tuner.records import TrialState as State
from tuner.space import CategoricalParameter, Configuration, FloatParameter, Parameter, SearchSpace

# Trials at random before the sampler's model is trusted, the baseline and hints among them.
_STARTUP_TRIALS = 8
# After so many proposals in a row that are known or break a rule, the sampler is not asked again.
_ATTEMPTS = 8
# So many in a row are steps from the best configuration, then one is the sampler's.
_STEPS = 3
# The largest step: so many choices up or down, or this share of an interval.
_STEP_CHOICES, _STEP_SHARE = 2, 0.2
# In a space that is too large to count, it is exhausted when so many draws found nothing new.
_DRAWS = 10_000

logging.getLogger("optuna").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Proposal:
    """A configuration to try; `number` is Optuna's number of the trial that waits for it."""

    number: int
    configuration: Configuration


class Search:
    """Proposes configurations that keep the space's rules, each of them once.

    What was told lives in Optuna's tables at `storage_url`: a Search made again with the same name
    goes on where the last one ended, once it was given what the study has recorded (`resume`).
    """

    def __init__(
        self,
        space: SearchSpace,
        budget: LatencyBudget,
        *,
        storage_url: str,
        study_name: str,
        seed: int,
    ) -> None:
        self._space = space
        self._budget = budget
        self._database = display_name(storage_url)
        self._random = random.Random(seed)  # noqa: S311 - a search, not a secret
        self._queue: deque[Configuration] = deque()
        self._asked: dict[int, Trial] = {}
        self._seen: set[Configuration] = set()
        self._told: dict[Configuration, TrialRecord] = {}
        self._steps = 0
        with self._stored():
            self._study = optuna.create_study(
                storage=optuna.storages.RDBStorage(storage_url),
                study_name=study_name,
                sampler=_sampler(seed),
                direction="maximize",
                load_if_exists=True,
            )
            self._discard_waiting()

    def resume(self, records: Mapping[int, TrialRecord]) -> None:
        """Go on from `records` (by proposal): add what was never told, propose the lost first."""
        for record in records.values():
            self._told.setdefault(record.configuration, record)
            self._seen.add(record.configuration)
        lost = []
        with self._stored():
            for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
                self._study.tell(trial.number, state=TrialState.FAIL)
                record_or_none = records.get(trial.number)
                if record_or_none is not None:
                    self._add(trial, record_or_none)
                elif (configuration := self._read(trial)) is not None:
                    lost.append(configuration)
        self._queue.extendleft(reversed(lost))

    def enqueue(self, configuration: Configuration) -> None:
        """Propose `configuration` before anything else, after those enqueued earlier.

        The server's own defaults are what they are, even where they break a rule.
        """
        if configuration == self._space.defaults or not self._space.violations(configuration):
            self._queue.append(configuration)

    def ask(self) -> Proposal | None:
        """The next configuration; None once the whole space has been tried."""
        with self._stored():
            proposal = self._queued() or self._small_step() or self._sampled() or self._fresh()
        if proposal is not None:
            self._seen.add(proposal.configuration)
        return proposal

    def tell(self, number: int, record: TrialRecord) -> None:
        """What came of proposal `number`.

        Crashes are told as COMPLETE with the worst value and a violated constraint, because a
        trial that FAILs is invisible to the sampler, which would propose its like again.
        """
        self._told.setdefault(record.configuration, record)
        with self._stored():
            self._answer(number, record)

    def _answer(self, number: int, record: TrialRecord | None) -> None:
        trial = self._asked.pop(number)
        if record is None or record.reason in NOT_ITS_FAULT:
            self._study.tell(trial, state=TrialState.FAIL)
            return
        for name, value in self._constraints(record).items():
            trial.set_constraint(name, value)
        self._study.tell(trial, record.throughput)

    def _add(self, trial: optuna.trial.FrozenTrial, record: TrialRecord) -> None:
        """Tell of a trial that ended without its answer: under a new number, it is closed."""
        if record.reason not in NOT_ITS_FAULT:
            self._study.add_trial(
                create_trial(
                    params=trial.params,
                    distributions=trial.distributions,
                    value=record.throughput,
                    constraints=self._constraints(record),
                )
            )

    def _queued(self) -> Proposal | None:
        while self._queue:
            configuration = self._queue.popleft()
            if configuration not in self._seen:
                return self._propose(configuration)
        return None

    def _small_step(self) -> Proposal | None:
        """A small change of the best configuration that has one left, if it is its turn."""
        if self._steps == _STEPS:
            self._steps = 0
            return None
        self._steps += 1
        stepped = self._neighbour()
        return None if stepped is None else self._propose(stepped)

    def _sampled(self) -> Proposal | None:
        """What the sampler proposes; what is known already is answered from the table."""
        for _ in range(_ATTEMPTS):
            trial = self._study.ask()
            self._asked[trial.number] = trial
            configuration = self._suggested(trial)
            if self._is_new(configuration):
                return Proposal(trial.number, configuration)
            self._answer(trial.number, self._told.get(configuration))
        return None

    def _fresh(self) -> Proposal | None:
        """Anything that has not been proposed yet."""
        configuration = self._neighbour() or self._untried()
        return None if configuration is None else self._propose(configuration)

    def _propose(self, configuration: Configuration) -> Proposal:
        encoded = {name: self._encode(name, value) for name, value in configuration.items()}
        self._study.enqueue_trial(encoded)
        trial = self._study.ask()
        self._asked[trial.number] = trial
        self._suggested(trial)  # which is how Optuna takes over what was enqueued
        return Proposal(trial.number, configuration)

    def _suggested(self, trial: BaseTrial) -> Configuration:
        values: dict[str, Value] = {}
        for parameter in self._space.parameters:
            if self._space.is_active(parameter, values):
                values[parameter.name] = _suggested(trial, parameter)
        return Configuration.of(values)

    def _read(self, trial: optuna.trial.FrozenTrial) -> Configuration | None:
        """The configuration of a trial; None if it ended before it had one."""
        try:
            return self._suggested(FixedTrial(trial.params))
        except ValueError:
            return None

    def _discard_waiting(self) -> None:
        """Close what a search that was killed had enqueued and not yet asked for."""
        for _ in self._study.get_trials(states=(TrialState.WAITING,)):
            self._study.tell(self._study.ask(), state=TrialState.FAIL)

    def _neighbour(self) -> Configuration | None:
        """One step in one parameter, from the best configuration with such a step left."""
        feasible = [t for t in self._told.values() if t.state is State.FEASIBLE]
        for record in sorted(feasible, key=lambda t: t.throughput, reverse=True):
            stepped = [
                self._space.activate({**record.configuration, parameter.name: value})
                for parameter in self._space.parameters
                if parameter.name in record.configuration
                for value in self._near(parameter, record.configuration[parameter.name])
            ]
            new = [c for c in dict.fromkeys(stepped) if self._is_new(c)]
            if new:
                return self._random.choice(new)
        return None

    def _near(self, parameter: Parameter, value: Value) -> list[Value]:
        """The values within one step; any other one where they have no order."""
        ordinals = _ordinals(parameter)
        if ordinals is not None:
            at = ordinals.index(value)
            near = ordinals[max(0, at - _STEP_CHOICES) : at + _STEP_CHOICES + 1]
            return [each for each in near if each != value]
        if isinstance(parameter, FloatParameter) and parameter.low < parameter.high:
            share = _share(parameter, float(value)) + self._random.uniform(-1, 1) * _STEP_SHARE
            return [_at_share(parameter, min(1.0, max(0.0, share)))]
        return [each for each in parameter.choices or () if each != value]

    def _untried(self) -> Configuration | None:
        if self._space.size is not None:
            untried = [c for c in self._space.grid() if c not in self._seen]
            return self._random.choice(untried) if untried else None
        for _ in range(_DRAWS):
            values = {p.name: self._drawn(p) for p in self._space.parameters}
            configuration = self._space.activate(values)
            if self._is_new(configuration):
                return configuration
        return None

    def _is_new(self, configuration: Configuration) -> bool:
        return configuration not in self._seen and not self._space.violations(configuration)

    def _drawn(self, parameter: Parameter) -> Value:
        if parameter.choices:
            return self._random.choice(parameter.choices)
        if isinstance(parameter, FloatParameter):
            return _at_share(parameter, self._random.random())
        return parameter.default

    def _encode(self, name: str, value: Value) -> Value:
        parameter = self._space[name]
        ordinals = _ordinals(parameter)
        return value if ordinals is None else ordinals.index(value)

    def _constraints(self, record: TrialRecord) -> dict[str, float]:
        """Positive where violated: all of them, always, in one order (GPSampler needs that).

        `latency` is the log of the unloaded latency over the limit where no load meets it.
        """
        crash = latency = -1.0
        if record.state is State.FAILED:
            crash = latency = 1.0
        elif record.state is State.INFEASIBLE:
            latency = 1.0
            if math.isfinite(record.unloaded_s) and record.unloaded_s > 0:
                ratio = math.log(record.unloaded_s / self._budget.limit_s)
                latency = min(2.0, max(0.01, ratio))
        return {"crash": crash, "latency": latency}

    @contextmanager
    def _stored(self) -> Iterator[None]:
        """Faults of the database, also those that Optuna has wrapped, are StorageErrors."""
        with translated(self._database):
            try:
                yield
            except optuna.exceptions.StorageInternalError as error:
                raise error.__cause__ or error from None


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # `group` is marked experimental since 2.8; it models conditional parameters jointly.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, n_startup_trials=_STARTUP_TRIALS, seed=seed
        )


def _share(parameter: FloatParameter, value: float) -> float:
    """Where `value` lies between `low` (0) and `high` (1)."""
    if parameter.log:
        return math.log(value / parameter.low) / math.log(parameter.high / parameter.low)
    return (value - parameter.low) / (parameter.high - parameter.low)


def _at_share(parameter: FloatParameter, share: float) -> float:
    if parameter.log:
        value = parameter.low * (parameter.high / parameter.low) ** share
    else:
        value = parameter.low + share * (parameter.high - parameter.low)
    return parameter.nearest(value)


def _ordinals(parameter: Parameter) -> tuple[Value, ...] | None:
    """The choices that have an order; None where they are names, or cannot be counted."""
    choices = parameter.choices
    if isinstance(parameter, CategoricalParameter) and any(
        isinstance(choice, bool | str) for choice in parameter.choices
    ):
        return None
    return choices


def _suggested(trial: BaseTrial, parameter: Parameter) -> Value:
    ordinals = _ordinals(parameter)
    if ordinals is not None:
        return ordinals[trial.suggest_int(parameter.name, 0, len(ordinals) - 1)]
    if isinstance(parameter, FloatParameter):
        return trial.suggest_float(
            parameter.name, parameter.low, parameter.high, log=parameter.log
        )
    return cast("Value", trial.suggest_categorical(parameter.name, parameter.choices or ()))

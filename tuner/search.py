"""The only door to Optuna: which configuration to try next.

A parameter that can be counted is an index into its choices there (an ordinal), so that doublings
keep their order and no value outside the choices is ever proposed.
"""

import logging
import math
import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import optuna
from optuna.trial import Trial, TrialState, create_trial

from tuner.capacity import LatencyBudget
from tuner.errors import Reason
from tuner.expressions import Value
from tuner.records import TrialRecord
from tuner.records import TrialState as State
from tuner.space import CategoricalParameter, Configuration, FloatParameter, Parameter, SearchSpace

# Trials at random before the sampler's model is trusted, the baseline and hints among them.
_STARTUP_TRIALS = 8
# After so many proposals in a row that are known or break a rule, one is drawn at random instead.
_ATTEMPTS = 25
# Outcomes that say nothing of the configuration: the sampler must not learn from them.
_NOT_ITS_FAULT = (Reason.CLIENT_OVERLOADED, Reason.INTERRUPTED)

logging.getLogger("optuna").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Proposal:
    """A configuration to try; `number` is Optuna's number of the trial that waits for it."""

    number: int
    configuration: Configuration


class Search:
    """Proposes configurations that keep the space's rules, each of them once.

    The state lives in Optuna's tables at `storage_url`: a Search made again with the same name
    goes on where the last one ended.
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
        self._random = random.Random(seed)  # noqa: S311 - a search, not a secret
        with warnings.catch_warnings():
            # `group` is marked experimental since 2.8; it models conditional parameters jointly.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                multivariate=True, group=True, n_startup_trials=_STARTUP_TRIALS, seed=seed
            )
        self._study = optuna.create_study(
            storage=optuna.storages.RDBStorage(storage_url),
            study_name=study_name,
            sampler=sampler,
            direction="maximize",
            load_if_exists=True,
        )
        self._asked: dict[int, Trial] = {}
        self._told: dict[Configuration, TrialRecord] = {}

    def resume(self, records: Mapping[int, TrialRecord]) -> None:
        """Go on from `records` (by proposal): add what was never told, propose the lost again."""
        for record in records.values():
            self._told.setdefault(record.configuration, record)
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
            record_or_none = records.get(trial.number)
            if record_or_none is None:
                self._study.enqueue_trial(trial.params)
            elif record_or_none.reason not in _NOT_ITS_FAULT:
                self._study.add_trial(
                    create_trial(
                        params=trial.params,
                        distributions=trial.distributions,
                        value=record_or_none.throughput,
                        constraints=self._constraints(record_or_none),
                    )
                )

    def enqueue(self, configuration: Configuration) -> None:
        """Propose `configuration` before anything else, after those enqueued earlier."""
        if not self._space.violations(configuration):
            encoded = {name: self._encode(name, value) for name, value in configuration.items()}
            self._study.enqueue_trial(encoded, skip_if_exists=True)

    def ask(self) -> Proposal | None:
        """The next configuration; None once the whole space has been tried."""
        for _ in range(_ATTEMPTS):
            proposal = self._suggest()
            if self._is_new(proposal):
                return proposal
        fresh = self._untried()
        if fresh is None:
            return None
        self._study.enqueue_trial({n: self._encode(n, v) for n, v in fresh.items()})
        while not self._is_new(proposal := self._suggest()):
            pass  # what was enqueued before comes first
        return proposal

    def tell(self, number: int, record: TrialRecord) -> None:
        """What came of proposal `number`.

        Crashes are told as COMPLETE with the worst value and a violated constraint, because a
        trial that FAILs is invisible to the sampler, which would propose its like again.
        """
        self._told.setdefault(record.configuration, record)
        trial = self._asked.pop(number)
        if record.reason in _NOT_ITS_FAULT:
            self._study.tell(trial, state=TrialState.FAIL)
            return
        for name, value in self._constraints(record).items():
            trial.set_constraint(name, value)
        self._study.tell(trial, record.throughput)

    def _suggest(self) -> Proposal:
        trial = self._study.ask()
        values: dict[str, Value] = {}
        for parameter in self._space.parameters:
            if self._space.is_active(parameter, values):
                values[parameter.name] = _suggested(trial, parameter)
        self._asked[trial.number] = trial
        return Proposal(trial.number, Configuration.of(values))

    def _is_new(self, proposal: Proposal) -> bool:
        """Whether to run it; otherwise Optuna is given the answer that is already known."""
        known = self._told.get(proposal.configuration)
        if known is not None:
            self.tell(proposal.number, known)
        elif self._space.violations(proposal.configuration):
            self._study.tell(self._asked.pop(proposal.number), state=TrialState.FAIL)
        else:
            return True
        return False

    def _untried(self) -> Configuration | None:
        if self._space.size is not None:
            untried = [c for c in self._space.grid() if c not in self._told]
            return self._random.choice(untried) if untried else None
        while True:
            values = {p.name: self._drawn(p) for p in self._space.parameters}
            configuration = self._space.activate(values)
            if configuration not in self._told and not self._space.violations(configuration):
                return configuration

    def _drawn(self, parameter: Parameter) -> Value:
        if parameter.choices:
            return self._random.choice(parameter.choices)
        if isinstance(parameter, FloatParameter) and parameter.log:
            low, high = math.log(parameter.low), math.log(parameter.high)
            return math.exp(self._random.uniform(low, high))
        if isinstance(parameter, FloatParameter):
            return self._random.uniform(parameter.low, parameter.high)
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


def _ordinals(parameter: Parameter) -> tuple[Value, ...] | None:
    """The choices that have an order; None where they are names, or cannot be counted."""
    choices = parameter.choices
    if isinstance(parameter, CategoricalParameter) and any(
        isinstance(choice, bool | str) for choice in parameter.choices
    ):
        return None
    return choices


def _suggested(trial: Trial, parameter: Parameter) -> Value:
    ordinals = _ordinals(parameter)
    if ordinals is not None:
        return ordinals[trial.suggest_int(parameter.name, 0, len(ordinals) - 1)]
    if isinstance(parameter, FloatParameter):
        return trial.suggest_float(
            parameter.name, parameter.low, parameter.high, log=parameter.log
        )
    return cast("Value", trial.suggest_categorical(parameter.name, parameter.choices or ()))

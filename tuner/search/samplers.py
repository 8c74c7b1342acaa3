"""Optuna's samplers by name, and how they see a configuration.

A parameter that can be counted is an index into its choices there (an ordinal), so that doublings
keep their order and no value outside the choices is ever proposed. Optuna is imported when a
sampler is built, not before.
"""

import warnings
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from tuner.search.steps import ordinals
from tuner.space.expressions import Value
from tuner.space.space import Configuration, FloatParameter, Parameter, SearchSpace

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import BaseTrial

# Trials at random before the sampler's model is trusted, the baseline and hints among them.
_STARTUP_TRIALS = 8


class Sampler(StrEnum):
    """Who proposes what to try next.

    tpe          a tree-structured Parzen estimator
    random       any configuration; what the other has to beat
    exhaustive   every configuration once, in random order
    """

    TPE = "tpe"
    RANDOM = "random"
    EXHAUSTIVE = "exhaustive"

    @property
    def learns(self) -> bool:
        """Whether what it proposes depends on what was measured."""
        return self is Sampler.TPE


def build(sampler: Sampler, seed: int) -> "BaseSampler":
    """Optuna's sampler of that name."""
    from optuna import samplers
    from optuna.exceptions import ExperimentalWarning

    if not sampler.learns:
        return samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        # `group` is marked experimental, since 2.8.
        warnings.simplefilter("ignore", ExperimentalWarning)
        # It models parameters that appear together jointly. No liar: with several trials at a
        # time it made searches no shorter (benchmarks/README.md).
        return samplers.TPESampler(
            multivariate=True,
            group=True,
            constant_liar=False,
            n_startup_trials=_STARTUP_TRIALS,
            seed=seed,
        )


def distribution(parameter: Parameter) -> "BaseDistribution":
    """The domain of `parameter` in Optuna's terms."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    ordered = ordinals(parameter)
    if ordered is not None:
        return IntDistribution(0, len(ordered) - 1)
    if isinstance(parameter, FloatParameter):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return CategoricalDistribution(parameter.choices or ())


def encoded(space: SearchSpace, configuration: Configuration) -> dict[str, Value]:
    """`configuration` in Optuna's terms."""
    return {
        p.name: _encoded(p, configuration[p.name])
        for p in space.parameters
        if p.name in configuration
    }


def suggested(space: SearchSpace, trial: "BaseTrial") -> Configuration:
    """The configuration that `trial` suggests.

    Raises:
        ValueError: The trial is finished, or fixed, and lacks a parameter.
    """
    values: dict[str, Value] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, values):
            values[parameter.name] = _suggested(trial, parameter)
    return Configuration.of(values)


def _encoded(parameter: Parameter, value: Value) -> Value:
    ordered = ordinals(parameter)
    return value if ordered is None else ordered.index(value)


def _suggested(trial: "BaseTrial", parameter: Parameter) -> Value:
    ordered = ordinals(parameter)
    if ordered is not None:
        return ordered[trial.suggest_int(parameter.name, 0, len(ordered) - 1)]
    if isinstance(parameter, FloatParameter):
        return trial.suggest_float(
            parameter.name, parameter.low, parameter.high, log=parameter.log
        )
    return cast("Value", trial.suggest_categorical(parameter.name, parameter.choices or ()))

"""Optuna's samplers by name, and how they see a configuration.

A parameter that can be counted is an index into its choices there (an ordinal), so that doublings
keep their order and no value outside the choices is ever proposed. Optuna is imported when a
sampler is built, not before.
"""

import warnings
from collections.abc import Mapping
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from tuner.errors import InputError
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

    tpe          a tree-structured Parzen estimator; knows conditions, needs nothing else
    gp           a Gaussian process; needs torch and scipy
    random       any configuration; what the others have to beat
    qmc          any configuration, but spread evenly (Sobol's sequence); needs scipy
    exhaustive   every configuration once, in random order
    """

    TPE = "tpe"
    GP = "gp"
    RANDOM = "random"
    QMC = "qmc"
    EXHAUSTIVE = "exhaustive"

    @property
    def learns(self) -> bool:
        """Whether what it proposes depends on what was measured."""
        return self in (Sampler.TPE, Sampler.GP)

    @property
    def flat(self) -> bool:
        """Whether it knows no conditions: it is shown every parameter, needed or not."""
        return self in (Sampler.GP, Sampler.QMC)


_NEEDS = {Sampler.GP: ("torch", "scipy"), Sampler.QMC: ("scipy",)}


def check_available(sampler: Sampler) -> None:
    """Refuse a sampler that cannot work here.

    Raises:
        InputError: A package that it needs is not installed.
    """
    missing = [name for name in _NEEDS.get(sampler, ()) if find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(
            f"the sampler `{sampler}` needs {' and '.join(missing)}, which {verb} not installed",
            hint="pip install 'serving-tuner[gp]', or choose `--sampler tpe`",
        )


def build(sampler: Sampler, seed: int) -> "BaseSampler":
    """Optuna's sampler of that name.

    Raises:
        InputError: A package that it needs is not installed.
    """
    check_available(sampler)
    from optuna import samplers
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        # TPE's `group` and all of QMC are marked experimental, since 2.8 and 3.0.
        warnings.simplefilter("ignore", ExperimentalWarning)
        match sampler:
            case Sampler.TPE:
                # `group` models parameters that appear together jointly. No liar: there is one
                # trial at a time, and it would cost reading all of them again for each proposal.
                return samplers.TPESampler(
                    multivariate=True,
                    group=True,
                    constant_liar=False,
                    n_startup_trials=_STARTUP_TRIALS,
                    seed=seed,
                )
            case Sampler.GP:
                return samplers.GPSampler(
                    n_startup_trials=_STARTUP_TRIALS, seed=seed, warn_independent_sampling=False
                )
            case Sampler.QMC:
                return samplers.QMCSampler(
                    scramble=True, seed=seed, warn_independent_sampling=False
                )
            case Sampler.RANDOM | Sampler.EXHAUSTIVE:
                return samplers.RandomSampler(seed=seed)


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


def encoded(space: SearchSpace, configuration: Configuration, *, flat: bool) -> dict[str, Value]:
    """`configuration` in Optuna's terms; if `flat`, with what is not there at its default."""
    values: Mapping[str, Value] = configuration
    if flat:
        values = {p.name: configuration.get(p.name, p.default) for p in space.parameters}
    return {p.name: _encoded(p, values[p.name]) for p in space.parameters if p.name in values}


def suggested(space: SearchSpace, trial: "BaseTrial", *, flat: bool) -> Configuration:
    """The configuration that `trial` suggests; if `flat`, it is asked for every parameter.

    Raises:
        ValueError: The trial is finished, or fixed, and lacks a parameter.
    """
    values: dict[str, Value] = {}
    for parameter in space.parameters:
        if flat or space.is_active(parameter, values):
            values[parameter.name] = _suggested(trial, parameter)
    return space.activate(values) if flat else Configuration.of(values)


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

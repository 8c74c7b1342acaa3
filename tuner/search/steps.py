"""Small steps around a configuration, and configurations drawn at random (pure).

Whatever is random comes from the generator that is handed in.
"""

import math
import random

from tuner.space.expressions import Value
from tuner.space.space import (
    CategoricalParameter,
    Configuration,
    FloatParameter,
    Parameter,
    SearchSpace,
)

# The largest step: this many choices up or down,
_STEP_CHOICES = 2
# or this share of an interval.
_STEP_SHARE = 0.2


def ordinals(parameter: Parameter) -> tuple[Value, ...] | None:
    """The choices that have an order; None where they are names, or cannot be counted."""
    choices = parameter.choices
    if isinstance(parameter, CategoricalParameter) and any(
        isinstance(choice, bool | str) for choice in parameter.choices
    ):
        return None
    return choices


def share(parameter: FloatParameter, value: float) -> float:
    """Where `value` lies between `low` (0) and `high` (1), in logarithms if they are its scale."""
    if parameter.low == parameter.high:
        return 0.0
    if parameter.log:
        return math.log(value / parameter.low) / math.log(parameter.high / parameter.low)
    return (value - parameter.low) / (parameter.high - parameter.low)


def steps(
    space: SearchSpace, configuration: Configuration, chance: random.Random
) -> tuple[Configuration, ...]:
    """The valid configurations that are one step in one parameter away.

    A step is up to two choices up or down; any other choice where they are names; one random value
    within a fifth of the interval where they cannot be counted. What a step makes conditional
    parameters need starts at its default.
    """
    stepped = (
        space.activate({**configuration, parameter.name: value})
        for parameter in space.parameters
        if parameter.name in configuration
        for value in _near(parameter, configuration[parameter.name], chance)
    )
    return tuple(
        each
        for each in dict.fromkeys(stepped)
        if each != configuration and not space.violations(each)
    )


def drawn(space: SearchSpace, chance: random.Random) -> Configuration:
    """A configuration at random; it may break a rule."""
    return space.activate({p.name: _drawn(p, chance) for p in space.parameters})


def _near(parameter: Parameter, value: Value, chance: random.Random) -> list[Value]:
    """The values within one step; any other one where they have no order."""
    ordered = ordinals(parameter)
    if ordered is not None:
        at = ordered.index(value)
        near = ordered[max(0, at - _STEP_CHOICES) : at + _STEP_CHOICES + 1]
        return [each for each in near if each != value]
    if isinstance(parameter, FloatParameter):
        step = chance.uniform(-1, 1) * _STEP_SHARE
        return [_at_share(parameter, share(parameter, float(value)) + step)]
    return [each for each in parameter.choices or () if each != value]


def _drawn(parameter: Parameter, chance: random.Random) -> Value:
    if parameter.choices:
        return chance.choice(parameter.choices)
    if isinstance(parameter, FloatParameter):
        return _at_share(parameter, chance.random())
    return parameter.default


def _at_share(parameter: FloatParameter, at: float) -> float:
    inside = min(1.0, max(0.0, at))
    if parameter.log:
        return parameter.nearest(parameter.low * (parameter.high / parameter.low) ** inside)
    return parameter.nearest(parameter.low + inside * (parameter.high - parameter.low))

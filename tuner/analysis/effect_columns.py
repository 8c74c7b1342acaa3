"""How the values of parameters become the columns of a regression (pure)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from tuner.numbers.arrays import FloatArray
from tuner.space.expressions import Value
from tuner.space.space import Configuration

# What stands for the value where many numbers were tried: a line over their logarithm,
DOUBLED = "each doubling"
# and what all of them have over 0, which has no logarithm.
ABOVE_ZERO = "above 0"
# More numbers than this are a line,
_MOST_LEVELS = 4
# as are fewer where there are not this many measured configurations for each column.
CONFIGURATIONS_FOR_EACH = 2


@dataclass(frozen=True)
class Column:
    """One coefficient: what `value` of `parameter` does, compared with `reference`.

    `entries` are the numbers in its column by the parameter's value; 0 for all others, and where
    the parameter is not there: that it is absent is the doing of the one that it depends on.
    """

    parameter: str
    value: Value
    reference: Value
    entries: Mapping[Value, float]

    def entry(self, configuration: Configuration) -> float:
        value = configuration.get(self.parameter)
        return 0.0 if value is None else self.entries.get(value, 0.0)

    def applies(self, configuration: Configuration) -> bool:
        """Whether `configuration` shows something of it."""
        return configuration.get(self.parameter) in self.entries


def columns(
    configurations: Sequence[Configuration], references: Mapping[str, Value], measured: int
) -> tuple[Column, ...]:
    """The columns of all parameters that had several values, in the order of the parameters.

    Each value has a column of its own, but for its parameter's reference. Numbers have instead a
    line over their logarithm where more than four were tried, or where there would not be two
    measured configurations for each column; zero, which has no logarithm, keeps its own.

    Args:
        configurations: The different ones that were tried.
        references: Of each parameter, by name, what its values are compared with.
        measured: How many of the configurations have a measured capacity.
    """
    tried = {name: _tried(name, configurations, references[name]) for name in references}
    by_value = {name: len(values) <= _MOST_LEVELS for name, values in tried.items()}
    found = _all(tried, references, by_value)
    if measured >= CONFIGURATIONS_FOR_EACH * (len(found) + 1):
        return found
    return _all(tried, references, dict.fromkeys(tried, False))


def matrix(found: Sequence[Column], configurations: Sequence[Configuration]) -> FloatArray:
    """One row for each configuration; the column 0 is that of the intercept."""
    rows = [[1.0, *(column.entry(each) for column in found)] for each in configurations]
    return np.array(rows, dtype=np.float64).reshape(len(configurations), 1 + len(found))


def _tried(
    name: str, configurations: Sequence[Configuration], reference: Value
) -> tuple[Value, ...]:
    """The values of a parameter, ascending, its reference among them."""
    values = {each[name] for each in configurations if name in each} | {reference}
    return tuple(sorted(values, key=lambda each: (isinstance(each, str), each)))


def _all(
    tried: Mapping[str, Sequence[Value]],
    references: Mapping[str, Value],
    by_value: Mapping[str, bool],
) -> tuple[Column, ...]:
    return tuple(
        column
        for name, values in tried.items()
        for column in (
            _levels(name, values, references[name])
            if by_value[name] or len(values) <= 2 or not all(map(_is_number, values))
            else _line(name, values, references[name])
        )
    )


def _levels(name: str, values: Sequence[Value], reference: Value) -> list[Column]:
    return [Column(name, each, reference, {each: 1.0}) for each in values if each != reference]


def _line(name: str, values: Sequence[Value], reference: Value) -> list[Column]:
    """A slope over the positive numbers, and what the others have of their own."""
    numbers = [float(each) for each in values]
    logs = {value: math.log2(n) for value, n in zip(values, numbers, strict=True) if n > 0}
    if len(logs) < 2:
        return _levels(name, values, reference)
    others = [each for each in values if each not in logs and each != reference]
    found = _levels(name, [*others, reference], reference)
    centre = logs.get(reference, fmean(logs.values()))
    if reference not in logs:
        found.append(Column(name, ABOVE_ZERO, reference, dict.fromkeys(logs, 1.0)))
    found.append(Column(name, DOUBLED, reference, {v: log - centre for v, log in logs.items()}))
    levels = _levels(name, values, reference)
    return found if len(found) < len(levels) else levels


def _is_number(value: Value) -> bool:
    return not isinstance(value, bool | str)

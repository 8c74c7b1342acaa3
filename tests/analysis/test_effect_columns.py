"""How values become columns: one for each, or a line over many numbers."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tuner.analysis.effect_columns import ABOVE_ZERO, DOUBLED, columns, matrix
from tuner.space.expressions import Value
from tuner.space.space import Configuration


def tried(name: str, values: Sequence[Value], *, repeats: int = 4) -> list[Configuration]:
    """Configurations of one parameter, with something else that makes them different."""
    return [
        Configuration.of({name: value, "other": "same", "unique": f"u{number}"})
        for number in range(repeats)
        for value in values
    ]


def values_of(name: str, values: Sequence[Value], reference: Value, **keys: int) -> list[Value]:
    configurations = tried(name, values, **keys)
    found = columns(configurations, {name: reference}, len(configurations))
    return [column.value for column in found]


def test_each_value_but_the_reference_has_a_column() -> None:
    """Words, booleans and a few numbers are compared with the reference one by one."""
    assert values_of("mode", ["a", "c", "b"], "b") == ["a", "c"]
    assert values_of("batching", [True, False], False) == [True]
    assert values_of("threads", [8, 1, 2], 2) == [1, 8]


def test_a_parameter_that_never_changed_has_none() -> None:
    """One value cannot be compared with anything."""
    assert values_of("threads", [2], 2) == []


def test_many_numbers_are_a_line() -> None:
    """More than four are a slope for each doubling, which is 0 at the reference."""
    configurations = tried("n", [1, 2, 4, 8, 16], repeats=1)
    found = columns(configurations, {"n": 2}, 5)

    assert [column.value for column in found] == [DOUBLED]
    assert matrix(found, configurations)[:, 1].tolist() == [-1, 0, 1, 2, 3]


def test_numbers_are_a_line_where_configurations_are_few() -> None:
    """Where two configurations for each column are lacking, three numbers are a slope, too."""
    assert values_of("n", [1, 2, 4], 1, repeats=1) == [DOUBLED]
    assert values_of("n", [1, 2, 4], 1, repeats=2) == [2, 4]
    assert values_of("mode", ["a", "b", "c"], "a", repeats=1) == ["b", "c"]


def test_zero_stays_beside_the_line() -> None:
    """Zero has no logarithm: all others are compared with it, at the middle of the line."""
    configurations = tried("delay", [0, 100, 200, 400, 800], repeats=1)
    found = columns(configurations, {"delay": 0}, 5)

    assert [column.value for column in found] == [ABOVE_ZERO, DOUBLED]
    assert matrix(found, configurations)[:, 1:] == pytest.approx(
        np.array([[0, 0], [1, -1.5], [1, -0.5], [1, 0.5], [1, 1.5]])
    )


def test_zero_beside_a_line_through_the_reference() -> None:
    """Where the default is above zero, zero is one more value that is compared with it."""
    assert values_of("delay", [0, 100, 200, 400, 800], 100) == [0, DOUBLED]


def test_a_line_that_saves_nothing_is_not_drawn() -> None:
    """Of three numbers with a zero, each has its own column: a line would need as many."""
    assert values_of("delay", [0, 100, 800], 0, repeats=1) == [100, 800]


def test_numbers_below_zero_are_no_line() -> None:
    """Where fewer than two values have a logarithm, each value has its own column."""
    assert values_of("level", [-2, -1, 0], 0, repeats=1) == [-2, -1]
    assert values_of("level", [-1, 0, 5], -1, repeats=1) == [0, 5]


def test_what_is_not_there_is_nothing() -> None:
    """A configuration without the parameter is a row of zeros, but for the intercept."""
    found = columns(tried("n", [1, 2]), {"n": 1}, 8)

    row = matrix(found, [Configuration.of({"other": "same"})])
    assert row.tolist() == [[1, 0]]
    assert matrix(found, []).shape == (0, 2)
    assert np.isfinite(row).all()
    assert math.isclose(found[0].entry(Configuration.of({"n": 2})), 1)

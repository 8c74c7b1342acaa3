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


@pytest.mark.parametrize(
    ("values", "reference", "repeats", "expected"),
    [
        # Words, booleans and a few numbers are compared with the reference one by one.
        (["a", "c", "b"], "b", 4, ["a", "c"]),
        ([True, False], False, 4, [True]),
        ([8, 1, 2], 2, 4, [1, 8]),
        # One value cannot be compared with anything.
        ([2], 2, 4, []),
        # Where two configurations for each column are lacking, three numbers are a slope, too.
        ([1, 2, 4], 1, 1, [DOUBLED]),
        ([1, 2, 4], 1, 2, [2, 4]),
        (["a", "b", "c"], "a", 1, ["b", "c"]),
        # Where the default is above zero, zero is one more value that is compared with it.
        ([0, 100, 200, 400, 800], 100, 4, [0, DOUBLED]),
        # Of three numbers with a zero, each has its own column: a line would need as many.
        ([0, 100, 800], 0, 1, [100, 800]),
        # Where fewer than two values have a logarithm, each value has its own column.
        ([-2, -1, 0], 0, 1, [-2, -1]),
        ([-1, 0, 5], -1, 1, [0, 5]),
    ],
)
def test_which_columns_there_are(
    values: list[Value], reference: Value, repeats: int, expected: list[Value]
) -> None:
    """One for each value but the reference, or a line over many numbers."""
    configurations = tried("it", values, repeats=repeats)
    found = columns(configurations, {"it": reference}, len(configurations))

    assert [column.value for column in found] == expected


def test_many_numbers_are_a_line() -> None:
    """More than four are a slope for each doubling, which is 0 at the reference."""
    configurations = tried("n", [1, 2, 4, 8, 16], repeats=1)
    found = columns(configurations, {"n": 2}, 5)

    assert [column.value for column in found] == [DOUBLED]
    assert matrix(found, configurations)[:, 1].tolist() == [-1, 0, 1, 2, 3]


def test_zero_stays_beside_the_line() -> None:
    """Zero has no logarithm: all others are compared with it, at the middle of the line."""
    configurations = tried("delay", [0, 100, 200, 400, 800], repeats=1)
    found = columns(configurations, {"delay": 0}, 5)

    assert [column.value for column in found] == [ABOVE_ZERO, DOUBLED]
    assert matrix(found, configurations)[:, 1:] == pytest.approx(
        np.array([[0, 0], [1, -1.5], [1, -0.5], [1, 0.5], [1, 1.5]])
    )


def test_what_is_not_there_is_nothing() -> None:
    """A configuration without the parameter is a row of zeros, but for the intercept."""
    found = columns(tried("n", [1, 2]), {"n": 1}, 8)

    row = matrix(found, [Configuration.of({"other": "same"})])
    assert row.tolist() == [[1, 0]]
    assert matrix(found, []).shape == (0, 2)
    assert np.isfinite(row).all()
    assert math.isclose(found[0].entry(Configuration.of({"n": 2})), 1)

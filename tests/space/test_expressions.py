"""Expressions: what they compute, and that they are never more than that."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.errors import SpaceError
from tuner.space.expressions import Expression, Value, is_name

NUMBERS = st.integers(-1000, 1000)
VALUES: dict[str, Value] = {"cores": 4, "threads": 2, "batching": True, "mode": "fast"}


def value(text: str) -> Value:
    return Expression.parse(text).evaluate(VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("'text'", "text"),
        ("true", True),
        ("false", False),
        ("cores", 4),
        ("  cores\n", 4),
        ("-cores", -4),
        ("cores + threads - 1", 5),
        ("2 * cores", 8),
        ("cores / 8", 0.5),
        ("cores // 3", 1),
        ("cores % 3", 1),
        ("2 * (cores + 1)", 10),
        ("min(cores, threads, 3)", 2),
        ("max(1, cores / 2)", 2.0),
        ("round(cores / 3)", 1),
        ("1 < threads < cores", True),
        ("1 <= threads >= cores", False),
        ("cores == 4", True),
        ("cores != 4", False),
        ("mode == 'fast'", True),
        ("mode == 3", False),
        ("mode < 'slow'", True),
        ("not batching", False),
        ("batching and cores > 8", False),
        ("batching or cores > 8", True),
        ("false and cores / 0 > 1", False),
        ("true or cores / 0 > 1", True),
    ],
)
def test_computes(text: str, expected: Value) -> None:
    """Arithmetic, comparisons, logic and three functions mean what they mean elsewhere."""
    assert value(text) == expected
    assert type(value(text)) is type(expected)


def test_says_what_it_refers_to() -> None:
    """`names` are the parameters and facts, neither the functions nor the constants."""
    expression = Expression.parse("max(cores, threads) > 1 and true")
    assert expression.names == {"cores", "threads"}
    assert expression.text == "max(cores, threads) > 1 and true"


def test_a_function_can_also_be_a_name() -> None:
    """A parameter called `min` does not take the function away."""
    assert Expression.parse("min(min, 3)").evaluate({"min": 2}) == 2


@settings(deadline=None)
@given(st.recursive(NUMBERS.map(str), lambda inner: st.tuples(inner, inner).map(" * ".join)))
def test_agrees_with_python(text: str) -> None:
    """What Python would compute is what comes out."""
    if len(text) <= 500:
        product = 1
        for factor in text.split(" * "):
            product *= int(factor)
        assert value(text) == product


@pytest.mark.parametrize(
    "text",
    [
        "cores.__class__",
        "(cores).__class__.real",
        "(cores + 1).real",
        "().__class__.__bases__",
        "print(cores)",
        "__import__('os')",
        "min.__call__(1, 2)",
        "(min)(1, 2)(3)",
        "lambda: 1",
        "(lambda: 1)()",
        "[cores]",
        "[n for n in (1, 2)]",
        "{n for n in (1, 2)}",
        "{1: 2 for n in (1, 2)}",
        "(n for n in (1, 2))",
        "(cores, threads)",
        "{1: 2}",
        "{1}",
        "f'{cores}'",
        "(n := 4)",
        "mode[0]",
        "mode[0:1]",
        "2 ** 64",
        "9 ** 9 ** 9",
        "1 << 64",
        "cores | 1",
        "~cores",
        "+cores",
        "cores @ threads",
        "1 if batching else 2",
        "cores is threads",
        "cores in mode",
        "await cores",
        "(yield)",
        "...",
        "None",
        "1j",
        "b'bytes'",
        "min(*mode)",
        "min(1, 2, key=cores)",
        "min()",
        "min(cores)",
        "round(cores, 2)",
        "round(5, -1000000000)",
        "~" * 499 + "1",
    ],
)
def test_python_is_refused(text: str) -> None:
    """Whatever else Python has is not in the language, and the message says what is."""
    with pytest.raises(SpaceError, match="which expressions do not have") as caught:
        Expression.parse(text)
    assert caught.value.hint.startswith("they have numbers, names, + - * / // %")


def test_the_message_shows_the_part_that_is_refused() -> None:
    """A person sees which part of a long expression is not in the language."""
    with pytest.raises(SpaceError) as caught:
        Expression.parse(" cores + 2 ** threads ")
    assert caught.value.message == (
        "` cores + 2 ** threads ` uses `2 ** threads`, which expressions do not have"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "# nothing",
        "cores >",
        "cores = 4",
        "import os",
        "cores; threads",
        "1and 2",
        "'\\z'",
        "\0",
        "\ud800",
        "cores\n+ 1",
        "(" * 400 + "1" + ")" * 90,
        "[" * 499,
        "0777",
        "1" * 4999,
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """Text that is no expression, or only with a warning of Python's, is refused."""
    with pytest.raises(SpaceError, match=r"is not an expression|at most 500 characters"):
        Expression.parse(text)


@pytest.mark.parametrize("text", ["-" * 499 + "1", "1" + "+1" * 249, "not " * 120 + "true"])
def test_deep_expressions_are_refused(text: str) -> None:
    """An expression that would exhaust the stack does not."""
    with pytest.raises(SpaceError) as caught:
        Expression.parse(text)
    assert caught.value.message == (
        f"an expression has at most 50 operators inside each other, but `{text[:20]}...` has more"
    )


def test_long_expressions_are_refused() -> None:
    """An expression is a line, not a program."""
    with pytest.raises(SpaceError) as caught:
        Expression.parse("1" * 501)
    assert caught.value.message == "an expression has at most 500 characters, but got 501"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cores / 0", "division by zero"),
        ("cores // 0", "integer division or modulo by zero"),
        ("cores % 0.0", "float modulo"),
        ("mode + 1", "'fast' is not a number"),
        ("'a' * 999999999", "'a' is not a number"),
        ("-mode", "'fast' is not a number"),
        ("min(mode, 1)", "'fast' is not a number"),
        ("mode < 1", "'fast' and 1 have no order"),
        ("1 < mode", "1 and 'fast' have no order"),
        ("round(1e400)", "cannot convert float infinity to integer"),
        ("round(1e400 - 1e400)", "cannot convert float NaN to integer"),
        (f"{'9' * 400} / 3", "integer division result too large for a float"),
    ],
)
def test_what_cannot_be_worked_out(text: str, why: str) -> None:
    """Values that do not fit the operators are an error of the file, with the reason."""
    with pytest.raises(SpaceError) as caught:
        value(text)
    assert caught.value.message.startswith(f"`{text}` cannot be worked out: {why}")


def test_a_name_without_value() -> None:
    """A name that has no value is named, beside those that have one."""
    with pytest.raises(SpaceError) as caught:
        Expression.parse("gpus + 1").evaluate({"threads": 1, "cores": 2})
    assert caught.value.message == "`gpus + 1` refers to `gpus`, which is not known here"
    assert caught.value.hint == "known: `cores`, `threads`"


def test_an_expression_that_was_not_parsed_is_not_executed_either() -> None:
    """Evaluation itself only knows the language."""
    with pytest.raises(SpaceError, match=r"cannot be worked out: .* is not in the language"):
        Expression("(lambda: 1)()", frozenset()).evaluate({})


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("threads", True),
        ("_x1", True),
        ("max", True),
        ("true", False),
        ("and", False),
        ("a-b", False),
        ("a b", False),
        ("1", False),
        ("", False),
        ("None", False),
        ("ª", False),
    ],
)
def test_which_names_can_be_referred_to(*, text: str, usable: bool) -> None:
    """A name is usable if an expression that consists of it refers to exactly it."""
    assert is_name(text) is usable


SYNTAX = """
cores threads mode batching true None ( ) [ ] { } . , : := ; = == < <= ** * // - ~ @ not and or if
else for in is lambda await yield min max round print f'{cores}' 'a' 1 0.5 1e999 \\ #
"""


def value_or_refusal(text: str) -> object:
    try:
        return value(text)
    except SpaceError as error:
        return error


@settings(deadline=None)
@given(
    st.text(max_size=600) | st.lists(st.sampled_from(SYNTAX.split()), max_size=60).map(" ".join)
)
def test_never_anything_but_a_value_or_a_space_error(text: str) -> None:
    """Whatever the text, it is refused or computes a plain value, and neither takes long."""
    started = time.perf_counter()
    assert isinstance(value_or_refusal(text), bool | int | float | str | SpaceError)
    assert time.perf_counter() - started < 1

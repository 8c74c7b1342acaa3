"""Small steps around a configuration, and configurations drawn at random."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spaces import choice, integer, real, space, spaces, switch
from tuner.search.steps import drawn, ordinals, share, steps
from tuner.space.expressions import Value
from tuner.space.space import Configuration, FloatParameter, Parameter, SearchSpace

CONDITIONAL = space(
    switch("batching"),
    integer("size", when="batching", low=2, high=64, log=True, default=16),
    integer("threads", high=3),
    rules=("size * threads <= 48",),
)


def near(any_space: SearchSpace, **values: Value) -> set[Configuration]:
    return set(steps(any_space, Configuration.of(values), random.Random(0)))


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        pytest.param(integer(high=3), (1, 2, 3), id="whole numbers"),
        pytest.param(integer(high=8, log=True), (1, 2, 4, 8), id="doublings"),
        pytest.param(choice(0, 100, 500), (0, 100, 500), id="numbers to choose from"),
        pytest.param(real(step=0.5), (0.0, 0.5, 1.0), id="real numbers with a step"),
        pytest.param(real(), None, id="real numbers without"),
        pytest.param(choice("a", "b"), None, id="names"),
        pytest.param(choice(0, "auto"), None, id="a name among numbers"),
        pytest.param(switch(), None, id="a switch"),
    ],
)
def test_what_has_an_order(parameter: Parameter, expected: tuple[Value, ...] | None) -> None:
    """Numbers that can be counted have an order; names, switches and intervals have none."""
    assert ordinals(parameter) == expected


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        pytest.param(real(low=2.0, high=6.0), 3.0, 0.25, id="linear"),
        pytest.param(real(low=1.0, high=100.0, log=True), 10.0, 0.5, id="logarithmic"),
        pytest.param(real(low=2.0, high=2.0, default=2.0), 2.0, 0.0, id="one value"),
    ],
)
def test_share_of_an_interval(parameter: FloatParameter, value: float, expected: float) -> None:
    """The lowest value lies at 0, the highest at 1, a logarithm's middle at 0.5."""
    assert share(parameter, value) == pytest.approx(expected)


def test_steps_up_and_down() -> None:
    """A step is one or two choices up or down, no further, and not beyond the ends."""
    numbers = space(integer(low=1, high=64, log=True))

    assert {c["n"] for c in near(numbers, n=8)} == {2, 4, 16, 32}
    assert {c["n"] for c in near(numbers, n=1)} == {2, 4}
    assert {c["n"] for c in near(numbers, n=32)} == {8, 16, 64}


def test_steps_between_names() -> None:
    """Names have no order: every other one is a step away."""
    names = space(choice("a", "b", "c", "d"))

    assert {c["mode"] for c in near(names, mode="a")} == {"b", "c", "d"}


def test_one_parameter_at_a_time() -> None:
    """No step changes two parameters, but for those that a condition brings or takes."""
    base = {"batching": True, "size": 16, "threads": 1}

    for stepped in near(CONDITIONAL, **base):
        changed = {name for name in base if stepped.get(name) != base[name]}
        assert len(changed - {"size"}) <= 1


def test_conditions_switch_parameters() -> None:
    """Switching batching on brings its size, at its default; switching it off takes it away."""
    on = Configuration.of({"batching": True, "size": 16, "threads": 2})
    off = Configuration.of({"batching": False, "threads": 2})

    assert on in near(CONDITIONAL, **off)
    assert off in near(CONDITIONAL, **on)


def test_rules_hold_after_a_step() -> None:
    """A step that breaks a rule is no step."""
    stepped = near(CONDITIONAL, batching=True, size=16, threads=3)

    assert {c["size"] for c in stepped if "size" in c and c["threads"] == 3} == {4, 8}


def test_steps_in_an_interval() -> None:
    """Where values cannot be counted, a step goes a fifth of the interval at most."""
    line = space(real(low=1.0, high=100.0, default=1.0, log=True))
    chance = random.Random(0)

    stepped = {
        float(c["x"])
        for _ in range(200)
        for c in steps(line, Configuration.of({"x": 10.0}), chance)
    }

    assert len(stepped) == 200
    assert 10**0.6 <= min(stepped) < 10**0.7
    assert 10**1.3 < max(stepped) <= 10**1.4


def test_no_step_where_there_is_one_value() -> None:
    """A parameter with one value cannot step; a space of such parameters has no steps."""
    fixed = space(real(low=2.0, high=2.0, default=2.0), choice("only"))

    assert near(fixed, x=2.0, mode="only") == set()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(spaces(), st.integers(0, 5))
def test_always_valid(any_space: SearchSpace, seed: int) -> None:
    """Whatever the space: steps are valid, new and distinct; what is drawn is in its domain."""
    chance = random.Random(seed)

    stepped = steps(any_space, any_space.defaults, chance)
    anything = drawn(any_space, chance)

    assert len(set(stepped)) == len(stepped)
    assert any_space.defaults not in stepped
    for configuration in (*stepped, anything):
        assert configuration == any_space.activate(configuration)
        assert all(any_space[name].accepts(value) for name, value in configuration.items())
    assert not any(any_space.violations(configuration) for configuration in stepped)


def test_draws_reach_everything() -> None:
    """Every combination is drawn sooner or later; one seed draws the same again."""
    chance = random.Random(0)

    first = [drawn(CONDITIONAL, chance) for _ in range(500)]
    again = random.Random(0)

    assert set(CONDITIONAL.grid()) <= set(first)
    assert first == [drawn(CONDITIONAL, again) for _ in range(500)]

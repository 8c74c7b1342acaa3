"""Short ways to write search spaces, and hypothesis strategies for any of them."""

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from tuner.space.expressions import Expression, Value
from tuner.space.settings import ServerFlag
from tuner.space.space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Rule,
    SearchSpace,
    in_order,
)


def common(name: str, when: str | None = None) -> dict[str, Any]:
    condition = None if when is None else Expression.parse(when)
    return {"name": name, "sets": ServerFlag(f"--{name}"), "when": condition}


def integer(name: str = "n", when: str | None = None, **keys: Any) -> IntParameter:
    return IntParameter(**common(name, when), **{"low": 1, "high": 8, "default": 1, **keys})


def real(name: str = "x", when: str | None = None, **keys: Any) -> FloatParameter:
    return FloatParameter(
        **common(name, when), **{"low": 0.0, "high": 1.0, "default": 0.5, **keys}
    )


def choice(*choices: Value, name: str = "mode", when: str | None = None) -> CategoricalParameter:
    return CategoricalParameter(**common(name, when), default=choices[0], choices=choices)


def switch(name: str = "batching", when: str | None = None) -> CategoricalParameter:
    return choice(False, True, name=name, when=when)


def rule(text: str) -> Rule:
    return Rule(Expression.parse(text))


def space(*parameters: Parameter, rules: tuple[str, ...] = (), **keys: Any) -> SearchSpace:
    return SearchSpace("triton", in_order(parameters), tuple(map(rule, rules)), **keys)


@st.composite
def parameters(draw: st.DrawFn, name: str = "n", when: str | None = None) -> Parameter:
    """Any parameter whose default is in its domain."""
    kind = draw(st.sampled_from(["int", "log", "float", "stepped", "choice", "switch"]))
    low = draw(st.integers(1, 20))
    high = low + draw(st.integers(0, 30))
    step = draw(st.integers(1, 5))
    if kind == "switch":
        return switch(name, when)
    if kind == "choice":
        words = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
        return choice(*words, name=name, when=when)
    if kind == "float":
        return real(name, when, low=low / 2, high=high / 2, default=high / 2)
    if kind == "stepped":
        return real(name, when, low=low / 2, high=high / 2, step=step / 4, default=low / 2)
    log = kind == "log"
    default = draw(st.integers(low, high)) if log else low
    keys = {"log": True} if log else {"step": step}
    return integer(name, when, low=low, high=high, default=default, **keys)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Any small space, with conditions on conditions and rules that the defaults satisfy."""
    count = draw(st.integers(1, 4))
    conditions = [None, "p0 != 'a'", "not p0", "p1 == p0", "cores > 2"]
    drawn = [
        draw(parameters(f"p{n}", draw(st.sampled_from(conditions)) if n > 1 else None))
        for n in range(count)
    ]
    rules = draw(st.lists(st.sampled_from(["p0 == p1", "p1 != 'a'", "cores > 1", "not p2"])))
    found = space(*drawn, rules=tuple(rules), constants={"cores": draw(st.integers(1, 4))})
    assume(found.combinations < 2000 and not found.violations(found.defaults))
    return found

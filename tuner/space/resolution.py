"""What a person wrote becomes a SearchSpace on a machine: expressions get their values."""

import logging
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuner.errors import SpaceError, at, did_you_mean, shown
from tuner.space.expressions import Expression, Value, is_name
from tuner.space.files import LARGEST_NUMBER
from tuner.space.settings import SETTINGS, Setting
from tuner.space.space import (
    COUNT_LIMIT,
    CategoricalParameter,
    Configuration,
    FloatParameter,
    IntParameter,
    Parameter,
    Rule,
    SearchSpace,
    in_order,
)
from tuner.space.spec import ParameterSpec, SetsSpec, SpaceSpec, load_space

logger = logging.getLogger(__name__)

_PLACES = ("config", "environment", "flag", "property", "launcher", "template")
# The form of a name, and an example of one.
_ARGUMENT = (r"-[^\s=]+", "--threads")
_VARIABLE = (r"[A-Za-z_]\w*", "THREADS")
# What explains a parameter.
_WORDS = ("description", "source", "proof")
_BOUNDS = frozenset({"low", "high", "step", "log"})
_KEYS_BY_TYPE: dict[str, frozenset[str]] = {
    "int": _BOUNDS,
    "float": _BOUNDS,
    "categorical": frozenset({"choices"}),
    "boolean": frozenset(),
}


def search_space(file: Path, constants: Mapping[str, int]) -> SearchSpace:
    """The space in `file`, on a machine with these `constants` (`cores`, ...).

    Raises:
        SpaceError: The file cannot be read, or does not hold together.
    """
    return resolve(load_space(file), constants, file=file)


def resolve(
    spec: SpaceSpec, constants: Mapping[str, int], *, file: Path | None = None
) -> SearchSpace:
    """The space that `spec` describes, on a machine with these `constants` (`cores`, ...).

    Raises:
        SpaceError: A bound, default, condition, rule or hint does not hold together; of `file`.
    """
    with at(file):
        return _resolved(spec, constants)


def _resolved(spec: SpaceSpec, constants: Mapping[str, int]) -> SearchSpace:
    known = {**dict.fromkeys(spec.parameters), **dict.fromkeys(constants)}
    rules = [
        Rule(_expression(f"rules[{n}].rule", entry.rule, known), entry.because)
        for n, entry in enumerate(spec.rules)
    ]
    space = SearchSpace(
        server=spec.server,
        parameters=in_order(
            [_parameter(n, entry, constants, known) for n, entry in spec.parameters.items()]
        ),
        rules=tuple(rules),
        constants=dict(constants),
    )
    _check_expressions(space)
    hints = []
    for n, entry in enumerate(spec.hints):
        hint = _hint(f"hints[{n}]", entry, space, spec.parameters)
        if broken := space.violations(space.activate(hint)):
            text = broken[0].expression.text
            logger.info("hints[%d] is left out on this machine: it breaks `%s`", n, text)
        else:
            hints.append(hint)
    return _possible(replace(space, hints=tuple(dict.fromkeys(hints))))


def _possible(space: SearchSpace) -> SearchSpace:
    """Without the parameters that this machine's facts alone keep out of every configuration."""
    gone = {
        p.name
        for p in space.parameters
        if p.when and p.when.names <= space.constants.keys() and not space.is_active(p, {})
    }
    return space.without(gone)


def _check_expressions(space: SearchSpace) -> None:
    """Conditions and rules can be worked out, and the rules hold for the defaults."""
    values = {**space.constants, **{p.name: p.default for p in space.parameters}}
    for parameter in space.parameters:
        if parameter.when:
            with at(f"parameters.{parameter.name}.when"):
                parameter.when.evaluate(values)
    broken = space.violations(space.defaults)
    for n, rule in enumerate(space.rules):
        with at(f"rules[{n}].rule"):
            rule.expression.evaluate(values)
            if rule in broken:
                named = ", ".join(f"{n}={values[n]}" for n in sorted(rule.expression.names))
                raise SpaceError(
                    f"the defaults break `{rule.expression.text}` ({named.lower()})",
                    hint="the server's own defaults are always the first trial; loosen the rule",
                )


def _parameter(
    name: str, spec: ParameterSpec, constants: Mapping[str, int], known: Collection[str]
) -> Parameter:
    where = f"parameters.{name}"
    own = name.rpartition(".")[2]  # after the name of a part, which may be any
    if not is_name(own) or own in constants or name.startswith(".") or "`" in name:
        raise SpaceError(
            f"parameters: `{name[:40]}` cannot be the name of a parameter",
            hint="a name has letters, digits and `_`, and no other meaning in an expression; "
            "this machine's facts are " + ", ".join(f"`{fact}`" for fact in constants),
        )
    given = spec.model_fields_set & (_BOUNDS | {"choices"})
    if misplaced := given - _KEYS_BY_TYPE[spec.type]:
        raise SpaceError(f"{where}.{min(misplaced)}: has no meaning for the type {spec.type}")
    common: dict[str, Any] = {
        "name": name,
        "sets": _setting(f"{where}.sets", spec.sets),
        "reload": spec.reload,
        "when": None if spec.when is None else _expression(f"{where}.when", spec.when, known),
        **{word: " ".join(getattr(spec, word).split()) for word in _WORDS},
    }
    parameter: Parameter
    if spec.type in {"int", "float"}:
        parameter = _numeric(where, spec, constants, common)
    else:
        choices = (False, True) if spec.type == "boolean" else _choices(where, spec)
        parameter = CategoricalParameter(**common, default=spec.default, choices=choices)
    if not parameter.accepts(parameter.default):
        raise SpaceError(
            f"{where}.default: must be in the domain ({parameter.domain}), "
            f"but got {shown(parameter.default)}",
            hint=_machine(spec, constants),
        )
    return parameter


def _setting(where: str, sets: SetsSpec) -> Setting:
    given = [name for name in _PLACES if getattr(sets, name)]
    if len(given) != 1:
        raise SpaceError(
            f"{where}: exactly one of {', '.join(f'`{name}`' for name in _PLACES)} is needed, "
            f"but got {' and '.join(f'`{name}`' for name in given) or 'none'}"
        )
    if sets.omit is not None and sets.template:
        raise SpaceError(f"{where}.omit: does not go with `{given[0]}`")
    return _placed(f"{where}.{given[0]}", given[0], sets)


def _placed(where: str, place: str, sets: SetsSpec) -> Setting:
    kind: Callable[..., Setting] = SETTINGS[place]
    given = getattr(sets, place)
    form = _ARGUMENT if place in {"flag", "launcher"} else _VARIABLE
    if place == "environment":
        given = tuple(_matching(where, name, *form) for name in given)
    elif place != "config":
        given = _matching(where, given, *form)
    return kind(given, sets.omit)


def _matching(where: str, text: str | None, pattern: str, example: str) -> str:
    if text is None or not re.fullmatch(pattern, text, re.ASCII):
        raise SpaceError(
            f"{where}: a name such as `{example}` was expected, but got {shown(text)}"
        )
    return text


def _choices(where: str, spec: ParameterSpec) -> tuple[Value, ...]:
    if not spec.choices:
        raise SpaceError(f"{where}.choices: a list of at least one value is needed")
    seen: set[Value] = set()
    for choice in spec.choices:  # 0 and false are equal too
        if choice in seen:
            raise SpaceError(f"{where}.choices: {shown(choice)} equals one before it")
        seen.add(choice)
    return tuple(spec.choices)


def _numeric(
    where: str, spec: ParameterSpec, constants: Mapping[str, int], common: Mapping[str, Any]
) -> IntParameter | FloatParameter:
    ends = {"low": spec.low, "high": spec.high}
    if missing := [f"`{name}`" for name, end in ends.items() if end is None]:
        raise SpaceError(
            f"{where}: {' and '.join(missing)} must be there for the type {spec.type}"
        )
    given = {**ends, "step": spec.step, "default": spec.default}
    work_out = _whole if spec.type == "int" else _number
    number: dict[str, Any] = {
        name: work_out(f"{where}.{name}", value, constants)
        for name, value in given.items()
        if value is not None
    }
    with at(where):
        _check_bounds(spec, number, constants)
    kind = IntParameter if spec.type == "int" else FloatParameter
    return kind(**common, **number, log=spec.log)


def _check_bounds(
    spec: ParameterSpec, number: Mapping[str, float], constants: Mapping[str, int]
) -> None:
    low, high, step = number["low"], number["high"], number.get("step")
    if low > high:
        raise SpaceError(
            f"`low <= high` must hold, but got (low={low}, high={high})",
            hint=_machine(spec, constants),
        )
    if step is not None and step <= 0:
        raise SpaceError(f"`step > 0` must hold, but got {step}", hint=_machine(spec, constants))
    if spec.log and step is not None:
        raise SpaceError("`log` and `step` exclude each other", hint="remove one of the two")
    if spec.log and low <= 0:
        raise SpaceError(f"`low > 0` must hold with `log`, but got {low}")
    if not spec.log and (spec.type == "int" or step) and (high - low) / (step or 1) > COUNT_LIMIT:
        raise SpaceError(
            f"at most {COUNT_LIMIT:,} values can be searched, but {low} to {high} has more",
            hint="use a larger `step`, or `log: true`",
        )


def _machine(spec: ParameterSpec, constants: Mapping[str, int]) -> str:
    """The facts behind a number that the file gives as an expression."""
    numeric = spec.type in ("int", "float")
    if not numeric or not (spec.follows_machine or isinstance(spec.default, str)):
        return ""
    return "on this machine " + ", ".join(f"{name}={value}" for name, value in constants.items())


def _whole(where: str, value: Value, constants: Mapping[str, int]) -> int:
    number = _number(where, value, constants)
    if not isinstance(value, str) and number != math.floor(number):
        raise SpaceError(f"{where}: a whole number was expected, but got {number}")
    return math.floor(number)  # the floor keeps `cores / 2` usable


def _number(where: str, value: Value, constants: Mapping[str, int]) -> float:
    text = shown(value)
    if isinstance(value, str):
        with at(where):
            value = _expression("", value, constants).evaluate(constants)
    if isinstance(value, bool | str):
        raise SpaceError(f"{where}: a number was expected, but got {text}")
    if not abs(value) <= LARGEST_NUMBER:  # neither is nan
        raise SpaceError(f"{where}: a number within -1e15 and 1e15 was expected, but got {text}")
    return float(value)


def _expression(where: str, text: str, known: Collection[str]) -> Expression:
    with at(where):
        expression = Expression.parse(text.strip())
        if unknown := expression.names - set(known):
            raise SpaceError(
                f"`{min(unknown)}` is not known here"
                + (f", in `{text}`" if text != min(unknown) else ""),
                hint=did_you_mean(min(unknown), known),
            )
        return expression


def _hint(
    where: str,
    hint: Mapping[str, Value],
    space: SearchSpace,
    specs: Mapping[str, ParameterSpec],
) -> Configuration:
    """A hint's own values; the rest are defaults, which the model may still change."""
    values: dict[str, Value] = {}
    for name, value in hint.items():
        place = f"{where}.{name}"
        if name not in specs:
            raise SpaceError(f"{place}: no such parameter", hint=did_you_mean(name, specs))
        # What fits one machine need not fit another: there the nearest value is the hint.
        nearest = isinstance(value, str) or specs[name].follows_machine
        parameter = space[name]
        values[name] = _hinted(place, value, parameter, space.constants, nearest=nearest)
        if not parameter.accepts(values[name]):
            raise SpaceError(
                f"{place}: must be in the domain ({parameter.domain}), but got {shown(value)}"
            )
    return Configuration.of(values)


def _hinted(
    where: str, value: Value, parameter: Parameter, constants: Mapping[str, int], *, nearest: bool
) -> Value:
    if isinstance(parameter, CategoricalParameter):
        return value
    work_out = _whole if isinstance(parameter, IntParameter) else _number
    number = work_out(where, value, constants)
    return parameter.nearest(number) if nearest else number

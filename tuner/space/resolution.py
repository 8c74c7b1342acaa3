"""What a person wrote becomes a SearchSpace on a machine: expressions get their values."""

import logging
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuner.errors import SpaceError, at, did_you_mean, shown
from tuner.space.expressions import Expression, Value, is_name
from tuner.space.extending import Inherited, LeftOut
from tuner.space.files import LARGEST_NUMBER
from tuner.space.places import check_flag, setting
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
from tuner.space.spec import ParameterSpec, SpaceSpec, load_space

logger = logging.getLogger(__name__)

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
    return resolved(spec, constants, file=file).space


@dataclass(frozen=True)
class Resolved:
    """A space on a machine, and what of its file is not in it."""

    space: SearchSpace
    left_out: tuple[LeftOut, ...]


def resolved(
    spec: SpaceSpec, constants: Mapping[str, int], *, file: Path | None = None
) -> Resolved:
    """The same as `resolve`, with what does not fit in it or on this machine."""
    with at(file):
        return _resolved(spec, constants)


def _resolved(spec: SpaceSpec, constants: Mapping[str, int]) -> Resolved:
    known = {**dict.fromkeys(spec.parameters), **dict.fromkeys(constants)}
    inherited = spec.inherited
    space = SearchSpace(
        server=spec.server,
        parameters=in_order(
            [
                _parameter(name, entry, constants, known, inherited)
                for name, entry in spec.parameters.items()
            ]
        ),
        constants=dict(constants),
    )
    left_out = list(inherited.left_out)
    space = _with_conditions(space, inherited, left_out)
    space = replace(space, rules=tuple(_rules(spec, space, left_out)))
    hints = dict.fromkeys(_hints(spec, space, left_out))
    return Resolved(_possible(replace(space, hints=tuple(hints))), tuple(left_out))


def _with_conditions(
    space: SearchSpace, inherited: Inherited, left_out: list[LeftOut]
) -> SearchSpace:
    """Without the parameters whose inherited conditions cannot be worked out any more."""
    values = _default_values(space)
    for parameter in space.parameters:
        if parameter.when is None:
            continue
        try:
            with at(f"parameters.{parameter.name}.when"):
                parameter.when.evaluate(values)
        except SpaceError as error:
            if parameter.name not in inherited.conditions:
                raise
            why = f"its condition cannot be worked out: {error.message.partition(': ')[2]}"
            rest = space.without({parameter.name})
            gone = {p.name for p in space.parameters} - {p.name for p in rest.parameters}
            left_out += [LeftOut("parameter", each, why, inherited.base) for each in sorted(gone)]
            space = rest
    return space


def _rules(spec: SpaceSpec, space: SearchSpace, left_out: list[LeftOut]) -> Iterator[Rule]:
    """Those that can be worked out and hold for the defaults; inherited ones need not."""
    inherited = spec.inherited
    known = [p.name for p in space.parameters] + list(space.constants)
    own = len(spec.rules) - inherited.rules
    for n, entry in enumerate(spec.rules):
        try:
            with at(f"rules[{n}].rule" if n < own else ""):
                rule = Rule(_expression("", entry.rule, known), entry.because)
                _check_rule(rule, space)
        except SpaceError as error:
            if n < own:
                raise
            left_out.append(LeftOut("rule", entry.rule, error.message, inherited.base))
        else:
            yield rule


def _hints(
    spec: SpaceSpec, space: SearchSpace, left_out: list[LeftOut]
) -> Iterator[Configuration]:
    """Those that satisfy the rules and have values of the domains; inherited ones need not."""
    inherited = spec.inherited
    own = len(spec.hints) - inherited.hints
    for n, entry in enumerate(spec.hints):
        base = "" if n < own else inherited.base
        try:
            hint = _hint(f"hints[{n}]." if n < own else "", entry, space, spec.parameters)
        except SpaceError as error:
            if n < own:
                raise
            left_out.append(LeftOut("hint", entry, error.message, base))
            continue
        if broken := space.violations(space.activate(hint)):
            text = broken[0].expression.text
            logger.info("hints[%d] is left out on this machine: it breaks `%s`", n, text)
            why = f"on this machine it breaks `{text}`"
            left_out.append(LeftOut("hint", entry, why, base))
        else:
            yield hint


def _possible(space: SearchSpace) -> SearchSpace:
    """Without the parameters that this machine's facts alone keep out of every configuration."""
    gone = {
        p.name
        for p in space.parameters
        if p.when and p.when.names <= space.constants.keys() and not space.is_active(p, {})
    }
    return space.without(gone)


def _default_values(space: SearchSpace) -> dict[str, Value]:
    return {**space.constants, **{p.name: p.default for p in space.parameters}}


def _check_rule(rule: Rule, space: SearchSpace) -> None:
    """It can be worked out, and holds for the defaults."""
    values = _default_values(space)
    rule.expression.evaluate(values)
    if replace(space, rules=(rule,)).violations(space.defaults):
        named = ", ".join(f"{n}={values[n]}" for n in sorted(rule.expression.names))
        raise SpaceError(
            f"the defaults break `{rule.expression.text}` ({named.lower()})",
            hint="the server's own defaults are always the first trial; loosen the rule",
        )


def _parameter(
    name: str,
    spec: ParameterSpec,
    constants: Mapping[str, int],
    known: Collection[str],
    inherited: Inherited,
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
        "sets": setting(f"{where}.sets", spec.sets),
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
    with at(f"{where}.sets"):
        check_flag(parameter, spec.type)
    if not parameter.accepts(parameter.default):
        raise SpaceError(
            f"{where}.default: must be in the domain ({parameter.domain}), "
            f"but got {shown(parameter.default)}",
            hint=f"it is inherited from `{inherited.base}`: give a `default` of this domain, too"
            if name in inherited.defaults
            else _machine(spec, constants),
        )
    return parameter


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
    there = [p.name for p in space.parameters]
    for name, value in hint.items():
        place = f"{where}{name}"
        if name not in there:
            raise SpaceError(f"{place}: no such parameter", hint=did_you_mean(name, there))
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

"""What a person may write in a search space file, and how it becomes a SearchSpace.

search_spaces/README.md describes the format for users.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuner.errors import SpaceError
from tuner.expressions import Expression, Value
from tuner.space import (
    CategoricalParameter,
    ConfigPath,
    Configuration,
    EnvironmentVariables,
    FloatParameter,
    IntParameter,
    Parameter,
    Rule,
    SearchSpace,
    ServerFlag,
    Setting,
    in_order,
)

Number = int | float | str
"""A number, or an expression over the machine's facts (`2 * cores`)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SetsSpec(_Strict):
    """Where a value goes: exactly one of the three; `omit` is the value that is left out."""

    config: str | None = None
    environment: str | list[str] | None = None
    flag: str | None = None
    omit: Value | None = None

    def setting(self, owner: str) -> Setting:
        given = [name for name in ("config", "environment", "flag") if getattr(self, name)]
        if len(given) != 1:
            raise SpaceError(
                f"{owner}.sets: exactly one of `config`, `environment` and `flag` is needed, "
                f"but got {', '.join(f'`{name}`' for name in given) or 'none'}"
            )
        if self.config:
            return ConfigPath(self.config, self.omit)
        if self.flag:
            return ServerFlag(self.flag)
        names = self.environment or ()
        return EnvironmentVariables((names,) if isinstance(names, str) else tuple(names))


class ParameterSpec(_Strict):
    """One entry under `parameters`."""

    type: Literal["int", "float", "categorical", "boolean"]
    default: Value
    sets: SetsSpec
    low: Number | None = None
    high: Number | None = None
    step: Number | None = None
    log: bool = False
    choices: list[Value] | None = None
    when: str | bool | None = None
    reload: bool = False
    description: str = ""
    source: str = ""


class RuleSpec(_Strict):
    """One entry under `rules`."""

    rule: str
    because: str = ""


class SpaceSpec(_Strict):
    """A whole file, after `extends` has been followed."""

    server: str
    description: str = ""
    parameters: Annotated[dict[str, ParameterSpec], Field(min_length=1)]
    rules: list[RuleSpec] = []
    hints: list[dict[str, Value]] = []

    def resolve(self, constants: Mapping[str, int]) -> SearchSpace:
        """The space on a machine with these `constants` (`cores`, ...).

        Raises:
            SpaceError: A bound, default, condition, rule or hint does not hold together.
        """
        parameters = in_order(
            [_parameter(name, spec, constants) for name, spec in self.parameters.items()]
        )
        known = {p.name for p in parameters} | set(constants)
        space = SearchSpace(
            server=self.server,
            parameters=parameters,
            rules=tuple(
                Rule(_expression(f"rules[{n}]", r.rule, known), r.because)
                for n, r in enumerate(self.rules)
            ),
            constants=dict(constants),
        )
        for parameter in parameters:
            if parameter.when:
                _expression(f"parameters.{parameter.name}.when", parameter.when.text, known)
        if broken := space.violations(space.defaults):
            raise SpaceError(
                f"rules: the defaults break `{broken[0].expression.text}`",
                hint="the server's own defaults are always the first trial; loosen the rule",
            )
        hints = tuple(_hint(n, hint, space) for n, hint in enumerate(self.hints))
        return replace(space, hints=hints)


def folder() -> Path:
    """Where the built-in spaces are: in the installed package, or in a checkout beside it."""
    packaged = Path(__file__).parent / "search_spaces"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "search_spaces"


def built_in() -> dict[str, Path]:
    """The built-in space files by name."""
    return {path.stem: path for path in sorted(folder().glob("*.yaml"))}


def load_space(path: Path) -> SpaceSpec:
    """Read a space file; with `extends: NAME` it changes the built-in space of that name.

    Raises:
        SpaceError: The file cannot be read, or says something that the format does not have.
    """
    try:
        return SpaceSpec.model_validate(_extended(_mapping(path), path))
    except ValidationError as error:
        raise SpaceError(_reworded(path, error)) from None


def _mapping(path: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SpaceError(
            f"{path}: cannot be read: {error.strerror}",
            hint="`tuner spaces list` shows the built-in spaces",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        raise SpaceError(f"{path}:{line} is not YAML") from None
    if not isinstance(content, dict):
        raise SpaceError(f"{path}: a mapping with `server` and `parameters` was expected")
    return content


def _extended(content: dict[str, object], path: Path) -> dict[str, object]:
    """`content` laid over what it extends: parameters by key, rules and hints added."""
    if "extends" not in content:
        return content
    name = content.pop("extends")
    if name not in built_in():
        raise SpaceError(
            f"{path}: extends: no built-in space is called `{name}`",
            hint="built in: " + ", ".join(built_in()),
        )
    base = _mapping(built_in()[str(name)])
    for key, value in content.items():
        inherited = base.get(key)
        if key == "parameters" and isinstance(value, dict) and isinstance(inherited, dict):
            base[key] = _overlaid(inherited, value)
        elif isinstance(inherited, list) and isinstance(value, list):
            base[key] = [*inherited, *value]
        else:
            base[key] = value
    return base


def _overlaid(base: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    """Parameters of both; keys of `changes` win, and a parameter set to null is taken out."""
    merged = dict(base)
    for name, change in changes.items():
        inherited = merged.get(name)
        if change is None:
            merged.pop(name, None)
        elif isinstance(inherited, dict) and isinstance(change, dict):
            merged[name] = {**inherited, **change}
        else:
            merged[name] = change
    return merged


def _reworded(path: Path, error: ValidationError) -> str:
    """The first complaint as `file: where: what was expected, what came`."""
    first = error.errors()[0]
    # pydantic names the member of a union in the path; a reader of the file does not know it.
    place = [str(part) for part in first["loc"] if part not in ("bool", "int", "float", "str")]
    where = ".".join(place)
    if first["type"] == "extra_forbidden":
        return f"{path}: `{where}` is not a key that is known here{_did_you_mean(place)}"
    if first["type"] == "missing":
        return f"{path}: `{where}` is missing"
    return f"{path}: `{where}`: {first['msg'].lower()}, but got {first['input']!r}"


def _did_you_mean(place: list[str]) -> str:
    levels: dict[int, type[BaseModel]] = {1: SpaceSpec, 3: ParameterSpec, 4: SetsSpec}
    if place[0] == "rules":
        levels = {}
    fields = levels.get(len(place), RuleSpec).model_fields
    close = difflib.get_close_matches(place[-1], fields, n=1)
    return f"; did you mean `{close[0]}`?" if close else f" (known: {', '.join(fields)})"


def _parameter(name: str, spec: ParameterSpec, constants: Mapping[str, int]) -> Parameter:
    where = f"parameters.{name}"
    common = {
        "name": name,
        "sets": spec.sets.setting(where),
        "reload": spec.reload,
        "when": Expression.parse(str(spec.when).strip()) if spec.when is not None else None,
        "description": " ".join(spec.description.split()),
        "source": spec.source,
    }
    default: Value = spec.default
    if spec.type != "categorical" and isinstance(default, str):
        default = _number(f"{where}.default", default, constants)
    parameter: Parameter
    if spec.type in ("int", "float"):
        parameter = _numeric(where, spec, constants, {**common, "default": default})
    else:
        choices = (False, True) if spec.type == "boolean" else tuple(spec.choices or ())
        parameter = CategoricalParameter(**common, default=default, choices=choices)  # type: ignore[arg-type]  # the mapping holds the fields above
        if not choices:
            raise SpaceError(f"{where}: `choices` is missing or empty")
    if not parameter.accepts(parameter.default):
        raise SpaceError(
            f"{where}: the default must be in its domain, but got default "
            f"{str(parameter.default).lower()} and domain {parameter.domain}"
        )
    return parameter


def _numeric(
    where: str, spec: ParameterSpec, constants: Mapping[str, int], common: Mapping[str, object]
) -> IntParameter | FloatParameter:
    if spec.low is None or spec.high is None:
        raise SpaceError(f"{where}: `low` and `high` are needed for the type {spec.type}")
    low = _number(f"{where}.low", spec.low, constants)
    high = _number(f"{where}.high", spec.high, constants)
    step = None if spec.step is None else _number(f"{where}.step", spec.step, constants)
    if low > high:
        raise SpaceError(f"{where}: `low <= high` must hold, but got (low={low:g}, high={high:g})")
    if step is not None and step <= 0:
        raise SpaceError(f"{where}: `step > 0` must hold, but got {step:g}")
    if spec.log and (low <= 0 or step is not None):
        raise SpaceError(f"{where}: `log` needs `low > 0` and no `step`, but got low={low:g}")
    if spec.type == "float":
        return FloatParameter(low=low, high=high, step=step, log=spec.log, **common)  # type: ignore[arg-type]  # as above
    return IntParameter(  # the floor keeps `cores / 2` usable
        low=math.floor(low),
        high=math.floor(high),
        step=math.floor(step or 1),
        log=spec.log,
        **common,  # type: ignore[arg-type]  # as above
    )


def _number(where: str, value: Number, constants: Mapping[str, int]) -> int | float:
    if isinstance(value, str):
        try:
            value = Expression.parse(value).evaluate(constants)
        except SpaceError as error:
            raise SpaceError(f"{where}: {error}", hint=error.hint) from None
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise SpaceError(f"{where}: a number was expected, but got {value!r}")
    return value


def _expression(where: str, text: str, known: set[str]) -> Expression:
    try:
        expression = Expression.parse(text)
    except SpaceError as error:
        raise SpaceError(f"{where}: {error}", hint=error.hint) from None
    if unknown := expression.names - known:
        raise SpaceError(
            f"{where}: `{text}` refers to `{min(unknown)}`, which is no parameter",
            hint="known: " + ", ".join(f"`{name}`" for name in sorted(known)),
        )
    return expression


def _hint(number: int, hint: dict[str, Value], space: SearchSpace) -> Configuration:
    """A hint as a full assignment; text values of numeric parameters are expressions."""
    values: dict[str, Value] = {}
    for name, value in hint.items():
        where = f"hints[{number}].{name}"
        try:
            parameter = space[name]
        except KeyError:
            raise SpaceError(f"{where}: no such parameter") from None
        if isinstance(value, str) and not isinstance(parameter, CategoricalParameter):
            value = _number(where, value, space.constants)  # noqa: PLW2901
        if not parameter.accepts(value):
            raise SpaceError(f"{where}: must be in {parameter.domain}, but got {value}")
        values[name] = value
    return space.activate(values)

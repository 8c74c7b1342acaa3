"""What a person may write in a search space file; resolution.py makes a SearchSpace of it.

search_spaces/README.md describes the format for users.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError
from pydantic_core import PydanticCustomError

from tuner.errors import HIDDEN, SpaceError, at, did_you_mean, shown
from tuner.space import files
from tuner.space.expressions import Value
from tuner.space.extending import Content, Inherited
from tuner.space.files import built_in, folder
from tuner.space.serve import RequestSpec, ServeSpec, Strict

__all__ = [
    "ParameterSpec",
    "RuleSpec",
    "SetsSpec",
    "SpaceSpec",
    "built_in",
    "folder",
    "load_space",
    "space_in",
]

_EXPECTED = {  # by pydantic's name for the error
    "string_type": "a text was expected",
    "bool_type": "true or false was expected",
    "list_type": "a list was expected",
    "dict_type": "a mapping (`key: value`) was expected",
    "model_type": "a mapping (`key: value`) was expected",
    "too_short": "at least one parameter was expected",
    "value_type": "a number, a text, true or false was expected",
    "number_type": "a number or an expression was expected",
    "places_type": "`none` or a list of places in an answer (`$.label`, `OUTPUT0`) was expected",
}


def _value(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise PydanticCustomError("value_type", "not a value")
    return value


def _number_or_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PydanticCustomError("number_type", "not a number")
    return value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_text(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _places(value: object) -> object:
    if value == "none":
        return []
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise PydanticCustomError("places_type", "not a list of places")
    return value


# Checked before pydantic tries the members of a union: it would complain about each of them.
AnyValue = Annotated[Value, BeforeValidator(_value)]
Number = Annotated[int | float | str, BeforeValidator(_number_or_text)]
"""A number, or an expression over the machine's facts (`2 * cores`)."""


class SetsSpec(Strict):
    """Where a value goes: exactly one of the six; `omit` is the value that is left out.

    `form` is how a command line has a `flag` that is not `--flag=value`.
    """

    config: str | None = None
    environment: Annotated[list[str], BeforeValidator(_as_list)] | None = None
    flag: str | None = None
    form: Literal["switch", "words", "repeat"] | None = None
    property: str | None = None
    launcher: str | None = None
    template: str | None = None
    omit: AnyValue | None = None


class ParameterSpec(Strict):
    """One entry under `parameters`."""

    type: Literal["int", "float", "categorical", "boolean"]
    default: AnyValue
    sets: SetsSpec
    low: Number | None = None
    high: Number | None = None
    step: Number | None = None
    log: bool = False
    choices: list[AnyValue] | None = None
    when: Annotated[str, BeforeValidator(_as_text)] | None = None
    reload: bool = False
    description: str = ""
    source: str = ""
    proof: str = ""

    @property
    def follows_machine(self) -> bool:
        """Whether the domain is another one on another machine."""
        return any(isinstance(bound, str) for bound in (self.low, self.high, self.step))


class RuleSpec(Strict):
    """One entry under `rules`."""

    rule: str
    because: str = ""


class SpaceSpec(Strict):
    """A whole file, after `extends` has been followed.

    `compare` are the places in an answer that are compared with the baseline's (answer_paths): all
    where it is None, none where it is empty.
    """

    server: str
    description: str = ""
    parameters: Annotated[dict[str, ParameterSpec], Field(min_length=1)]
    rules: list[RuleSpec] = Field(default_factory=list)
    hints: list[dict[str, AnyValue]] = Field(default_factory=list)
    serve: ServeSpec | None = None
    compare: Annotated[list[str] | None, BeforeValidator(_places)] = None
    _inherited: Inherited = PrivateAttr(default_factory=Inherited)

    def model_post_init(self, context: object) -> None:
        """Keep what of it is inherited, which no file can say."""
        if isinstance(context, Inherited):
            self._inherited = context

    @property
    def inherited(self) -> Inherited:
        """What of it is from the space that the file extends."""
        return self._inherited


def load_space(path: Path) -> SpaceSpec:
    """Read a space file; with `extends: NAME` it changes the built-in space of that name.

    Raises:
        SpaceError: The file cannot be read, or says something that the format does not have.
    """
    content, inherited = files.read(path)
    with at(path):
        return _spec(content, inherited)


def space_in(text: str) -> SpaceSpec:
    """The space that the text of a file has; no other file is read but that of a built-in space.

    Raises:
        SpaceError: It says something that the format does not have; with its place.
    """
    return _spec(*files.extended(files.mapping_of(text)))


def _spec(content: Content, inherited: Inherited) -> SpaceSpec:
    try:
        found = SpaceSpec.model_validate(content, context=inherited)
    except ValidationError as error:
        raise _reworded(error) from None
    if found.serve:
        _check(found.serve, found.parameters)
    return found


def _check(serve: ServeSpec, parameters: Collection[str]) -> None:
    if (serve.request is None) == (serve.openai is None):
        got = "both" if serve.request else "neither"
        raise SpaceError(f"serve: one of `request` and `openai` was expected, but got {got}")
    for place, _, texts in serve.all_proofs:
        for name in sorted(set(texts) - set(parameters)):
            raise SpaceError(f"{place}.{name}: there is no such parameter")


def _reworded(error: ValidationError) -> SpaceError:
    """The first complaint as `where: what was expected, what came`."""
    first = error.errors()[0]
    place = first["loc"]
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    where = "".join(parts).removeprefix(".")
    match first["type"]:
        case "extra_forbidden":
            hint = did_you_mean(str(place[-1]), _keys_at(place))
            return SpaceError(f"{where}: there is no such key", hint=hint)
        case "missing":
            return SpaceError(f"{where}: is missing")
        case "literal_error":
            expected = first["ctx"]["expected"].replace("'", "`")
            return SpaceError(f"{where}: {expected} was expected, but got {shown(first['input'])}")
        case kind:
            expected = _EXPECTED.get(kind, first["msg"].lower())
            # What is sent, and what the server is started with, may be a secret.
            secret = place[:2] == ("serve", "environment") or "headers" in place
            got = HIDDEN if secret else shown(first["input"])
            return SpaceError(f"{where}: {expected}, but got {got}")


def _keys_at(place: tuple[int | str, ...]) -> Collection[str]:
    if len(place) == 1:
        return [*SpaceSpec.model_fields, "extends"]
    if place[0] == "rules":
        return RuleSpec.model_fields
    if place[0] == "serve":
        return (RequestSpec if "request" in place else ServeSpec).model_fields
    return (ParameterSpec if len(place) == 3 else SetsSpec).model_fields

"""The form of a new job, made from the options of the command."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from tuner.errors import TunerError

# Asked for before all others, in this order; the rest is in groups that are folded.
FIRST = ("budget_ms", "timeout", "percentile", "until", "trials")
# Chosen from lists of what there is.
CHOSEN = ("model_file", "model_repository", "space")
# Options whose names say too little on a page.
_CALLED = {
    "budget_ms": "latency_budget_ms",
    "budget_ttft_ms": "latency budget of the first token ms",
    "budget_itl_ms": "latency budget between tokens ms",
}
# What a job is not asked for by a page: it would be kept as it was typed.
_NEVER = ("header",)
_OPTION = re.compile(r"`?--([a-z][a-z-]*)")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One option; `kind` is `number`, `flag`, `choice`, `list` or `text`.

    `usual` is said where nothing is typed. A list has one value on each line.
    """

    name: str
    kind: str
    help: str
    group: str
    usual: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    whole: bool = False

    @property
    def label(self) -> str:
        return label(self.name)


@dataclass(frozen=True)
class Said:
    """What was typed, by the names of the fields, and what is wrong with it.

    `errors` are those of single fields; `refusal` is about all of them, or about none here.
    """

    texts: Mapping[str, str]
    errors: Mapping[str, str]
    refusal: TunerError | None = None


def label(name: str) -> str:
    """What the option called `name` is called on pages."""
    words = _CALLED.get(name, name)
    words = words.replace("_", " ").replace(" ms", ", ms")
    return words[0].upper() + words[1:]


def fields(options: type[BaseModel]) -> tuple[Field, ...]:
    """All that a page asks for, in the order of the command's help."""
    schema = options.model_json_schema()
    definitions = schema.get("$defs", {})
    required = schema.get("required", ())
    return tuple(
        _field(name, found, definitions, required=name in required)
        for name, found in schema["properties"].items()
        if name not in _NEVER
    )


def groups(all_fields: Sequence[Field]) -> dict[str, list[Field]]:
    """The rare ones, by the title of their group."""
    found: dict[str, list[Field]] = {}
    for field in all_fields:
        if field.name not in (*FIRST, *CHOSEN):
            found.setdefault(field.group, []).append(field)
    return found


def values(all_fields: Sequence[Field], texts: Mapping[str, str]) -> dict[str, Any]:
    """The options that were said, as JSON values; what was left empty was not."""
    return {
        field.name: _value(field, text)
        for field in all_fields
        if (text := texts.get(field.name, "").strip())
    }


def faults(error: ValidationError) -> dict[str, str]:
    """What is wrong with each field."""
    return {
        str(each["loc"][0]): f"{each['msg']}, but got `{each['input']}`"
        for each in error.errors(include_url=False)
        if each["loc"]
    }


def blamed(error: TunerError, all_fields: Sequence[Field]) -> str:
    """The name of the field that the message of `error` is about; empty if of none."""
    found = _OPTION.search(error.message)
    name = found[1].replace("-", "_") if found else ""
    return name if any(field.name == name for field in all_fields) else ""


def _field(
    name: str, found: Mapping[str, Any], definitions: Mapping[str, Any], *, required: bool
) -> Field:
    kinds = list(_kinds(found, definitions))
    kind, choices = next(((k, c) for k, c in kinds if k != "null"), ("text", ()))
    default = found.get("default")
    return Field(
        name=name,
        kind="number" if kind == "integer" else kind,
        help=found.get("description", ""),
        group=found.get("group", ""),
        usual="" if default in (None, False, "") else str(default),
        choices=choices,
        required=required,
        whole=kind == "integer",
    )


def _kinds(
    found: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for each in found.get("anyOf", [found]):
        if reference := each.get("$ref"):
            yield "choice", tuple(definitions[reference.rpartition("/")[2]]["enum"])
        else:
            yield _KINDS.get(each.get("type", ""), each.get("type", "text")), ()


_KINDS = {"string": "text", "boolean": "flag", "array": "list"}


def _value(field: Field, text: str) -> Any:
    match field.kind:
        case "list":
            return [line.strip() for line in text.splitlines() if line.strip()]
        case "flag":
            return True
        case _:
            return text

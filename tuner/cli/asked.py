"""What `optimize` was asked for, as values: stored with a study, and made a command again."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from typer.models import ArgumentInfo, OptionInfo

from tuner.errors import InputError

# Of one run of the command, not of the study.
_OF_ONE_RUN = (
    "as_json",
    "db",
    "detach",
    "notify",
    "notify_url",
    "output",
    "retry",
    "service",
    "study",
    "until",
    "wait",
    "warm_start",
)
# Of secrets the names are kept, and this is said in their place.
_SECRET = ("header",)
_UNSAID = "..."


def document(options: Any) -> dict[str, Any]:
    """The fields of the dataclass `options` that are not as usual, as JSON values."""
    found = said(options, without=_OF_ONE_RUN)
    for name in found.keys() & _SECRET:
        found[name] = [f"{each.partition(':')[0]}: {_UNSAID}" for each in found[name]]
    return found


def said(options: Any, *, without: Collection[str]) -> dict[str, Any]:
    """All but those fields that are not as usual, secrets among them."""
    return {
        field.name: _value(getattr(options, field.name))
        for field in fields(options)
        if field.name not in without and getattr(options, field.name) != field.default
    }


def options_of(asked: Mapping[str, Any], options: type[Any]) -> Any:
    """The options that `document` made these values of.

    Raises:
        InputError: This version has other options.
    """
    unfit = asked.keys() - {field.name for field in fields(options)}
    try:
        validator = _validator(options)  # type: ignore[arg-type] # classes are hashable
        found = validator.validate_python(dict(asked))
    except ValidationError as error:
        unfit |= {str(each["loc"][0]) for each in error.errors()}
    else:
        if not unfit:
            return found
    raise InputError(
        "the stored options of the study have what this version does not know: "
        + ", ".join(sorted(unfit)),
        hint="use the version that the study was begun with",
    )


@cache
def _validator(options: type[Any]) -> TypeAdapter[Any]:
    """Made once: a service asks for the same one again and again."""
    return TypeAdapter(options)


def words(asked: Mapping[str, Any], options: type[Any]) -> list[str]:
    """The words of the command that say `asked`, in the order of the fields of `options`."""
    hints = get_type_hints(options, include_extras=True)
    found: list[str] = []
    for field in fields(options):
        if field.name in asked:
            found += _words(_name(field.name, hints[field.name]), asked[field.name])
    return found


def _value(value: Any) -> Any:
    match value:
        case Path():
            # A built-in space has a name and no file.
            return str(value.absolute() if value.exists() else value)
        case list() | tuple():
            return [_value(each) for each in value]
        case _:
            return value


def _name(field: str, hint: Any) -> str:
    """`--option`, or nothing for an argument."""
    infos = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    for info in infos:
        if isinstance(info, ArgumentInfo):
            return ""
        if isinstance(info, OptionInfo):
            # Within an annotation, the first name stands where a default would.
            said = (info.default, *(info.param_decls or ()))
            names = [each for each in said if isinstance(each, str) and each.startswith("-")]
            if names:
                return max(names, key=len)
    return f"--{field.replace('_', '-')}"


def _words(name: str, value: Any) -> list[str]:
    match value:
        case True:
            return [name]
        case list():
            return [word for each in value for word in _words(name, each)]
        case float():
            short = f"{value:g}"
            return [name, short if float(short) == value else repr(value)]
        case _ if name:
            return [name, str(value)]
        case _:  # a path, which must not be taken for an option
            return [f"./{value}" if str(value).startswith("-") else str(value)]

"""A command takes its options as one frozen dataclass; typer wants a signature."""

import gc
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import MISSING, Field, fields
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from typer.core import TyperCommand

# What may be said several times, as typer shows its type.
_SEVERAL = re.compile(r"<list\[(.+)\]>")


class GroupedCommand(TyperCommand):
    """A command whose help shows the options under the titles of their groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for parameter in self.get_params(ctx):
            title = getattr(parameter, "rich_help_panel", None) or "Options"
            if parameter.param_type_name == "argument":
                title = "Arguments"
            if record := parameter.get_help_record(ctx):
                name, text = record
                sections.setdefault(title, []).append((_SEVERAL.sub(r"<\1> ...", name), text))
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def taking(
    options: type[Any], where: str, environment: Mapping[str, str] | None = None
) -> Callable[..., None]:
    """A function whose parameters are the fields of `options`, whose docstring is its help.

    It hands them to the function at `where` (`package.module:function`). That module is imported
    only then: it may import at its top what is slow to import, and help is still there at once.
    `environment` is set before, for libraries that read it when they are imported. A class of
    options names its group in the help in `group`.
    """

    def run(**values: Any) -> None:
        module, _, name = where.partition(":")
        for variable, value in (environment or {}).items():
            os.environ.setdefault(variable, value)
        getattr(_loaded(module), name)(options(**values))

    hints = get_type_hints(options, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=_in_group(hints[field.name], _group(options, field)),
        )
        for field in fields(options)
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = options.__doc__
    return run


def _loaded(name: str) -> ModuleType:
    """The module; what it brings along stays, so nothing is looked through for garbage.

    To do so would take a quarter of the processor time of a start.
    """
    if name in sys.modules:
        return sys.modules[name]
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def _group(options: type[Any], field: Field[Any]) -> str | None:
    """What the class that declares the field is called in the help."""
    declaring = next(
        each for each in options.__mro__ if field.name in inspect.get_annotations(each)
    )
    return vars(declaring).get("group")


def _in_group(hint: Any, group: str | None) -> Any:
    """The same annotation; the options of several commands belong to a group in each."""
    if get_origin(hint) is not Annotated:
        return hint
    value, *infos = get_args(hint)
    grouped = [copy(each) for each in infos]
    for each in grouped:
        each.rich_help_panel = group
    return Annotated[value, *grouped]

"""A command takes its options as one frozen dataclass; typer wants a signature.

A start pays for what it uses: only the command that is asked for is made, with its options, and
what it works with is imported when it runs.
"""

import gc
import inspect
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import MISSING, Field, dataclass, field, fields
from importlib import import_module
from importlib.util import resolve_name
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from runners.environment import set_own
from tuner.cli.examples import EXAMPLES
from tuner.cli.options import SERVICE_VARIABLE
from tuner.errors import HIDDEN, TunerError, masked

# What typer raises where words are none that a command takes.
UsageError: Any = typer.BadParameter.__mro__[1]
# What may be said several times, as typer shows its type.
_SEVERAL = re.compile(r"<list\[(.+)\]>")


_HEADER_OPTIONS = ("--header", "-H")
_EXTRA = re.compile(r"(unexpected extra argument\S*) \(.*\)", re.DOTALL)


class GroupedCommand(TyperCommand):
    """A command whose help shows the options under the titles of their groups, and examples."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        del ctx
        if self.epilog:
            with formatter.section("Examples"):
                # As they are: a broken line could not be copied.
                for line in self.epilog.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _masked_refusals(args):
            return super().parse_args(ctx, args)

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


@dataclass(frozen=True)
class Command:
    """Where a command is: the class of its options and the function that takes one of them.

    Both are said as `module:name`; `.module` is one of this room. `there` is the function that
    asks a service, where one is named. `environment` is set before the module of the function is
    imported, for libraries that read it then. `extra` names the extra of the distribution that
    brings what the function needs.
    """

    options: str
    function: str
    there: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    extra: str = ""

    def made(self, name: str) -> Any:
        """The command as typer has it: its docstring and its parameters are those of the class."""
        options = _found(self.options)

        def run(**values: Any) -> Any:
            if "db" in values and "service" not in values:
                _say_what_is_asked(values["db"])
            for variable, value in self.environment.items():
                set_own(variable, value)
            function = (self.there if values.get("service") else "") or self.function
            return needed(function, self.extra)(options(**values))

        parameters = _parameters(options)
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        run.__doc__ = options.__doc__
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        examples = "\n".join(EXAMPLES.get(options.__name__, ()))
        alone.command(name, cls=GroupedCommand, epilog=examples)(run)
        return typer.main.get_command(alone)


def needed(function: str, extra: str) -> Any:
    """What is called so, `module:name`; the `extra` of the distribution brings what it imports.

    Raises:
        TunerError: That is not installed.
    """
    try:
        return _found(function)
    except ModuleNotFoundError as error:
        if not extra:
            raise
        raise TunerError(
            f"the command needs the package {error.name}, which is not installed",
            hint=f"pip install 'serving-tuner[{extra}]'",
        ) from None


class _Commands(Mapping[str, Any]):
    """Commands by name, made when they are asked for."""

    def __init__(self, commands: Mapping[str, Command], groups: Mapping[str, Any]) -> None:
        self._commands, self._made = commands, dict(groups)
        self._names = [*commands, *groups]

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._commands[name].made(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def group_of(commands: Mapping[str, Command]) -> type[TyperGroup]:
    """A group with these commands, for `typer.Typer(cls=...)`; its own groups come after them."""

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            groups = attributes.pop("commands")
            super().__init__(**attributes)
            self.commands: Mapping[str, Any] = _Commands(commands, groups)  # type: ignore[assignment]

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            with _masked_refusals(args):
                return super().resolve_command(ctx, args)

    return Group


@contextmanager
def _masked_refusals(words: Sequence[str]) -> Iterator[None]:
    """What typer says of words that it cannot use does not show the secrets in them.

    What follows a header without quotation marks is most likely the rest of it.
    """
    has_headers = any(word.startswith(_HEADER_OPTIONS) for word in words)
    try:
        yield
    except Exception as error:
        if getattr(error, "option_name", None) == "--service":
            error.message = "No such option: --service. This command asks a database (--db)"  # type: ignore[attr-defined]
            error.possibilities = None  # type: ignore[attr-defined]
        elif isinstance(said := getattr(error, "message", None), str):
            shown = _EXTRA.sub(rf"\1 ({HIDDEN})", said) if has_headers else said
            error.message = masked(shown)  # type: ignore[attr-defined]
        raise


def _say_what_is_asked(database: str) -> None:
    """Whoever has named a service for all commands is told which are none of it."""
    if os.environ.get(SERVICE_VARIABLE):
        text = f"{SERVICE_VARIABLE} means nothing to this command: its database is `{database}`"
        _found(".console:note")(text)


def _found(where: str) -> Any:
    """What is called so.

    What its module brings along stays, so nothing is looked through for garbage: that would take a
    quarter of the processor time of a start.
    """
    said, _, name = where.partition(":")
    module = resolve_name(said, __package__)
    if module not in sys.modules:
        gc.disable()
        try:
            import_module(module)
        finally:
            gc.freeze()
            gc.enable()
    return getattr(sys.modules[module], name)


def _parameters(options: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(options, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
            annotation=_in_group(hints[each.name], group_title(options, each)),
        )
        for each in fields(options)
    ]


def group_title(options: type[Any], option: Field[Any]) -> str | None:
    """What the class that declares the field is called in the help."""
    declaring = next(
        each for each in options.__mro__ if option.name in inspect.get_annotations(each)
    )
    return vars(declaring).get("title")


def _in_group(hint: Any, group: str | None) -> Any:
    """The same annotation; the options of several commands belong to a group in each."""
    if get_origin(hint) is not Annotated:
        return hint
    value, *infos = get_args(hint)
    grouped = [copy(each) for each in infos]
    for each in grouped:
        each.rich_help_panel = group
    return Annotated[value, *grouped]

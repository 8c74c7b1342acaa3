"""Where the value of a parameter goes: one kind for each way that a server is told something.

`kind` is the word that space files have for it, `names` are what the server knows the value by.
Where the value is `omit`, the server is told nothing.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, Self, get_args

from tuner.space.expressions import Value, value_text


@dataclass(frozen=True)
class ConfigPath:
    """A field of the server's model configuration, such as `instance_group[0].count`.

    `part` is the model whose configuration it is; None is the one that is tuned.
    """

    kind: ClassVar = "config"
    path: str
    omit: Value | None = None
    part: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.path,)


@dataclass(frozen=True)
class EnvironmentVariables:
    """Environment variables of the server process, which all get the value."""

    kind: ClassVar = "environment"
    names: tuple[str, ...]
    omit: Value | None = None


@dataclass(frozen=True)
class _Named:
    name: str
    omit: Value | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)


class FlagForm(StrEnum):
    """How a command line has a flag that is not `--flag=value`."""

    SWITCH = "switch"  # `--flag`, or nothing
    WORDS = "words"  # `--flag value`, and each word of a text as an argument of its own
    REPEAT = "repeat"  # `--flag=word` for each word of a text


@dataclass(frozen=True)
class ServerFlag(_Named):
    """A command-line flag of the server, such as `--rate-limit`.

    A name such as `--fast/--no-fast` is one flag for true and one for false; either may be
    missing.
    """

    kind: ClassVar = "flag"
    form: FlagForm | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(filter(None, self.pair or (self.name,)))

    @property
    def pair(self) -> tuple[str, str] | None:
        """The flags for true and for false, where these are two."""
        on, slash, off = self.name.partition("/-")
        return (on, f"-{off}") if slash else None

    @property
    def is_switch(self) -> bool:
        """Whether it has no value: it is there or not."""
        return self.form == FlagForm.SWITCH or self.pair is not None

    def arguments(self, value: Value) -> list[str]:
        """What the command line has for `value`.

        Raises:
            ValueError: A quotation in a text of words has no end.
        """
        on, off = self.pair or (self.name, "")
        match self.form:
            case _ if self.is_switch:
                return list(filter(None, [on if value else off]))
            case FlagForm.WORDS:
                # Without a word, there would be a flag without a value.
                words = split(value)
                return [self.name, *words] if words else []
            case FlagForm.REPEAT:
                return [f"{self.name}={word}" for word in split(value)]
            case _:
                return [f"{self.name}={value_text(value)}"]


def split(value: Value) -> list[str]:
    """The words of a value, as a shell has them.

    Raises:
        ValueError: A quotation has no end.
    """
    return shlex.split(value_text(value))


class ServerProperty(_Named):
    """A key of the server's own configuration file, such as `number_of_netty_threads`."""

    kind: ClassVar = "property"


class LauncherArgument(_Named):
    """An argument of the program that launches the server's workers, such as `--node-id`.

    True is the bare argument; false leaves it out.
    """

    kind: ClassVar = "launcher"


class TemplateVariable(_Named):
    """A name in the templates that a person wrote for the server; nothing is left out."""

    kind: ClassVar = "template"


@dataclass(frozen=True)
class ModelVariant:
    """Which form of the model is served; the value is the name of one."""

    kind: ClassVar = "variant"
    names: ClassVar = ("variant",)
    omit: ClassVar[None] = None


Setting = (
    ConfigPath
    | EnvironmentVariables
    | ServerFlag
    | ServerProperty
    | LauncherArgument
    | TemplateVariable
    | ModelVariant
)
SETTINGS: Mapping[str, type[Setting]] = {each.kind: each for each in get_args(Setting)}
"""The kinds by their words."""


@dataclass(frozen=True)
class Settings:
    """What a server is told, by kind: names with their values, in the order they were given.

    What is left out is missing, but for `config`, where it is None. `arguments` are the flags as
    the command line has them. `variant` is empty where there is none to choose. `parts` is the
    `config` of further models, by their names.
    """

    config: Mapping[str, Value | None]
    environment: tuple[tuple[str, str], ...]
    flags: tuple[tuple[str, Value], ...]
    arguments: tuple[str, ...]
    properties: Mapping[str, Value]
    launcher: tuple[tuple[str, Value], ...]
    templates: Mapping[str, Value]
    variant: str
    parts: Mapping[str, Mapping[str, Value | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Iterable[tuple[Setting, Value]]) -> Self:
        """Sort values by the kind of where they go."""
        given = list(told)

        def said(kind: str) -> tuple[tuple[str, Value], ...]:
            return tuple(
                (name, value)
                for sets, value in given
                if sets.kind == kind and value != sets.omit
                for name in sets.names
            )

        parts = _config_by_part(given)
        return cls(
            config=parts.pop(None, {}),
            environment=tuple((name, value_text(value)) for name, value in said("environment")),
            flags=said("flag"),
            arguments=tuple(
                word
                for sets, value in given
                if isinstance(sets, ServerFlag) and value != sets.omit
                for word in sets.arguments(value)
            ),
            properties=dict(said("property")),
            launcher=said("launcher"),
            templates=dict(said("template")),
            variant="".join(str(value) for _, value in said("variant")),
            parts={part: config for part, config in parts.items() if part},
        )

    def of_part(self, part: str) -> Self:
        """What the server is told of the model `part`."""
        return replace(self, config=self.parts.get(part, {}), variant="", parts={})


def _config_by_part(
    given: Iterable[tuple[Setting, Value]],
) -> dict[str | None, dict[str, Value | None]]:
    """The fields of model configurations: None is what is left out, unless something sets it."""
    found: dict[str | None, dict[str, Value | None]] = {}
    for sets, value in given:
        if isinstance(sets, ConfigPath):
            fields = found.setdefault(sets.part, {})
            fields[sets.path] = fields.get(sets.path) if value == sets.omit else value
    return found

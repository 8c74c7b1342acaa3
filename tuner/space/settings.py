"""Where the value of a parameter goes: one kind for each way that a server is told something."""

from dataclasses import dataclass

from tuner.space.expressions import Value


@dataclass(frozen=True)
class ConfigPath:
    """A field of the server's model configuration, such as `instance_group[0].count`.

    The field is left out where the value is `omit`.
    """

    path: str
    omit: Value | None = None


@dataclass(frozen=True)
class EnvironmentVariables:
    """Environment variables of the server process; all get the value, none where it is `omit`."""

    names: tuple[str, ...]
    omit: Value | None = None


@dataclass(frozen=True)
class ServerFlag:
    """A command-line flag of the server, such as `--rate-limit`; left out at `omit`."""

    name: str
    omit: Value | None = None


@dataclass(frozen=True)
class ServerProperty:
    """A key of the server's own configuration file, such as `number_of_netty_threads`."""

    name: str
    omit: Value | None = None


@dataclass(frozen=True)
class LauncherArgument:
    """An argument of the program that launches the server's workers, such as `--node-id`.

    True is the bare argument; it is left out where the value is false or `omit`.
    """

    name: str
    omit: Value | None = None


@dataclass(frozen=True)
class TemplateVariable:
    """A name in the templates that a person wrote for the server."""

    name: str


@dataclass(frozen=True)
class ModelVariant:
    """Which form of the model is served; the value is the name of one."""


Setting = (
    ConfigPath
    | EnvironmentVariables
    | ServerFlag
    | ServerProperty
    | LauncherArgument
    | TemplateVariable
    | ModelVariant
)

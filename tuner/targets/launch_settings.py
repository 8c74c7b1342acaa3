"""What settings say of a server's start: its environment and its flags."""

from collections.abc import Callable

from tuner.space.expressions import value_text
from tuner.space.settings import Settings
from tuner.targets.system_libraries import PRELOAD


def environment(
    settings: Settings, *, library: Callable[[str], str] = lambda name: name
) -> dict[str, str]:
    """The environment variables; several parameters may each preload a `library`."""
    found = dict(settings.environment)
    if PRELOAD in found:
        preloaded = (library(text) for name, text in settings.environment if name == PRELOAD)
        found[PRELOAD] = ":".join(filter(None, preloaded))
    return found


def flags(settings: Settings) -> list[str]:
    """The flags of the command line, with their values."""
    return [f"{name}={value_text(value)}" for name, value in settings.flags]

"""What settings say of the environment that a server is started with."""

from collections.abc import Callable

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

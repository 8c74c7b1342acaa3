"""What a configuration says of a server's start: its environment and its flags."""

from collections.abc import Callable

from tuner.space.settings import EnvironmentVariables, ServerFlag
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.process_proofs import value_text
from tuner.targets.system_libraries import PRELOAD


def environment(
    space: SearchSpace,
    configuration: Configuration,
    *,
    library: Callable[[str], str] = lambda name: name,
) -> dict[str, str]:
    """The environment variables; several parameters may each preload a `library`."""
    found: dict[str, str] = {}
    for name, value in configuration.items():
        match space[name].sets:
            case EnvironmentVariables(names, omit) if value != omit:
                text = value_text(value)
                if PRELOAD in names:
                    text = ":".join(filter(None, [found.get(PRELOAD), library(text)]))
                found |= dict.fromkeys(names, text)
            case _:
                pass
    return found


def flags(space: SearchSpace, configuration: Configuration) -> list[str]:
    """The flags of the command line, with their values."""
    found = []
    for name, value in configuration.items():
        match space[name].sets:
            case ServerFlag(flag, omit) if value != omit:
                found.append(f"{flag}={value_text(value)}")
            case _:
                pass
    return found

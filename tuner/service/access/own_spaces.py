"""Search spaces of people: what of them would run a program, or change what is run.

A space that only chooses among what the built-in spaces of its server choose among is data.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tuner.space.expressions import Value
from tuner.space.files import built_in
from tuner.space.spec import ParameterSpec, SpaceSpec, load_space

# A server is told these as they are: a new name may be a new way to run something.
_NAMED = ("environment", "flag", "property", "launcher")


def program_in(path: Path) -> str:
    """Which program a space file would run, or how it would change one; empty if it does not.

    Raises:
        SpaceError: It is no space file.
    """
    found = load_space(path)
    if found.server == "command" or found.serve is not None:
        return "it has a command (`serve`)"
    known = _known(found.server)
    for name, setting, values in _told(found):
        if setting not in known and setting[0] in _NAMED:
            return f"`{name}` sets {setting[0]} `{setting[1]}`, which no built-in space sets"
        for value in values:
            if isinstance(value, str) and value not in known.get(setting, ()):
                return f"`{name}` may be `{value[:40]}`, which is not so in any built-in space"
    return ""


_Told = tuple[str, tuple[str, str], tuple[Value, ...]]
"""The name of a parameter, what it sets (kind and name), and its values."""


def _told(space: SpaceSpec) -> Iterator[_Told]:
    for name, parameter in space.parameters.items():
        values = tuple(hint[name] for hint in space.hints if name in hint)
        for setting in _settings(parameter):
            yield name, setting, (*_values(parameter), *values)


def _settings(parameter: ParameterSpec) -> Iterator[tuple[str, str]]:
    sets = parameter.sets
    for kind in ("config", "flag", "property", "launcher", "template"):
        if (name := getattr(sets, kind)) is not None:
            yield kind, name
    for name in sets.environment or ():
        yield "environment", name


def _values(parameter: ParameterSpec) -> Iterator[Value]:
    yield parameter.default
    yield from parameter.choices or ()


@cache
def _known(server: str) -> dict[tuple[str, str], frozenset[Value]]:
    """What the built-in spaces of a server set, and to which texts."""
    found: dict[tuple[str, str], frozenset[Value]] = {}
    for path in built_in().values():
        space = load_space(path)
        if space.server == server:
            for _, setting, values in _told(space):
                texts = (value for value in values if isinstance(value, str))
                found[setting] = found.get(setting, frozenset()).union(texts)
    return found

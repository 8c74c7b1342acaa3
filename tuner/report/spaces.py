"""Search spaces on this machine, as plain data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner import hardware
from tuner.errors import SpaceError
from tuner.space import spec
from tuner.space.resolution import Resolved, resolved
from tuner.space.settings import ServerFlag
from tuner.space.space import Parameter, SearchSpace


def space_named(name_or_file: str) -> Resolved:
    """A built-in space, or that of a file, on this machine.

    Raises:
        SpaceError: It is neither, or cannot be used.
    """
    built_in = spec.built_in()
    path = built_in.get(name_or_file, Path(name_or_file))
    if name_or_file not in built_in and not path.exists():
        raise SpaceError(
            f"`{name_or_file}` is neither a built-in space nor a file",
            hint="built in: " + ", ".join(built_in),
        )
    return resolved(spec.load_space(path), hardware.detect().bounds, file=path)


def size(space: SearchSpace) -> str:
    """The number of valid configurations, in words where it is not finite."""
    return size_text(space_content(space), space.combinations)


def size_text(content: Mapping[str, Any], combinations: int) -> str:
    """The same of its content; `combinations` are those without conditions and rules."""
    if content["size"] is not None:
        return f"{content['size']:,}"
    if any(each["choices"] is None for each in content["parameters"]):
        return "uncountably many"
    return f"up to {combinations:,}"


def space_content(space: SearchSpace, *, counted: bool = True) -> dict[str, Any]:
    """The space as JSON content; without its size where it is not `counted`: that takes time."""
    return {
        "server": space.server,
        "size": space.size if counted else None,
        "parameters": [_parameter(p) for p in space.parameters],
        "rules": [{"rule": r.expression.text, "because": r.because} for r in space.rules],
        "hints": [dict(hint) for hint in space.hints],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "domain": parameter.domain,
        "choices": parameter.choices,
        "default": parameter.default,
        "when": parameter.when.text if parameter.when else None,
        "reload": parameter.reload,
        "sets": {parameter.sets.kind: ", ".join(parameter.sets.names)} | _form(parameter),
        "description": parameter.description,
        "source": parameter.source,
        "proof": parameter.proof,
    }


def _form(parameter: Parameter) -> dict[str, str]:
    sets = parameter.sets
    return {"form": sets.form} if isinstance(sets, ServerFlag) and sets.form else {}

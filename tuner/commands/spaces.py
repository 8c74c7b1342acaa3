"""`tuner spaces`: what may vary, built in or in a file of one's own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tuner.commands.console import print_blocks, print_json, print_text
from tuner.commands.options import AsJson
from tuner.errors import SpaceError
from tuner.space import ConfigPath, EnvironmentVariables, Parameter, SearchSpace

app = typer.Typer(no_args_is_help=True, help="Search spaces: what may vary on a server.")

NameOrFile = Annotated[str, typer.Argument(help="Name of a built-in space, or a file.")]


@app.command("list")
def list_spaces(*, as_json: AsJson = False) -> None:
    """List the built-in spaces."""
    from tuner import spec
    from tuner.report import tables

    rows = [
        {"name": name, "file": str(path), "description": spec.load_space(path).description}
        for name, path in spec.built_in().items()
    ]
    if as_json:
        print_json(rows)
    else:
        print_blocks([tables.rows_table(rows)])


@app.command()
def show(space: NameOrFile, *, as_json: AsJson = False) -> None:
    """Show a space with its bounds on this machine."""
    from tuner.report import tables

    resolved = resolve(space)
    if as_json:
        print_json(document(resolved))
    else:
        print_blocks(tables.space_tables(resolved))


@app.command()
def check(file: NameOrFile, *, as_json: AsJson = False) -> None:
    """Check a space file; exit status 2 if it cannot be used."""
    resolved = resolve(file)
    if as_json:
        print_json(document(resolved))
    else:
        print_text(
            f"{file}: {len(resolved.parameters)} parameters, {len(resolved.rules)} rules, "
            f"{size(resolved)} valid configurations on this machine"
        )


def resolve(name_or_file: str) -> SearchSpace:
    """The space on this machine."""
    from tuner import hardware, spec

    built_in = spec.built_in()
    path = built_in.get(name_or_file, Path(name_or_file))
    if name_or_file not in built_in and not path.exists():
        raise SpaceError(
            f"`{name_or_file}` is neither a built-in space nor a file",
            hint="built in: " + ", ".join(built_in),
        )
    return spec.load_space(path).resolve(hardware.detect().bounds)


def size(space: SearchSpace) -> str:
    """The number of valid configurations, in words where it is not finite."""
    if space.size is not None:
        return f"{space.size:,}"
    if any(p.choices is None for p in space.parameters):
        return "uncountably many"
    return f"up to {space.combinations:,}"


def document(space: SearchSpace) -> dict[str, Any]:
    """The space as JSON content."""
    return {
        "server": space.server,
        "size": space.size,
        "parameters": [_parameter(p) for p in space.parameters],
        "rules": [{"rule": r.expression.text, "because": r.because} for r in space.rules],
        "hints": [dict(hint) for hint in space.hints],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    match parameter.sets:
        case ConfigPath(path):
            sets = {"config": path}
        case EnvironmentVariables(names):
            sets = {"environment": ", ".join(names)}
        case flag:
            sets = {"flag": flag.name}
    return {
        "name": parameter.name,
        "domain": parameter.domain,
        "choices": parameter.choices,
        "default": parameter.default,
        "when": parameter.when.text if parameter.when else None,
        "reload": parameter.reload,
        "sets": sets,
        "description": parameter.description,
        "source": parameter.source,
    }

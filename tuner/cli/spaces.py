"""`tuner spaces`: what may vary, built in or in a file of one's own."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from tuner.cli.console import print_blocks, print_json, print_text
from tuner.cli.small_options import (
    CheckSpaceOptions,
    ListSpacesOptions,
    ShowSpaceOptions,
    SpaceTableOptions,
)
from tuner.errors import SpaceError
from tuner.report import formats, tables
from tuner.report.columns import rows_table
from tuner.report.spaces import size, space_content, space_named
from tuner.space import spec
from tuner.space.spec import ParameterSpec, SetsSpec, SpaceSpec

_TITLES = (
    "parameter",
    "where it is set",
    "default",
    "range",
    "reload or restart",
    "when",
    "how it is proved",
    "source",
)


def list_spaces(options: ListSpacesOptions) -> None:
    """List the built-in spaces."""
    rows = [
        {"name": name, "file": str(path), "description": spec.load_space(path).description}
        for name, path in spec.built_in().items()
    ]
    if options.as_json:
        print_json(rows)
    else:
        print_blocks([rows_table(rows)])


def show(options: ShowSpaceOptions) -> None:
    """Show a space with its bounds on this machine."""
    space = space_named(options.space).space
    if options.as_json:
        print_json(space_content(space))
    else:
        print_blocks(tables.space_tables(space_content(space)))


def check(options: CheckSpaceOptions) -> None:
    """Say what is in a space file, if it can be used."""
    found = space_named(options.file)
    space = found.space
    if options.as_json:
        left_out = [asdict(each) for each in found.left_out]
        print_json(space_content(space) | {"left_out": left_out})
        return
    print_text(
        f"{options.file}: {len(space.parameters)} parameters, {len(space.rules)} rules, "
        f"{size(space)} valid configurations on this machine"
    )
    for each in found.left_out:
        print_text(f"left out: {each}")


def table(options: SpaceTableOptions) -> None:
    """Print the built-in spaces in Markdown."""
    files = spec.built_in()
    for name in options.names or ():
        if name not in files:
            raise SpaceError(
                f"`{name}` is not a built-in space", hint="built in: " + ", ".join(files)
            )
    spaces = [_written(name, spec.load_space(files[name])) for name in options.names or files]
    if options.as_json:
        print_json(spaces)
    else:
        print_text("\n\n".join(map(_section, spaces)))


def _written(name: str, written: SpaceSpec) -> dict[str, Any]:
    """A space as its file has it, on no machine: expressions are texts."""
    return {
        "name": name,
        "description": written.description,
        "parameters": [_row(n, each) for n, each in written.parameters.items()],
    }


def _row(name: str, written: ParameterSpec) -> dict[str, Any]:
    return {
        "name": name,
        "sets": _places(written.sets),
        "default": written.default,
        "range": _range(written),
        "reload": written.reload,
        "when": written.when,
        "proof": written.proof,
        "source": written.source,
    }


def _places(sets: SetsSpec) -> dict[str, Any]:
    given = sets.model_dump(exclude_none=True)
    if sets.environment:
        given["environment"] = ", ".join(sets.environment)
    return given


def _range(written: ParameterSpec) -> str:
    match written.type:
        case "boolean":
            return "false, true"
        case "categorical":
            return ", ".join(map(formats.value, written.choices or ()))
        case kind:
            doubling = ", doubling" if kind == "int" else ", logarithmic"
            step = "" if written.step is None else f", step {written.step}"
            return f"{written.low} to {written.high}{doubling if written.log else step}"


def _section(space: Mapping[str, Any]) -> str:
    """A heading and a table in Markdown."""
    lines = [_TITLES, ["---"] * len(_TITLES), *map(_cells, space["parameters"])]
    rows = ("| " + " | ".join(map(_escaped, cells)) + " |" for cells in lines)
    return "\n".join([f"### {space['name']}", "", space["description"], "", *rows])


def _cells(row: Mapping[str, Any]) -> Iterable[str]:
    places = dict(row["sets"])
    omit = places.pop("omit", None)
    where = ", ".join(f"{place} `{name}`" for place, name in places.items())
    yield row["name"]
    yield where if omit is None else f"{where}, left out at `{formats.value(omit)}`"
    yield f"`{formats.value(row['default'])}`"
    yield f"`{row['range']}`"
    yield "reload" if row["reload"] else "restart"
    yield "always" if row["when"] is None else f"`{row['when']}`"
    yield row["proof"]
    yield row["source"]


def _escaped(text: str) -> str:
    """Fit for a cell: in one line, its bars told from those between the cells."""
    return " ".join(text.split()).replace("|", "\\|")

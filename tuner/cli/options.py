"""Options that several commands share, and where the studies are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from tuner.errors import InputError
from tuner.store.names import names

DATABASE = "studies.db"
SERVICE_VARIABLE = "TUNER_SERVICE"

Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", help="Input of a TorchScript file, in its order: x:FP32:-1,128."),
]
Batch = Annotated[int, typer.Option("-b", "--batch", min=1, help="Inferences in each request.")]
Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", help="Dimensions the model leaves open: NAME:3,224,224."),
]
InputData = Annotated[
    list[str] | None,
    typer.Option("--input-data", help="random, zero, a folder, or JSON files (several times)."),
]
StringLength = Annotated[int, typer.Option(min=0, help="Of random strings.")]
StringData = Annotated[str | None, typer.Option(help="Every string of random data.")]
RequestParameters = Annotated[
    list[str] | None,
    typer.Option("--request-parameter", help="NAME:VALUE:TYPE (bool, int, float, string)."),
]


def _header_lines(said: list[str] | None) -> list[str] | None:
    """The headers, with the lines of files in place of `@FILE`."""
    return [line for each in said for line in _lines(each)] if said else said


def _lines(said: str) -> list[str]:
    if not said.startswith("@"):
        return [said]
    path = Path(said[1:])
    try:
        return [line for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"`--header {said}`: the file cannot be read",
            hint="it has a 'Name: value' in each line",
        ) from None


Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        "-H",
        callback=_header_lines,
        help="'Name: value', several times; @FILE has one in each line.",
    ),
]
SequenceCount = Annotated[
    int, typer.Option(min=1, help="Sequences under way in an open loop (stateful models).")
]
SequenceLength = Annotated[int, typer.Option(min=1, help="Steps of a sequence of random data.")]
SequenceVariation = Annotated[
    float, typer.Option(min=0, max=100, help="By how many percent lengths vary.")
]
SequenceIds = Annotated[
    str, typer.Option(help="Correlation ids: START, or START:END without the end.")
]
Database = Annotated[
    str, typer.Option("--db", help="Database of studies: a path or an SQLAlchemy URL.")
]


def study_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names that begin so, for a shell that completes words."""
    known = names(context.params.get("db") or DATABASE)
    return [name for name in known if name.startswith(incomplete)]


Study = Annotated[
    str | None,
    typer.Argument(
        help="Name of the study; the newest one without it.", autocompletion=study_names
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of what is random.")]
Timeout = Annotated[
    str | None,
    typer.Option(
        help="Time for everything, finals included: 90s, 3m, 2h.",
        show_default="2m, or as long as 10 trials",
    ),
]
Until = Annotated[str | None, typer.Option(help="Clock time to be done by, such as 07:00.")]
Detach = Annotated[
    bool, typer.Option("--detach", help="Run in the background, with its output in a file.")
]
Notify = Annotated[
    str, typer.Option(help="Program, with its arguments, that gets the result as JSON on stdin.")
]
NotifyUrl = Annotated[str, typer.Option(help="Address that gets the result as JSON by POST.")]
Service = Annotated[
    str,
    typer.Option(
        envvar=SERVICE_VARIABLE,
        help="Ask the service at this address, instead of a database: http://127.0.0.1:8900.",
    ),
]
EngineCpus = Annotated[str, typer.Option(help="CPUs for the load engine: 0,2-3.")]


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Of commands that can be asked of a service, too."""

    title: ClassVar = "Service"
    service: Service = ""

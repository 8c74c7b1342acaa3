"""Options that several commands share, and where the studies are."""

from typing import Annotated

import typer

from tuner.store.names import names

DATABASE = "studies.db"

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
Headers = Annotated[
    list[str] | None, typer.Option("--header", "-H", help="'Name: value', several times.")
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
EngineCpus = Annotated[str, typer.Option(help="CPUs for the load engine: 0,2-3.")]

"""The options of `tuner hints` and `tuner hardware`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import DATABASE, AsJson, Database


@dataclass(frozen=True, kw_only=True)
class HintsOptions:
    """Check advice against a study, a model or this host, and say which holds, and why.

    With a study, it says what was found there of the very thing. With the options of a model it
    reads its files; without both, it is about this host alone.
    """

    study: Annotated[
        str | None, typer.Argument(help="Name of the study.", show_default="no study")
    ] = None
    server: Annotated[
        str,
        typer.Option(
            help="triton, torchserve or tensorflow_serving.",
            show_default="triton, where a model is named",
        ),
    ] = ""
    model_repository: Annotated[
        Path | None,
        typer.Option(help="Folder of models; the bundled model of Triton without it."),
    ] = None
    model: Annotated[str | None, typer.Option(help="Model of it, if there are several.")] = None
    input_data: Annotated[
        list[str] | None,
        typer.Option("--input-data", help="JSON file with requests; several times."),
    ] = None
    db: Database = DATABASE
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """Say what this host offers to a server, and which optimizations follow from that."""

    as_json: AsJson = False

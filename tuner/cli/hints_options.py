"""The options of `tuner hints` and `tuner hardware`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from tuner.cli.options import DATABASE, AsJson, Database
from tuner.cli.optimize_options import ModelOptions


@dataclass(frozen=True, kw_only=True)
class HintsOptions(ModelOptions):
    """Check advice against a study, a model or this host, and say which holds, and why.

    With a study, it says what was found there of the very thing. With the options of a model it
    reads its files; without both, it is about this host alone.
    """

    study: Annotated[
        str | None, typer.Argument(help="Name of the study.", show_default="no study")
    ] = None
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

"""The options of `tuner run`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import DATABASE, AsJson, Database, Headers, Study


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Serve with the winning configuration of a study, until Ctrl-C.

    The server is started as in the study: by the same runner, with the same model.
    """

    study: Study = None
    trial: Annotated[
        int | None, typer.Option(min=0, help="Trial whose configuration it gets; the winner's.")
    ] = None
    env: Annotated[
        list[str] | None,
        typer.Option("--env", help="Further variable of the server, NAME=VALUE; several times."),
    ] = None
    port: Annotated[
        list[str] | None,
        typer.Option(help="Number of a port, such as http=8000; several times. Else a free one."),
    ] = None
    profile: Annotated[
        bool, typer.Option("--profile", help="Have the server write a trace of what it does.")
    ] = False
    output: Annotated[Path, typer.Option(help="Folder for traces.")] = Path("profiles")
    header: Headers = None
    db: Database = DATABASE
    as_json: AsJson = False

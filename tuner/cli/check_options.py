"""The options of `tuner check`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import DATABASE, AsJson, Database, Headers, Study


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Measure a study's winner again: exit status 0 as good, 4 worse, 5 not comparable.

    It runs on what is here now, with the options of the study; the study stays as it is.
    """

    study: Study = None
    tolerance: Annotated[
        str, typer.Option(help="What may be lost of the capacity of the study: 5%.")
    ] = "5%"
    rounds: Annotated[
        int, typer.Option(min=1, max=50, help="Fresh starts of the winner at most.")
    ] = 6
    timeout: Annotated[str, typer.Option(help="No round begins that would end later: 10m.")] = (
        "10m"
    )
    image: Annotated[str, typer.Option(help="Another image of the server than then.")] = ""
    model_repository: Annotated[
        Path | None, typer.Option(help="Another folder of models than then.")
    ] = None
    model_file: Annotated[Path | None, typer.Option(help="Another model file than then.")] = None
    url: Annotated[str, typer.Option(help="Where a remote server is now: http://HOST:PORT.")] = ""
    header: Headers = None
    junit: Annotated[Path | None, typer.Option(help="Also write the result as JUnit XML.")] = None
    db: Database = DATABASE
    as_json: AsJson = False

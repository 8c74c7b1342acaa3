"""The options of `tuner serve`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import DATABASE, Database


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Run tuning jobs of a team, one after the other, with a REST API and pages.

    A job goes on when the service ends, and is seen again by the next one.
    """

    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8900
    db: Database = DATABASE
    folder: Annotated[
        Path, typer.Option(help="Folder for what the service keeps: token, logs, reports, models.")
    ] = Path("tuner-service")
    models: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of models that jobs may use; several times."),
    ] = None
    spaces: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of search spaces that jobs may use; several times."),
    ] = None
    image: Annotated[
        list[str] | None, typer.Option(help="Image that jobs may use; several times.")
    ] = None
    remote: Annotated[
        list[str] | None,
        typer.Option(help="Running server that jobs may tune, http://HOST:PORT; several times."),
    ] = None
    fleet: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Fleet that jobs may use: auto, or ray://HOST:10001; several times.",
        ),
    ] = None
    upload_gib: Annotated[
        int, typer.Option(min=1, max=1024, help="Largest model that may be sent, in GiB.")
    ] = 2
    allow_commands: Annotated[
        bool,
        typer.Option(
            "--allow-commands",
            help="Jobs may run programs: commands of spaces, models that are programs.",
        ),
    ] = False
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File of tokens (`tuner tokens add`); needed on an address that others reach."
        ),
    ] = None
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="Further name that the service is asked by; several times."),
    ] = None
    tls_certificate: Annotated[
        Path | None, typer.Option(help="Certificate for TLS, with those between, as PEM.")
    ] = None
    tls_key: Annotated[Path | None, typer.Option(help="Its key, as PEM.")] = None

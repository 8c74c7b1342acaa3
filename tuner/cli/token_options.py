"""The options of `tuner tokens`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import AsJson

TokenFile = Annotated[Path, typer.Option(help="File of tokens, the one of `tuner serve`.")]
_Name = Annotated[str, typer.Argument(help="Whose token it is.")]


@dataclass(frozen=True, kw_only=True)
class AddTokenOptions:
    """Make a token of the service for somebody, and print it once.

    The file has its hash. A service that runs takes the token at once.
    """

    name: _Name
    role: Annotated[
        str,
        typer.Option(
            help="read: sees everything; run: also submits and ends jobs; admin: also deletes."
        ),
    ]
    token_file: TokenFile
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid: 12h, 90d.", show_default="for ever")
    ] = None
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class ListTokensOptions:
    """List who has a token of the service."""

    token_file: TokenFile
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class RemoveTokenOptions:
    """Take a token of the service away; sessions that began with it end, too."""

    name: _Name
    token_file: TokenFile

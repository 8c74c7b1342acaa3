"""The options of `capacity`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import DATABASE, AsJson, Database


@dataclass(frozen=True, kw_only=True)
class CapacityOptions:
    """Say how many replicas a demand needs, how busy they are and what they cost.

    From what studies measured, without measuring. Of several studies (machine types) it is said
    which is the cheapest. Exit status 3 if nothing meets the latency budget.
    """

    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="STUDY", help="Names of studies; the newest one without."),
    ] = None
    demand: Annotated[
        float | None,
        typer.Option(
            help="Requests per second, of all users; each carries as many inferences as in the "
            "study (--batch)."
        ),
    ] = None
    demand_file: Annotated[
        Path | None,
        typer.Option(help="CSV of a day, in place of it: time,requests per second."),
    ] = None
    peak_factor: Annotated[
        float, typer.Option(help="How many times the demand the highest load is.")
    ] = 1.0
    headroom: Annotated[
        str, typer.Option(help="Share of each replica's capacity to keep free: 20%.")
    ] = "0%"
    spare: Annotated[int, typer.Option(min=0, max=10_000, help="Replicas that may fail.")] = 0
    price: Annotated[
        list[str] | None,
        typer.Option(help="Of a replica: 0.53/h for all, or STUDY=0.53/h; several times."),
    ] = None
    budget_ms: Annotated[
        list[float] | None,
        typer.Option(help="Latency limit in ms; several times. The studies' own without."),
    ] = None
    percentile: Annotated[
        float | None, typer.Option(help="Another percentile of the latency than the studies'.")
    ] = None
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the model and what it assumes.")
    ] = False
    db: Database = DATABASE
    as_json: AsJson = False

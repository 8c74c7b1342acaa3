"""The options of the commands about stored studies."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import DATABASE, AsJson, Database, ServiceOptions, Study
from tuner.exports.forms import ExportForm
from tuner.goals import Objective
from tuner.report.study_tables import StudyTable


class ReportFormat(StrEnum):
    """What `report` writes."""

    HTML = "html"
    MARKDOWN = "md"


class ExportFormat(StrEnum):
    """How `studies export` writes the load points."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class EffectsFormat(StrEnum):
    """How `effects` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, kw_only=True)
class ListOptions(ServiceOptions):
    """List the studies, the newest first."""

    db: Database = DATABASE
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class BackupOptions:
    """Copy the database to a file, also while studies run."""

    file: Annotated[Path, typer.Argument(help="New file.")]
    db: Database = DATABASE


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What all commands about a stored study take."""

    study: Study = None
    db: Database = DATABASE
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class ShowOptions(ServiceOptions, ReadOptions):
    """Show a study's result and trials."""


@dataclass(frozen=True, kw_only=True)
class ReportOptions(ShowOptions):
    """Write the report of a study: an HTML page, or Markdown that is printed, too."""

    output: Annotated[Path, typer.Option(help="Folder that gets a folder for the study.")] = Path(
        "reports"
    )
    form: Annotated[
        ReportFormat, typer.Option("--format", help="html, or md: Markdown for a ticket.")
    ] = ReportFormat.HTML


@dataclass(frozen=True, kw_only=True)
class ParetoOptions(ShowOptions):
    """Print the Pareto front: the load points that no other beats in throughput and latency.

    A study of several objectives has a second one: the trials that no other beats in all of them.
    """


@dataclass(frozen=True, kw_only=True)
class BestOptions(ShowOptions):
    """Print the winning configuration, ready to deploy.

    For another latency budget or objective than the study's it is found in the stored load points,
    without measuring; how it is known is said on stderr.
    """

    budget_ms: Annotated[
        float | None, typer.Option(help="Another latency limit than the study's, in ms.")
    ] = None
    percentile: Annotated[
        float | None, typer.Option(help="Another percentile of the latency than the study's.")
    ] = None
    objective: Annotated[Objective, typer.Option(help="What the best one is best in.")] = (
        Objective.THROUGHPUT
    )
    min_throughput: Annotated[
        float | None,
        typer.Option(
            help="For other objectives: what the best one carries, in the unit of the study."
        ),
    ] = None
    tiers: Annotated[
        str | None,
        typer.Option(help="Several latency budgets at once, in ms: 'p99<=20,p99<=50,p95<=10'."),
    ] = None
    form: Annotated[
        ExportForm,
        typer.Option("--format", help="The server's own file, a document, or what deploys it."),
    ] = ExportForm.FILE
    image: Annotated[
        str, typer.Option(help="Image to deploy, in place of that of the study's server.")
    ] = ""


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Compare studies with the first one: versions, machines or models.

    Ratios have 95 % intervals; what was measured in both is paired, and what differs is listed.
    """

    studies: Annotated[
        list[str],
        typer.Argument(metavar="STUDY", help="Two or more; URL#NAME of another database."),
    ]
    db: Database = DATABASE
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class EffectsOptions(ReadOptions):
    """Print which parameters helped or hurt the capacity, by how much, and how sure that is.

    Each value is compared with the default, all else equal, in the average of what was tried.
    """

    form: Annotated[EffectsFormat, typer.Option("--format", help="table, csv or json.")] = (
        EffectsFormat.TABLE
    )


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Write the load points of a study, its trials or its verifications, one row each."""

    study: Study = None
    table: Annotated[StudyTable, typer.Option(help="trials, load_points or verifications.")] = (
        StudyTable.LOAD_POINTS
    )
    form: Annotated[ExportFormat, typer.Option("--format", help="csv, json or parquet.")]
    output: Annotated[Path | None, typer.Option(help="File to write; stdout without it.")] = None
    db: Database = DATABASE

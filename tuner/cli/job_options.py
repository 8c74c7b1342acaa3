"""The options of the commands about studies that run: status, pause, continue, stop and so on."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import (
    DATABASE,
    AsJson,
    Database,
    Detach,
    Headers,
    Notify,
    NotifyUrl,
    ServiceOptions,
    Study,
    Until,
    study_names,
)
from tuner.errors import Reason


class EndedAs(StrEnum):
    """The states of trials; help has to come without what trials are made of."""

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    PRUNED = "pruned"
    FAILED = "failed"


_Running = Annotated[
    str | None,
    typer.Argument(
        help="Name of the study; without it, the only one that runs.", autocompletion=study_names
    ),
]


@dataclass(frozen=True, kw_only=True)
class StatusOptions(ServiceOptions):
    """Show what runs, how far it is, what was found so far, and what is left of its time."""

    study: Annotated[
        str | None,
        typer.Argument(help="Name of the study; all without it.", autocompletion=study_names),
    ] = None
    watch: Annotated[bool, typer.Option(help="Show it anew until the study has ended.")] = False
    trials: Annotated[bool, typer.Option(help="List the trials of the study.")] = False
    state: Annotated[
        EndedAs | None, typer.Option(help="List the trials of the study that ended so.")
    ] = None
    db: Database = DATABASE
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class PauseOptions(ServiceOptions):
    """Pause a study after the load point in progress; its server ends, its time waits.

    A study with a clock time to be done by (--until) has less time then.
    """

    study: _Running = None
    db: Database = DATABASE
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class ContinueOptions(PauseOptions):
    """Let a paused study go on."""


@dataclass(frozen=True, kw_only=True)
class StopOptions(PauseOptions):
    """End a study after the load point in progress: finals of what is there, then the report."""

    now: Annotated[bool, typer.Option("--now", help="Without finals.")] = False


@dataclass(frozen=True, kw_only=True)
class AttachOptions(ServiceOptions):
    """Show what a study does, from its beginning, until it ends; Ctrl-C ends only the showing."""

    study: _Running = None
    db: Database = DATABASE


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """When what is run is to be done, where its output goes, and who is told."""

    until: Until = None
    detach: Detach = False
    notify: Notify = ""
    notify_url: NotifyUrl = ""
    db: Database = DATABASE
    output: Annotated[Path, typer.Option(help="Folder for reports and configurations.")] = Path(
        "reports"
    )
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class ResumeOptions(RunOptions):
    """Go on with a study, with the options that it began with, in the time that it has left."""

    study: Study = None
    timeout: Annotated[
        str | None, typer.Option(help="Time for what is left, instead of what it has: 10m, 2h.")
    ] = None
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials of the search at most, in all.")
    ] = None
    header: Headers = None
    fleet: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where its fleet is now, if not where it was: auto, or ray://HOST:10001.",
        ),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class JobsOptions(RunOptions):
    """Run the studies of a file, one after the other, each with its share of the time.

    The file has a mapping for each study, of what `tuner optimize` takes.
    """

    file: Annotated[Path, typer.Argument(help="Studies by name, in YAML.")]
    timeout: Annotated[
        str | None, typer.Option(help="Time for all of them together: 90m, 8h.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class RetryOptions(ResumeOptions):
    """Run failed trials of a study again, and go on with it in the time that it has left."""

    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False
    reason: Annotated[
        list[Reason] | None,
        typer.Option(help="Those that failed for this reason; several times.", metavar="REASON"),
    ] = None

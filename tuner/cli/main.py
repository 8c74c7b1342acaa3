"""The command line: which commands there are, and what an error or an interrupt looks like."""

import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Annotated, Any

import typer

import tuner
from runners.errors import RunnerError
from tuner.cli.console import print_error
from tuner.cli.measure_options import MeasureOptions
from tuner.cli.optimize_options import OptimizeOptions, PlanOptions
from tuner.cli.signature import GroupedCommand, taking
from tuner.cli.small_options import (
    CheckSpaceOptions,
    CleanOptions,
    ListSpacesOptions,
    RepositoryOptions,
    ShowSpaceOptions,
    SpaceTableOptions,
)
from tuner.cli.study_options import (
    BestOptions,
    EffectsOptions,
    ExportOptions,
    ListOptions,
    ParetoOptions,
    ReportOptions,
    ShowOptions,
)
from tuner.errors import TunerError

app = typer.Typer(
    name="tuner",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Find the server configuration that carries the most traffic within a latency budget.",
)
_studies = typer.Typer(no_args_is_help=True, help="Studies in the database.")
_spaces = typer.Typer(no_args_is_help=True, help="Search spaces: what may vary on a server.")


# `measure` has no use for threads that multiply matrices, and starts no server that would inherit
# this; gRPC's core would write lines of its own about what an error says anyway.
_OF_MEASURE = {"OPENBLAS_NUM_THREADS": "1", "GRPC_VERBOSITY": "NONE"}


def _add(
    group: typer.Typer,
    name: str,
    options: type[Any],
    where: str,
    environment: Mapping[str, str] | None = None,
) -> None:
    run = taking(options, f"tuner.cli.{where}", environment)
    group.command(name, cls=GroupedCommand)(run)


_add(app, "optimize", OptimizeOptions, "optimize:optimize")
_add(app, "plan", PlanOptions, "optimize:plan")
_add(app, "measure", MeasureOptions, "measure:measure", _OF_MEASURE)
_add(app, "report", ReportOptions, "results:report")
_add(app, "pareto", ParetoOptions, "results:show_pareto")
_add(app, "best", BestOptions, "best:best")
_add(app, "repository", RepositoryOptions, "repository:repository")
_add(app, "effects", EffectsOptions, "effects:effects")
_add(app, "clean", CleanOptions, "clean:clean")
_add(_studies, "list", ListOptions, "studies:list_studies")
_add(_studies, "show", ShowOptions, "results:show")
_add(_studies, "export", ExportOptions, "results:export_study")
_add(_spaces, "list", ListSpacesOptions, "spaces:list_spaces")
_add(_spaces, "show", ShowSpaceOptions, "spaces:show")
_add(_spaces, "check", CheckSpaceOptions, "spaces:check")
_add(_spaces, "table", SpaceTableOptions, "spaces:table")
app.add_typer(_studies, name="studies")
app.add_typer(_spaces, name="spaces")


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM, SIGHUP): cleaned up as after Ctrl-C."""


def _version(asked: bool) -> None:  # noqa: FBT001 - typer's callback
    if asked:
        sys.stdout.write(f"tuner {tuner.__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    del version


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status: 0, 1, 2, 3 (nothing feasible) or 130 (Ctrl-C)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="tuner")
    except TunerError as error:
        print_error(error.message, error.hint)
        sys.exit(error.exit_status)
    except RunnerError as error:
        print_error(str(error), error.hint)
        sys.exit(1)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated

"""The command line: which commands there are, and what an error or an interrupt looks like."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

import tuner
from runners.errors import RunnerError
from tuner.cli import clean, effects, measure, optimize, repository, results, spaces
from tuner.cli.console import print_error, report
from tuner.cli.measure_options import MeasureOptions
from tuner.cli.optimize_options import OptimizeOptions, PlanOptions
from tuner.cli.signature import taking
from tuner.errors import TunerError

app = typer.Typer(
    name="tuner",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Find the server configuration that carries the most traffic within a latency budget.",
)
app.command()(taking(OptimizeOptions, optimize.optimize))
app.command()(taking(PlanOptions, optimize.plan))
app.command()(taking(MeasureOptions, measure.measure))
app.command()(results.report)
app.command("pareto")(results.show_pareto)
app.command()(results.best)
app.command()(repository.repository)
app.command()(effects.effects)
app.command()(clean.clean)
app.add_typer(results.studies, name="studies")
app.add_typer(spaces.app, name="spaces")


class Terminated(KeyboardInterrupt):
    """Somebody asked the process to end (SIGTERM, SIGHUP): cleaned up as after Ctrl-C."""


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
        sys.exit(report(error))
    except RunnerError as error:
        print_error(str(error), error.hint)
        sys.exit(1)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated

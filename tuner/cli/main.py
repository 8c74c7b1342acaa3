"""The command line: which commands there are, and what an error or an interrupt looks like."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

import tuner
from runners.environment import set_own
from runners.errors import RunnerError
from tuner.cli.console import print_error, speak
from tuner.cli.signature import Command, group_of
from tuner.errors import InputError, TunerError

# gRPC's core would write lines of its own about what an error says anyway.
_OF_MEASURE = {"GRPC_VERBOSITY": "NONE"}
# What brings the web server.
_SERVICE = "service"
# What brings Ray.
_FLEET_EXTRA = "fleet"

_COMMANDS = {
    "optimize": Command(
        ".optimize_options:OptimizeOptions", ".optimize:optimize", ".remote.submission:optimize"
    ),
    "jobs": Command(".job_options:JobsOptions", ".jobs:run_jobs"),
    "resume": Command(".job_options:ResumeOptions", ".resume:resume"),
    "retry": Command(".job_options:RetryOptions", ".resume:retry"),
    "status": Command(".job_options:StatusOptions", ".status:status", ".remote.jobs:status"),
    "attach": Command(".job_options:AttachOptions", ".attach:attach", ".remote.jobs:attach"),
    "pause": Command(".job_options:PauseOptions", ".control:pause", ".remote.jobs:pause"),
    "continue": Command(".job_options:ContinueOptions", ".control:go_on", ".remote.jobs:go_on"),
    "stop": Command(".job_options:StopOptions", ".control:stop", ".remote.jobs:stop"),
    "plan": Command(".optimize_options:PlanOptions", ".optimize:plan", ".remote.submission:plan"),
    "measure": Command(
        ".measure_options:MeasureOptions", ".measure:measure", environment=_OF_MEASURE
    ),
    "report": Command(".study_options:ReportOptions", ".results:report", ".remote.studies:report"),
    "pareto": Command(
        ".study_options:ParetoOptions", ".pareto:show_pareto", ".remote.studies:show_pareto"
    ),
    "best": Command(".study_options:BestOptions", ".best:best", ".remote.studies:best"),
    "run": Command(".run_options:RunOptions", ".run:run"),
    "capacity": Command(".capacity_options:CapacityOptions", ".capacity:capacity"),
    "compare": Command(".study_options:CompareOptions", ".compare:compare"),
    "repository": Command(".small_options:RepositoryOptions", ".repository:repository"),
    "effects": Command(".study_options:EffectsOptions", ".effects:effects"),
    "hints": Command(".hints_options:HintsOptions", ".hints:hints"),
    "hardware": Command(".hints_options:HardwareOptions", ".hardware:hardware"),
    "check": Command(".check_options:CheckOptions", ".check:check"),
    "serve": Command(".serve_options:ServeOptions", ".serve:serve", extra=_SERVICE),
    "doctor": Command(".small_options:DoctorOptions", ".doctor:doctor"),
    "clean": Command(".small_options:CleanOptions", ".clean:clean"),
}
_FLEET = {
    "status": Command(".fleet_options:FleetStatusOptions", ".fleet_status:fleet_status"),
    "doctor": Command(
        ".fleet_options:FleetDoctorOptions", ".fleet_doctor:fleet_doctor", extra=_FLEET_EXTRA
    ),
}
_STUDIES = {
    "list": Command(
        ".study_options:ListOptions", ".studies:list_studies", ".remote.studies:list_studies"
    ),
    "show": Command(".study_options:ShowOptions", ".results:show", ".remote.studies:show"),
    "export": Command(".study_options:ExportOptions", ".exporting:export_study"),
    "backup": Command(".study_options:BackupOptions", ".studies:backup"),
}
_TOKENS = {
    "add": Command(".token_options:AddTokenOptions", ".tokens:add", extra=_SERVICE),
    "list": Command(".token_options:ListTokensOptions", ".tokens:list_tokens", extra=_SERVICE),
    "remove": Command(".token_options:RemoveTokenOptions", ".tokens:remove", extra=_SERVICE),
}
_SPACES = {
    "list": Command(".small_options:ListSpacesOptions", ".spaces:list_spaces"),
    "show": Command(".small_options:ShowSpaceOptions", ".spaces:show"),
    "check": Command(".small_options:CheckSpaceOptions", ".spaces:check"),
    "table": Command(".small_options:SpaceTableOptions", ".spaces:table"),
}

app = typer.Typer(
    name="tuner",
    cls=group_of(_COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Find the server configuration that carries the most traffic within a latency budget.",
)
for _name, _help, _commands in (
    ("studies", "Studies in the database.", _STUDIES),
    ("fleet", "Hosts of a Ray cluster, which measure a study together.", _FLEET),
    ("spaces", "Search spaces: what may vary on a server.", _SPACES),
    ("tokens", "Tokens of the service: who may use it.", _TOKENS),
):
    _group = typer.Typer(cls=group_of(_commands), no_args_is_help=True, help=_help)
    app.add_typer(_group, name=_name)


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
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but the result and errors.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also say on stderr what is done.")
    ] = False,
) -> None:
    del version
    if quiet and verbose:
        raise InputError("`--quiet` and `--verbose` contradict each other", hint="leave one out")
    speak(quiet=quiet, verbose=verbose)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status.

    0, 1, 2, 3 (nothing feasible), 4 (`check`: worse), 5 (`check`: not comparable), 130 (Ctrl-C).
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    # The matrices here are small: more threads would take a second processor from the server that
    # is measured, and time from every start.
    set_own("OPENBLAS_NUM_THREADS", "1")
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

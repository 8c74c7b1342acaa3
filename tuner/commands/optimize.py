"""`tuner optimize` and `tuner plan`: search, or say what a search would do."""

import math
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuner.commands import options
from tuner.commands.console import err, note, print_blocks, print_json, print_text
from tuner.commands.spaces import document as space_document
from tuner.commands.spaces import size
from tuner.errors import NothingFeasibleError, TunerError

if TYPE_CHECKING:
    from tuner.finals import Standings
    from tuner.job import PreparedJob
    from tuner.records import StudyRecord

Finalists = Annotated[
    int, typer.Option("--finalists", help="Best configurations that are measured again.")
]
Confirmations = Annotated[
    int, typer.Option("--confirmations", help="Fresh starts on which finalists are measured.")
]


def optimize(
    *,
    budget_ms: options.BudgetMs,
    percentile: options.Percentile = 99,
    model_repository: options.ModelRepository = None,
    model: options.Model = None,
    space: options.SpaceFile = None,
    trials: options.Trials = 60,
    timeout: options.Timeout = "3m",
    until: options.Until = None,
    finalists: Finalists = 2,
    confirmations: Confirmations = 1,
    batch: options.Batch = 1,
    shape: options.Shapes = None,
    input_data: options.InputData = "random",
    study: Annotated[
        str, typer.Option("--study", help="Name of the study; continues one that exists.")
    ] = "",
    db: options.Database = options.DATABASE,
    output: Annotated[
        Path, typer.Option("--output", help="Folder for reports and configurations.")
    ] = Path("reports"),
    seed: options.Seed = 0,
    engine_cpus: options.EngineCpus = "",
    server_cpus: Annotated[str, typer.Option(help="CPUs for the server: 1,4-7.")] = "",
    start_timeout: Annotated[
        str, typer.Option(help="How long a start or a reload of the server may take.")
    ] = "2m",
    as_json: options.AsJson = False,
) -> None:
    """Find the configuration that carries the most traffic within the latency budget."""
    from tuner import finals
    from tuner.job import Job, prepare
    from tuner.report import export

    prepared = prepare(
        Job(
            budget=options.latency_budget(budget_ms, percentile),
            repository=model_repository,
            model=model,
            space_file=space,
            search_budget=options.search_budget(
                trials, timeout, until, finalists=finalists, confirmations=confirmations
            ),
            form=options.request_form(batch, input_data, shape),
            database=db,
            study=study,
            seed=seed,
            engine_cpus=options.cpus(engine_cpus, "--engine-cpus"),
            server_cpus=options.cpus(server_cpus, "--server-cpus"),
            start_timeout_s=options.duration_s(start_timeout, "--start-timeout"),
        )
    )
    finished = _run(prepared)
    result = finals.standings(finished)
    written = write_files(finished, result, output / finished.name)
    if as_json:
        print_json(export.document(finished, result) | {"files": [str(p) for p in written]})
    else:
        _print_result(finished, result, written, db)
    if result.winner is None:
        raise nothing_feasible(finished)


def plan(
    *,
    budget_ms: options.BudgetMs,
    percentile: options.Percentile = 99,
    model_repository: options.ModelRepository = None,
    model: options.Model = None,
    space: options.SpaceFile = None,
    trials: options.Trials = 60,
    timeout: options.Timeout = "3m",
    until: options.Until = None,
    finalists: Finalists = 2,
    confirmations: Confirmations = 1,
    batch: options.Batch = 1,
    shape: options.Shapes = None,
    input_data: options.InputData = "random",
    as_json: options.AsJson = False,
) -> None:
    """Say what `optimize` with these options would do, without doing it."""
    from tuner.job import Job, prepare
    from tuner.report import tables

    prepared = prepare(
        Job(
            budget=options.latency_budget(budget_ms, percentile),
            repository=model_repository,
            model=model,
            space_file=space,
            search_budget=options.search_budget(
                trials, timeout, until, finalists=finalists, confirmations=confirmations
            ),
            form=options.request_form(batch, input_data, shape),
        )
    )
    content = _plan_document(prepared)
    if as_json:
        print_json(content)
        return
    print_blocks(tables.space_tables(prepared.space))
    print_blocks(tables.plan_lines(content, size(prepared.space)))


def write_files(study: "StudyRecord", result: "Standings", folder: Path) -> list[Path]:
    """Write the report, and the winner's configuration if there is one; the paths written.

    Raises:
        TunerError: The folder cannot be written; the study itself is safe in its database.
    """
    from tuner.report import html

    contents = {"report.html": html.render(study, result)}
    if result.winner is not None:
        contents["config.pbtxt"] = result.winner.trial.export
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_text(content)
    except OSError as error:
        raise TunerError(
            f"{folder}: cannot be written: {error.strerror}",
            hint=f"the study is kept: `tuner report {study.name} --output FOLDER`",
        ) from None
    return [folder / name for name in contents]


def nothing_feasible(study: "StudyRecord") -> NothingFeasibleError:
    """What to say when no configuration meets the budget: the nearest one."""
    from tuner import finals

    closest = finals.nearest(study)
    if closest is None:
        return NothingFeasibleError(
            f"no configuration of study `{study.name}` could be measured",
            hint=f"`tuner report {study.name}` shows how each trial failed",
        )
    easier_ms = math.ceil(2e3 * max(closest.unloaded_s, study.budget.limit_s))
    return NothingFeasibleError(
        f"no configuration meets {study.budget}; the nearest has "
        f"p{study.budget.percentile:g} = {closest.unloaded_s * 1e3:.3g} ms without load: "
        f"{closest.configuration}",
        hint=f"try `--budget-ms {easier_ms}`, or a faster model",
    )


def _run(prepared: "PreparedJob") -> "StudyRecord":
    from tuner.job import run
    from tuner.report import terminal

    job, name = prepared.job, prepared.study.name
    note(
        f"study {name}: model {prepared.model.name}, {job.budget}, "
        f"{size(prepared.space)} configurations"
    )
    try:
        with terminal.LiveProgress(
            err,
            limit_latency=job.budget,
            deadline_s=time.monotonic() + job.search_budget.timeout_s,
            trials=job.search_budget.trials + job.search_budget.finals,
        ) as progress:
            return run(prepared, progress)
    except KeyboardInterrupt:
        note(
            f"interrupted; the server is gone and study {name} is kept\n"
            f"go on with the same command and: --study {name}"
        )
        raise


def _print_result(
    study: "StudyRecord", result: "Standings", written: list[Path], database: str
) -> None:
    from tuner import pareto
    from tuner.report import terminal

    print_blocks([terminal.result_table(study, result)])
    print_blocks([terminal.pareto_table(pareto.trade_off(study))])
    for path in written:
        print_text(f"{path.name}: {path}")
    print_text(f"database: {database} (study {study.name})")
    print_text(f"next: {next_command(study, result, database)}")


def next_command(study: "StudyRecord", result: "Standings", database: str) -> str:
    """What a person most likely wants to type now."""
    words = ["tuner", "report" if result.winner is None else "best", study.name]
    return shlex.join(words if database == options.DATABASE else [*words, "--db", database])


def _plan_document(prepared: "PreparedJob") -> dict[str, Any]:
    from tuner import capacity
    from tuner.study import planned_s

    budget = prepared.job.search_budget
    space = prepared.space
    return {
        "model": prepared.model.name,
        "latency_budget": str(prepared.job.budget),
        "space": space_document(space),
        "assignments": space.combinations,
        "valid_configurations": space.size,
        "trials": budget.trials if space.size is None else min(budget.trials, space.size),
        "finals": budget.finals,
        "seconds_per_trial": capacity.expected_s(prepared.job.budget),
        "seconds": planned_s(prepared.job.budget, budget, space.size),
    }

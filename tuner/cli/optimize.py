"""`tuner optimize` and `tuner plan`: search, or say what a search would do."""

import math
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner.cli.console import err, note, print_blocks, print_json, print_text
from tuner.cli.optimize_options import OptimizeOptions, PlanOptions
from tuner.cli.options import DATABASE
from tuner.cli.spaces import document as space_document
from tuner.cli.spaces import size
from tuner.errors import NothingFeasibleError, TunerError

if TYPE_CHECKING:
    from tuner.analysis.standings import Standings
    from tuner.records import StudyRecord
    from tuner.study.job import PreparedJob


def optimize(options: OptimizeOptions) -> None:
    """Find the configuration that carries the most traffic within the latency budget."""
    from tuner.analysis import standings
    from tuner.report import export
    from tuner.study.job import prepare

    prepared = prepare(options.job())
    _offer_warm_start(prepared)
    finished = _run(prepared)
    result = standings.standings(finished)
    written = write_files(finished, result, options.output / finished.name)
    if options.as_json:
        print_json(export.study_document(finished, result) | {"files": [str(p) for p in written]})
    else:
        _print_result(finished, result, written, options.db)
    if result.winner is None:
        raise nothing_feasible(finished)


def plan(options: PlanOptions) -> None:
    """Say what `optimize` with these options would do, without doing it."""
    from tuner.report import tables
    from tuner.study.job import prepare

    prepared = prepare(options.job())
    content = _plan_document(prepared)
    if options.as_json:
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
    from tuner.targets.catalog import server_kind

    contents = {"report.html": html.render(study, result)}
    if result.winner is not None:
        name = server_kind(study.server).configuration_file
        contents[name] = result.winner.trial.export
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in contents.items():
            (folder / file).write_text(content)
    except OSError as error:
        raise TunerError(
            f"{folder}: cannot be written: {error.strerror}",
            hint=f"the study is kept: `tuner report {study.name} --output FOLDER`",
        ) from None
    return [folder / name for name in contents]


def nothing_feasible(study: "StudyRecord") -> NothingFeasibleError:
    """What to say when no configuration meets the budget: the nearest one."""
    from tuner.analysis import standings

    closest = standings.nearest(study)
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


def _offer_warm_start(prepared: "PreparedJob") -> None:
    """Say so if an earlier study of the same model could be begun with."""
    from tuner.study import job

    if offer := job.earlier_study(prepared):
        note(offer)


def _run(prepared: "PreparedJob") -> "StudyRecord":
    from tuner.report import terminal
    from tuner.study.job import run

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
            return run(prepared, progress, note)
    except KeyboardInterrupt:
        note(
            f"interrupted; the server is gone and study {name} is kept\n"
            f"go on with the same command and: --study {name}"
        )
        raise


def _print_result(
    study: "StudyRecord", result: "Standings", written: list[Path], database: str
) -> None:
    from tuner.analysis import pareto
    from tuner.report import terminal

    print_blocks([terminal.result_table(study, result)])
    print_blocks(terminal.effects_tables(study, result))
    print_blocks([terminal.pareto_table(pareto.trade_off(study))])
    for path in written:
        print_text(f"{path.name}: {path}")
    print_text(f"database: {database} (study {study.name})")
    print_text(f"next: {next_command(study, result, database)}")


def next_command(study: "StudyRecord", result: "Standings", database: str) -> str:
    """What a person most likely wants to type now."""
    words = ["tuner", "report" if result.winner is None else "best", study.name]
    return shlex.join(words if database == DATABASE else [*words, "--db", database])


def _plan_document(prepared: "PreparedJob") -> dict[str, Any]:
    from tuner.capacity import find as capacity
    from tuner.study.time_plan import planned_s

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

"""`tuner report`, `pareto`, `best` and `studies`: what the database knows, without any server."""

import math
import shlex
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuner.cli import asked, options
from tuner.cli.console import note, print_blocks, print_json, print_text
from tuner.cli.optimize import nothing_feasible, write_files
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.options import DATABASE, AsJson, Database, StudyArgument
from tuner.errors import InputError
from tuner.goals import Objective

if TYPE_CHECKING:
    from tuner.analysis.answers import Answer
    from tuner.analysis.standings import Standings
    from tuner.goals import LatencyBudget
    from tuner.records import StudyRecord
    from tuner.report.terminal import StudyRow

studies = typer.Typer(no_args_is_help=True, help="Studies in the database.")
# What `tuner optimize` takes where nothing is said.
_USUAL_PERCENTILE = 99


class BestFormat(StrEnum):
    """How `best` writes the winning configuration."""

    FILE = "file"
    JSON = "json"
    YAML = "yaml"


class ExportFormat(StrEnum):
    """How `studies export` writes the load points."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def report(
    study: StudyArgument = None,
    *,
    db: Database = DATABASE,
    output: Annotated[
        Path, typer.Option("--output", help="Folder that gets a folder for the study.")
    ] = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Write the HTML report of a study, and print its result and its trials."""
    from tuner.analysis import standings
    from tuner.report import export

    record = _stored(db, study)
    result = standings.standings(record)
    written = write_files(record, result, output / record.name)
    if as_json:
        print_json(export.study_document(record, result) | {"files": [str(p) for p in written]})
        return
    _print_study(record, result)
    for path in written:
        print_text(f"{path.name}: {path}")


def show_pareto(
    study: StudyArgument = None, *, db: Database = DATABASE, as_json: AsJson = False
) -> None:
    """Print the Pareto front: the load points that no other beats in throughput and latency.

    A study of several objectives has a second one: the trials that no other beats in all of them.
    """
    from tuner.analysis import pareto
    from tuner.report import objective_text, tables, terminal

    record = _stored(db, study)
    if as_json:
        print_json(_fronts(record))
        return
    print_blocks([terminal.pareto_table(pareto.trade_off(record))])
    if len(record.objectives) > 1:
        rows = objective_text.front_rows(record, pareto.objectives_front(record))
        print_blocks([tables.rows_table(rows)])
        print_text(objective_text.about_hypervolume(record))


def best(
    study: StudyArgument = None,
    *,
    budget_ms: Annotated[
        float | None,
        typer.Option("--budget-ms", help="Another latency limit than the study's, in ms."),
    ] = None,
    percentile: Annotated[
        float | None,
        typer.Option("--percentile", help="Another percentile of the latency than the study's."),
    ] = None,
    objective: Annotated[
        Objective, typer.Option("--objective", help="What the best one is best in.")
    ] = Objective.THROUGHPUT,
    min_throughput: Annotated[
        float | None,
        typer.Option(
            "--min-throughput",
            help="For other objectives: what the best one carries, in inferences per second.",
        ),
    ] = None,
    form: Annotated[
        BestFormat, typer.Option("--format", help="The server's own file, JSON or YAML.")
    ] = BestFormat.FILE,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Print the winning configuration, ready to deploy.

    For another latency budget or objective than the study's it is found in the stored load points,
    without measuring; how it is known is said on stderr.
    """
    from tuner.analysis import answers

    _check_min_throughput(min_throughput, objective)
    record = _stored(db, study)
    asked = _asked_budget(record, budget_ms, percentile)
    form = BestFormat.JSON if as_json else form
    if asked == record.budget and objective is Objective.THROUGHPUT:
        _print_winner(record, form)
    else:
        found = answers.answer(record, asked, objective, least_throughput=min_throughput)
        _print_answer(record, found, form, db)


@studies.command("list")
def list_studies(*, db: Database = DATABASE, as_json: AsJson = False) -> None:
    """List the studies, the newest first."""
    from tuner.report import export, terminal
    from tuner.store.storage import Storage

    with Storage(db) as storage:
        records = storage.studies()
    if as_json:
        print_json([export.summary(record) for record in records])
    else:
        print_blocks([terminal.studies_table([_row(record) for record in records])])


@studies.command()
def show(study: StudyArgument = None, *, db: Database = DATABASE, as_json: AsJson = False) -> None:
    """Show a study's result and trials."""
    from tuner.analysis import standings
    from tuner.report import export

    record = _stored(db, study)
    result = standings.standings(record)
    if as_json:
        print_json(export.study_document(record, result))
        return
    _print_study(record, result)


@studies.command("export")
def export_study(
    study: StudyArgument = None,
    *,
    form: Annotated[ExportFormat, typer.Option("--format", help="csv, json or parquet.")],
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write; stdout without it.")
    ] = None,
    db: Database = DATABASE,
) -> None:
    """Write every load point of a study, one row each."""
    from tuner.report import export

    record = _stored(db, study)
    if output is None:
        if form is ExportFormat.PARQUET:
            raise InputError("`--format parquet` needs `--output FILE`: it is not text")
        print_text(export.as_text(record, form.value))
        return
    export.write(record, form.value, output)
    note(f"written: {output}")


def measure_command(
    study: "StudyRecord", budget: "LatencyBudget", objective: Objective, database: str
) -> str:
    """The command that measures what the load points of `study` leave open."""
    changed = {"budget_ms": budget.limit_s * 1e3, "objective": [objective.value]}
    changed["percentile"] = budget.percentile
    usual = {"percentile": _USUAL_PERCENTILE, "objective": [Objective.THROUGHPUT.value]}
    options = {
        name: value
        for name, value in ((dict(study.options) or _known_options(study)) | changed).items()
        if usual.get(name) != value
    }
    words = ["tuner", "optimize", *asked.words(options, OptimizeOptions)]
    words += ["--warm-start", study.name]
    return shlex.join(words if database == DATABASE else [*words, "--db", database])


def _known_options(study: "StudyRecord") -> dict[str, Any]:
    """What a study says of its options that was begun before they were stored."""
    from tuner import demo

    if study.model == demo.MODEL:
        return {}
    return {"server": study.server, "model_repository": "FOLDER", "model": study.model}


def _stored(database: str, study: str | None) -> "StudyRecord":
    from tuner.store.storage import Storage

    with Storage(database) as storage:
        return storage.study(study)


def _print_study(study: "StudyRecord", result: "Standings") -> None:
    from tuner.report import terminal

    print_blocks([terminal.result_table(study, result)])
    print_blocks(terminal.effects_tables(study, result))
    print_blocks([terminal.trials_table(study), terminal.time_table(study)])


def _fronts(study: "StudyRecord") -> dict[str, Any]:
    from tuner.analysis import pareto

    reference = study.baseline
    several = len(study.objectives) > 1
    return {
        "load_points": pareto.trade_off(study).to_dict(orient="records"),
        "objectives": {
            "front": pareto.objectives_front(study).to_dict(orient="records"),
            "reference": {o.value: reference.value(o) for o in study.objectives if reference},
            "hypervolume": pareto.hypervolume_over_baseline(study),
        }
        if several
        else None,
    }


def _check_min_throughput(min_throughput: float | None, objective: Objective) -> None:
    if min_throughput is None:
        return
    if objective is Objective.THROUGHPUT:
        raise InputError(
            "`--min-throughput` needs another objective than throughput",
            hint="for example: `--objective memory --min-throughput 100`",
        )
    if not 0 < min_throughput < math.inf:
        raise InputError(f"`--min-throughput` must be above 0, but got {min_throughput:g}")


def _asked_budget(
    study: "StudyRecord", budget_ms: float | None, percentile: float | None
) -> "LatencyBudget":
    """The study's own budget but for what was asked for."""
    own = study.budget
    limit_ms = own.limit_s * 1e3 if budget_ms is None else budget_ms
    asked = options.latency_budget(limit_ms, own.percentile if percentile is None else percentile)
    return replace(asked, limit_s=own.limit_s) if budget_ms is None else asked


def _print_winner(study: "StudyRecord", form: BestFormat) -> None:
    """What the study itself confirmed."""
    from tuner.analysis import standings
    from tuner.report import export

    winner = standings.standings(study).winner
    if winner is None:
        raise nothing_feasible(study)
    _print_best(winner.trial.export, export.standing(winner, study), form)


def _print_answer(study: "StudyRecord", answer: "Answer", form: BestFormat, database: str) -> None:
    """What the load points say; the file comes with remarks, documents have it all in them."""
    from tuner.report import answer_text

    measure = measure_command(study, answer.budget, answer.objective, database)
    found = answer.best
    if found is None:
        raise answer_text.nothing_within(study, answer, measure)
    if form is BestFormat.FILE:
        note(answer_text.headline(answer, found))
        doubts = answer_text.doubts(answer, found)
        for remark in (*answer_text.remarks(answer, found), *doubts):
            note(remark)
        if doubts:
            note(f"to measure it: {measure}")
    _print_best(found.trial.export, answer_text.answer_document(study, answer, measure), form)


def _print_best(file: str, content: dict[str, Any], form: BestFormat) -> None:
    import yaml

    match form:
        case BestFormat.FILE:
            print_text(file)
        case BestFormat.JSON:
            print_json(content)
        case BestFormat.YAML:
            print_text(yaml.safe_dump(content, sort_keys=False))


def _row(study: "StudyRecord") -> "StudyRow":
    from tuner.analysis import standings
    from tuner.report.terminal import StudyRow

    winner = standings.standings(study).winner
    return StudyRow(
        name=study.name,
        created_at=study.created_at,
        server=study.server,
        model=study.model,
        budget=study.budget,
        trials=len(study.searched),
        best=winner.throughput if winner else 0.0,
    )

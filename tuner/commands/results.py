"""`tuner report`, `pareto`, `best` and `studies`: what the database knows, without any server."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.commands.console import note, print_blocks, print_json, print_text
from tuner.commands.optimize import nothing_feasible, write_files
from tuner.commands.options import DATABASE, AsJson, Database, StudyArgument
from tuner.errors import InputError

if TYPE_CHECKING:
    from tuner.finals import Standings
    from tuner.records import StudyRecord
    from tuner.report.terminal import StudyRow

studies = typer.Typer(no_args_is_help=True, help="Studies in the database.")


class BestFormat(StrEnum):
    """How `best` writes the winning configuration."""

    PBTXT = "pbtxt"
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
    from tuner import finals
    from tuner.report import export

    record = _stored(db, study)
    result = finals.standings(record)
    written = write_files(record, result, output / record.name)
    if as_json:
        print_json(export.document(record, result) | {"files": [str(p) for p in written]})
        return
    _print_study(record, result)
    for path in written:
        print_text(f"{path.name}: {path}")


def show_pareto(
    study: StudyArgument = None, *, db: Database = DATABASE, as_json: AsJson = False
) -> None:
    """Print the Pareto front: the load points that no other beats in throughput and latency."""
    from tuner import pareto
    from tuner.report import terminal

    record = _stored(db, study)
    front = pareto.trade_off(record)
    if as_json:
        print_json(front.to_dict(orient="records"))
    else:
        print_blocks([terminal.pareto_table(front)])


def best(
    study: StudyArgument = None,
    *,
    form: Annotated[
        BestFormat, typer.Option("--format", help="config.pbtxt, JSON or YAML.")
    ] = BestFormat.PBTXT,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Print the winning configuration, ready to deploy."""
    import yaml

    from tuner import finals
    from tuner.report import export

    record = _stored(db, study)
    result = finals.standings(record)
    if result.winner is None:
        raise nothing_feasible(record)
    content = export.standing(result.winner, record)
    match BestFormat.JSON if as_json else form:
        case BestFormat.PBTXT:
            print_text(result.winner.trial.export)
        case BestFormat.JSON:
            print_json(content)
        case BestFormat.YAML:
            print_text(yaml.safe_dump(content, sort_keys=False))


@studies.command("list")
def list_studies(*, db: Database = DATABASE, as_json: AsJson = False) -> None:
    """List the studies, the newest first."""
    from tuner.report import export, terminal
    from tuner.storage import Storage

    with Storage(db) as storage:
        records = storage.studies()
    if as_json:
        print_json([export.summary(record) for record in records])
    else:
        print_blocks([terminal.studies_table([_row(record) for record in records])])


@studies.command()
def show(study: StudyArgument = None, *, db: Database = DATABASE, as_json: AsJson = False) -> None:
    """Show a study's result and trials."""
    from tuner import finals
    from tuner.report import export

    record = _stored(db, study)
    result = finals.standings(record)
    if as_json:
        print_json(export.document(record, result))
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


def _stored(database: str, study: str | None) -> "StudyRecord":
    from tuner.storage import Storage

    with Storage(database) as storage:
        return storage.study(study)


def _print_study(study: "StudyRecord", result: "Standings") -> None:
    from tuner.report import terminal

    print_blocks([terminal.result_table(study, result)])
    print_blocks([terminal.trials_table(study), terminal.time_table(study)])


def _row(study: "StudyRecord") -> "StudyRow":
    from tuner import finals
    from tuner.report.terminal import StudyRow

    winner = finals.standings(study).winner
    return StudyRow(
        name=study.name,
        created_at=study.created_at,
        server=study.server,
        model=study.model,
        budget=study.budget,
        trials=len(study.searched),
        best=winner.throughput if winner else 0.0,
    )

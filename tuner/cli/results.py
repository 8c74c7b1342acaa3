"""`tuner report`, `pareto`, `studies show` and `studies export`: a study without any server."""

import math
from pathlib import Path
from typing import Any

from tuner.analysis import pareto, standings
from tuner.analysis.standings import Standings
from tuner.cli.console import note, print_blocks, print_json, print_text
from tuner.cli.study_options import (
    ExportFormat,
    ExportOptions,
    ParetoOptions,
    ReportOptions,
    ShowOptions,
)
from tuner.errors import InputError, NothingFeasibleError, TunerError
from tuner.records import StudyRecord
from tuner.report import export, findings, html, objective_text, tables, terminal
from tuner.store.storage import Storage
from tuner.targets import exported
from tuner.targets.catalog import server_kind


def report(options: ReportOptions) -> None:
    """Write the HTML report, and print the result and the trials."""
    study = stored(options.db, options.study)
    result = standings.standings(study)
    written = write_files(study, result, report_folder(options.output, study))
    if options.as_json:
        print_json(export.study_document(study, result) | {"files": [str(p) for p in written]})
        return
    _print_study(study, result)
    for path in written:
        print_text(f"{path.name}: {path}")


def report_folder(output: Path, study: StudyRecord) -> Path:
    """The folder of a study's files: one folder, whatever the name of the study."""
    name = study.name.replace("/", "_")
    return output / (f"_{name}" if name in (".", "..") else name)


def show(options: ShowOptions) -> None:
    """Print a study's result and trials."""
    study = stored(options.db, options.study)
    result = standings.standings(study)
    if options.as_json:
        print_json(export.study_document(study, result))
    else:
        _print_study(study, result)


def show_pareto(options: ParetoOptions) -> None:
    """Print the front of the load points and, of several objectives, that of the trials."""
    study = stored(options.db, options.study)
    if options.as_json:
        print_json(_fronts(study))
        return
    print_blocks([terminal.pareto_table(pareto.trade_off(study))])
    if len(study.objectives) > 1:
        rows = objective_text.front_rows(study, pareto.objectives_front(study))
        print_blocks([tables.rows_table(rows)])
        print_text(objective_text.about_hypervolume(study))


def export_study(options: ExportOptions) -> None:
    """Write every load point of a study, one row each."""
    study = stored(options.db, options.study)
    if options.output is not None:
        export.write(study, options.form.value, options.output)
        note(f"written: {options.output}")
        return
    if options.form is ExportFormat.PARQUET:
        raise InputError("`--format parquet` needs `--output FILE`: it is not text")
    print_text(export.as_text(study, options.form.value))


def stored(database: str, study: str | None, *, points: bool = True) -> StudyRecord:
    """A study, or the newest one; without its load `points` it is there sooner.

    Raises:
        InputError, StorageError: There is none, or it cannot be read.
    """
    with Storage(database) as storage:
        return storage.study(study, points=points)


def write_files(study: StudyRecord, result: Standings, folder: Path) -> list[Path]:
    """Write the report, and the winner's configuration if there is one; the paths written.

    Raises:
        TunerError: The folder cannot be written; the study itself is safe in its database.
    """
    contents = {"report.html": html.render(study, result)}
    if result.winner is not None:
        name = server_kind(study.server).configuration_file
        contents |= exported.files(result.winner.trial.export, name)
    try:
        for file, content in contents.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(content)
    except OSError as error:
        raise TunerError(
            f"{folder}: cannot be written: {error.strerror}",
            hint=f"the study is kept: `tuner report {study.name} --output FOLDER`",
        ) from None
    return [folder / name for name in contents]


def nothing_feasible(study: StudyRecord) -> NothingFeasibleError:
    """What to say when no configuration meets the budget: the nearest one."""
    closest = standings.nearest(study)
    if closest is None:
        return findings.nothing_measured(study)
    easier_ms = math.ceil(2e3 * max(closest.unloaded_s, study.budget.limit_s))
    return NothingFeasibleError(
        f"no configuration meets {study.budget}; the nearest has "
        f"p{study.budget.percentile:g} = {closest.unloaded_s * 1e3:.3g} ms without load: "
        f"{closest.configuration}",
        hint=f"try `--budget-ms {easier_ms}`, or a faster model",
    )


def _print_study(study: StudyRecord, result: Standings) -> None:
    print_blocks([terminal.result_table(study, result)])
    print_blocks(terminal.effects_tables(study, result))
    print_blocks([terminal.trials_table(study), terminal.time_table(study)])


def _fronts(study: StudyRecord) -> dict[str, Any]:
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

"""`tuner report` and `studies show`: a study without any server."""

import gc
from collections.abc import Mapping
from pathlib import Path

from tuner.analysis import standings
from tuner.analysis.effects import Effects
from tuner.analysis.standings import Standings
from tuner.cli.console import note, print_blocks, print_json, print_text
from tuner.cli.study_options import (
    ReportFormat,
    ReportOptions,
    ShowOptions,
)
from tuner.errors import TunerError
from tuner.records import StudyRecord
from tuner.report import digest, effects_text, export, html, markdown, summaries
from tuner.store.storage import Storage
from tuner.targets import exported
from tuner.targets.catalog import server_kind


def report(options: ReportOptions) -> None:
    """Write the report, and print the result and the trials, or the Markdown itself."""
    study = _read(options)
    gc.freeze()  # what was read stays until the end: not to be looked through again and again
    result = standings.standings(study)
    found = effects_text.of(study, result)
    in_markdown = options.form is ReportFormat.MARKDOWN
    text = (markdown if in_markdown else html).render(study, result, found)
    folder = report_folder(options.output, study.name)
    written = _write(study, result, folder, {f"report.{options.form.value}": text})
    if options.as_json:
        print_json(export.study_document(study, result) | {"files": [str(p) for p in written]})
    elif in_markdown:
        print_text(text.rstrip())
        note(f"written: {written[0]}")
    else:
        print_blocks(summaries.study_blocks(study, result, found))
        for path in written:
            print_text(f"{path.name}: {path}")


def report_folder(output: Path, study: str) -> Path:
    """The folder of a study's files: one folder, whatever the name of the study."""
    name = study.replace("/", "_")
    return output / (f"_{name}" if name in (".", "..") else name)


def show(options: ShowOptions) -> None:
    """Print a study's result and trials."""
    study = _read(options)
    result = standings.standings(study)
    if options.as_json:
        print_json(export.study_document(study, result))
    else:
        print_blocks(summaries.study_blocks(study, result, effects_text.of(study, result)))


def _read(options: ReportOptions | ShowOptions) -> StudyRecord:
    """A document has all trials, with all that is known of them; a page shows what matters."""
    with Storage(options.db) as storage:
        if options.as_json:
            return storage.study(options.study)
        return digest.digested(storage, options.study)


def write_files(study: StudyRecord, result: Standings, found: Effects, folder: Path) -> list[Path]:
    """Write the report, and the winner's configuration if there is one; the paths written.

    Raises:
        TunerError: The folder cannot be written; the study itself is safe in its database.
    """
    return _write(study, result, folder, {"report.html": html.render(study, result, found)})


def _write(
    study: StudyRecord, result: Standings, folder: Path, reports: Mapping[str, str]
) -> list[Path]:
    contents = dict(reports)
    if result.winner is not None:
        name = server_kind(study.server).configuration_file
        contents |= exported.files(result.winner.trial.export, name)
    return write_texts(contents, folder, study.name)


def write_texts(contents: Mapping[str, str], folder: Path, study: str) -> list[Path]:
    """Write texts by their names into the folder of the study; the paths written.

    Raises:
        TunerError: The folder cannot be written; the study itself is safe.
    """
    try:
        for file, content in contents.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(content, encoding="utf-8")
    except OSError as error:
        raise TunerError(
            f"{folder}: cannot be written: {error.strerror}",
            hint=f"the study is kept: `tuner report {study} --output FOLDER`",
        ) from None
    return [folder / name for name in contents]

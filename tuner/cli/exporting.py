"""`tuner studies export`: the data of a study, for programs."""

from tuner.analysis import standings
from tuner.cli.console import note, print_text
from tuner.cli.study_options import ExportFormat, ExportOptions
from tuner.errors import InputError
from tuner.report import findings, frames
from tuner.store.storage import Storage


def export_study(options: ExportOptions) -> None:
    """Write a table of a study: its trials, load points or verifications, one row each."""
    with Storage(options.db) as storage:
        study = storage.study(options.study)
    if closest := findings.nearest(study, standings.standings(study)):
        note(findings.missed(closest))
    if options.output is not None:
        frames.write(study, options.table, options.form.value, options.output)
        note(f"written: {options.output}")
        return
    if options.form is ExportFormat.PARQUET:
        raise InputError("`--format parquet` needs `--output FILE`: it is not text")
    print_text(frames.as_text(study, options.table, options.form.value))

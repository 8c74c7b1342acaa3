"""`tuner studies list` and `backup`; without what only other commands need."""

from tuner.cli.console import print_blocks, print_json, print_text
from tuner.cli.study_options import BackupOptions, ListOptions
from tuner.report.studies import studies_table, summary
from tuner.store.storage import Storage


def list_studies(options: ListOptions) -> None:
    """Print a line for each study, the newest first."""
    with Storage(options.db) as storage:
        found = [summary(study) for study in storage.studies()]
    if options.as_json:
        print_json(found)
    else:
        print_blocks([studies_table(found)])


def backup(options: BackupOptions) -> None:
    """Copy the database."""
    with Storage(options.db) as storage:
        storage.backup(options.file)
    print_text(f"copied to {options.file}")

"""`tuner compare`: two or more studies, of versions, machines or models."""

from tuner.cli.console import print_blocks, print_json
from tuner.cli.study_options import CompareOptions
from tuner.errors import masked
from tuner.records import StudyRecord
from tuner.report.comparison_text import comparison_blocks
from tuner.report.comparisons import check_compared, comparisons, comparisons_document
from tuner.store.storage import Storage


def compare(options: CompareOptions) -> None:
    """Print each of the further studies against the first one."""
    check_compared(options.studies)
    studies = [_read(each, options.db) for each in options.studies]
    pairs = comparisons(studies, _names(options.studies))
    if options.as_json:
        print_json(comparisons_document(pairs))
        return
    for each in pairs:
        print_blocks(comparison_blocks(*each))


def _read(study: str, database: str) -> StudyRecord:
    """The study of that name; `URL#NAME` is one of another database."""
    url, name = _parts(study)
    with Storage(url or database) as storage:
        return storage.study(name)


def _parts(study: str) -> tuple[str, str]:
    """The database, if one is named, and the name of the study."""
    url, _, name = study.rpartition("#")
    return (url, name) if "://" in url else ("", study)


def _names(studies: list[str]) -> list[str]:
    """The names alone where they differ, else what was typed."""
    names = [_parts(each)[1] for each in studies]
    return names if len({*names}) == len(names) else [masked(each) for each in studies]

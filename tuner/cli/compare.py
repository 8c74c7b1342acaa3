"""`tuner compare`: two or more studies, of versions, machines or models."""

from tuner.analysis.study_comparison import compared
from tuner.cli.console import print_blocks, print_json
from tuner.cli.study_options import CompareOptions
from tuner.errors import InputError, masked
from tuner.records import StudyRecord
from tuner.report.comparison_text import Names, comparison_blocks, comparison_document
from tuner.store.storage import Storage


def compare(options: CompareOptions) -> None:
    """Print each of the further studies against the first one."""
    _check(options.studies)
    first, *others = [_read(each, options.db) for each in options.studies]
    names = _names(options.studies)
    pairs = [
        (compared(first, other, comparisons=len(others)), Names(names[0], name))
        for other, name in zip(others, names[1:], strict=True)
    ]
    if options.as_json:
        print_json({"comparisons": [comparison_document(*each) for each in pairs]})
        return
    for each in pairs:
        print_blocks(comparison_blocks(*each))


def _check(studies: list[str]) -> None:
    if len(studies) < 2:
        raise InputError(
            f"a comparison takes two studies or more, but got only `{studies[0]}`",
            hint="`tuner studies list` lists them",
        )
    for each in studies:
        if studies.count(each) > 1:
            raise InputError(f"`{each}` was named twice", hint="name each study once")


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

"""Several studies, each of the further ones against the first."""

from collections.abc import Iterable, Sequence
from typing import Any

from tuner.analysis.study_comparison import StudyComparison, compared
from tuner.errors import InputError
from tuner.records import StudyRecord
from tuner.report.comparison_text import Names, comparison_document


def check_compared(studies: Sequence[str]) -> None:
    """Refuse what is no comparison.

    Raises:
        InputError: Fewer than two are named, or one of them twice.
    """
    if len(studies) < 2:
        named = f", but got only `{studies[0]}`" if studies else ""
        raise InputError(
            f"a comparison takes two studies or more{named}",
            hint="`tuner studies list` lists them",
        )
    for each in studies:
        if studies.count(each) > 1:
            raise InputError(f"`{each}` was named twice", hint="name each study once")


def comparisons(
    studies: Sequence[StudyRecord], names: Sequence[str]
) -> list[tuple[StudyComparison, Names]]:
    """Each of the further `studies` against the first one; they are called by their `names`."""
    first, *others = studies
    return [
        (compared(first, other, comparisons=len(others)), Names(names[0], name))
        for other, name in zip(others, names[1:], strict=True)
    ]


def comparisons_document(found: Iterable[tuple[StudyComparison, Names]]) -> dict[str, Any]:
    """All of them as JSON content."""
    return {"comparisons": [comparison_document(*each) for each in found]}

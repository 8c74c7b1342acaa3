"""Lists of studies, a page at a time, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuner.report.status import StudyState, state_of
from tuner.report.studies import summary
from tuner.store.jobs import JobState, unended_jobs
from tuner.store.storage import Storage
from tuner.store.studies import jobs_of, studies_in_brief, study_names

_STORED = {StudyState.ENDED: (JobState.ENDED,), StudyState.UNKNOWN: (None,)}


@dataclass(frozen=True)
class StudiesPage:
    """A summary with its `state` for each study on the page, and how many there are in all."""

    items: Sequence[dict[str, Any]]
    total: int


def studies_page(
    storage: Storage,
    *,
    part: str = "",
    state: StudyState | None = None,
    limit: int,
    offset: int = 0,
) -> StudiesPage:
    """Studies in this state, or in any, with `part` in their names, the newest first."""
    names, total = _names(storage, part, state, limit, offset)
    jobs = jobs_of(storage, names)
    items = [
        {**summary(study), "state": state_of(jobs.get(study.name)).value}
        for study in studies_in_brief(storage, names)
    ]
    return StudiesPage(items, total)


def _names(
    storage: Storage, part: str, state: StudyState | None, limit: int, offset: int
) -> tuple[Sequence[str], int]:
    if state is None or state in _STORED:
        wanted = None if state is None else _STORED[state]
        page = study_names(storage, part=part, jobs=wanted, limit=limit, offset=offset)
        return page.found, page.total
    # Whether a tuner is gone only its machine can tell, so the database cannot be asked for it.
    unended = unended_jobs(storage).items()
    named = {name: job for name, job in unended if part.lower() in name.lower()}
    found = [name for name, job in named.items() if state_of(job) is state]
    return found[offset : offset + limit], len(found)

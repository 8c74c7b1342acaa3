"""Pages of studies, of trials and of load points: what a list shows, and no more than that."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

import sqlalchemy as sa

from tuner.records import StudyRecord, TrialRecord, TrialState
from tuner.store.database import Database
from tuner.store.jobs import JobRecord, JobState, job_record
from tuner.store.rows import study_of
from tuner.store.schema import tuner_jobs, tuner_load_points, tuner_studies, tuner_trials
from tuner.store.storage import NEWEST_FIRST, trials_in_brief


@dataclass(frozen=True)
class StoredPage:
    """The names or numbers on one page, and how many there are in all."""

    found: tuple[str, ...]
    total: int


def study_names(
    database: Database,
    *,
    part: str = "",
    jobs: Collection[JobState | None] | None = None,
    limit: int,
    offset: int = 0,
) -> StoredPage:
    """The names of studies, the newest first.

    Args:
        database: Where they are.
        part: What is in their names, in whatever case.
        jobs: What their last jobs do, None of a study that never had one; any of them without.
        limit: The most names on the page.
        offset: How many come before it.
    """
    joined = sa.outerjoin(tuner_studies, tuner_jobs)
    named = tuner_studies.c.name.icontains(part, autoescape=True)
    query = sa.select(tuner_studies.c.name).select_from(joined).where(named, *_doing(jobs))
    with database.reading() as connection:
        count = sa.select(sa.func.count()).select_from(joined).where(named, *_doing(jobs))
        found = connection.execute(query.order_by(*NEWEST_FIRST).limit(limit).offset(offset))
        return StoredPage(tuple(found.scalars()), int(connection.execute(count).scalar_one()))


def studies_in_brief(database: Database, names: Sequence[str]) -> tuple[StudyRecord, ...]:
    """The studies with these names in this order, in brief as of `Storage.study`.

    They also lack their spaces and the outputs of their baselines. Names that no study has are
    left out.
    """
    left_out = {"space": None, "golden": None}
    columns = [column for column in tuner_studies.c if column.name not in left_out]
    query = sa.select(*columns).where(tuner_studies.c.name.in_(names))
    with database.reading() as connection:
        rows = {row["name"]: row for row in connection.execute(query).mappings()}
        trials = trials_in_brief(connection, [row["id"] for row in rows.values()])
    return tuple(
        study_of({**rows[name], **left_out}, tuple(trials.get(rows[name]["id"], ())))
        for name in names
        if name in rows
    )


def jobs_of(database: Database, names: Sequence[str]) -> dict[str, JobRecord]:
    """The last jobs of the studies with these names, of those that had one."""
    query = sa.select(tuner_studies.c.name, tuner_jobs).join(tuner_studies)
    with database.reading() as connection:
        rows = connection.execute(query.where(tuner_studies.c.name.in_(names))).mappings()
        return {row["name"]: job_record(row) for row in rows}


@dataclass(frozen=True)
class TrialsPage:
    """Trials of one study in brief, and how many there are in all."""

    trials: tuple[TrialRecord, ...]
    total: int


def trials_page(
    database: Database, study: str, *, state: TrialState | None, limit: int, offset: int
) -> TrialsPage:
    """The trials of a study that ended in `state`, or all of them, by their numbers."""
    with database.reading() as connection:
        wanted = [tuner_trials.c.study_id == _id_of(study)]
        if state is not None:
            wanted.append(tuner_trials.c.state == state.value)
        count = sa.select(sa.func.count()).select_from(tuner_trials).where(*wanted)
        numbers = sa.select(tuner_trials.c.number).where(*wanted).order_by(tuner_trials.c.number)
        page = list(connection.execute(numbers.limit(limit).offset(offset)).scalars())
        ids = list(connection.execute(sa.select(_id_of(study))).scalars())
        found = trials_in_brief(connection, ids, numbers=page)
        total = int(connection.execute(count).scalar_one())
    return TrialsPage(tuple(trial for trials in found.values() for trial in trials), total)


@dataclass(frozen=True)
class PointsPage:
    """Where a page of load points is: in these trials, after the first `skipped` of them."""

    trials: tuple[int, ...]
    skipped: int
    total: int


def points_page(database: Database, study: str, *, limit: int, offset: int) -> PointsPage:
    """Which trials have the load points from `offset` on, in the order of their numbers."""
    counted = (
        sa.select(tuner_trials.c.number, sa.func.count(tuner_load_points.c.id))
        .join_from(tuner_trials, tuner_load_points)
        .where(tuner_trials.c.study_id == _id_of(study))
        .group_by(tuner_trials.c.number)
        .order_by(tuner_trials.c.number)
    )
    with database.reading() as connection:
        rows = connection.execute(counted).all()
    ends = list(accumulate(int(count) for _, count in rows))
    begins = [0, *ends[:-1]] if ends else []
    on_page = [
        (int(number), begin)
        for (number, _), begin, end in zip(rows, begins, ends, strict=True)
        if begin < offset + limit and end > offset
    ]
    skipped = offset - on_page[0][1] if on_page else 0
    return PointsPage(tuple(number for number, _ in on_page), skipped, ends[-1] if ends else 0)


def _id_of(study: str) -> sa.ScalarSelect[int]:
    return sa.select(tuner_studies.c.id).where(tuner_studies.c.name == study).scalar_subquery()


def _doing(jobs: Collection[JobState | None] | None) -> list[sa.ColumnElement[bool]]:
    if jobs is None:
        return []
    state = tuner_jobs.c.state
    known = state.in_([each.value for each in jobs if each is not None])
    return [known | state.is_(None) if None in jobs else known]

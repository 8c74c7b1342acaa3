"""What a study does while it does it, in rows with rising numbers that others follow.

A load point is in such a row as soon as it was measured, until its trial is stored with all of
them: of a trial that was cut off, the rows stay.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tuner.store.database import Database, aware
from tuner.store.schema import tuner_events, tuner_queue_changes, tuner_studies

# No more than this are read at once.
_PAGE = 1000


class EventKind(StrEnum):
    """What happened.

    job_began       a tuner took the study; `owner`, and `replaces`, who had it and never ended
    trial_began     `purpose` and `configuration`; on a fleet these and the next two have `host`
                    and `attempt`, too
    phase_began     `phase`
    point_measured  `point`, all of its columns
    trial_ended     how, is in its row
    state_changed   `state` of the job
    host_changed    `host`, its `state`, and `why`, where that needs a reason
    said            `text`, a sentence for people
    job_ended       `why`, empty if it came to its end
    """

    JOB_BEGAN = "job_began"
    TRIAL_BEGAN = "trial_began"
    PHASE_BEGAN = "phase_began"
    POINT_MEASURED = "point_measured"
    TRIAL_ENDED = "trial_ended"
    STATE_CHANGED = "state_changed"
    HOST_CHANGED = "host_changed"
    SAID = "said"
    JOB_ENDED = "job_ended"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One of them; `trial` is the number of the trial that it is about, if it is about one."""

    id: int
    fence: int
    at: datetime
    kind: EventKind
    trial: int | None
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Happened:
    """What is to be written down as an event; `trial` is its number, if it is about one."""

    kind: EventKind
    content: Mapping[str, Any]
    trial: int | None = None


def append(connection: Connection, **values: Any) -> None:
    """Write one event, in the transaction of others; `values` are those of its columns."""
    connection.execute(tuner_events.insert().values(values))


def append_all(
    connection: Connection, happened: Sequence[Happened], *, study_id: int, fence: int
) -> None:
    """Write these events, in their order; all happened just now."""
    of_all = {"study_id": study_id, "fence": fence, "at": datetime.now(UTC)}
    rows = [
        {**of_all, "kind": each.kind.value, "trial": each.trial, "content": each.content}
        for each in happened
    ]
    if rows:
        connection.execute(tuner_events.insert(), rows)


def forget_points(connection: Connection, study_id: int, trial: int) -> None:
    """Of a trial that is stored with its load points: no one needs them twice.

    Those of an attempt that was given up, under the same number, stay.
    """
    columns = tuner_events.c
    of_trial = columns.study_id == study_id, columns.trial == trial
    begins = sa.select(sa.func.max(columns.id)).where(
        *of_trial, columns.kind == EventKind.TRIAL_BEGAN.value
    )
    connection.execute(
        tuner_events.delete().where(
            *of_trial,
            columns.kind == EventKind.POINT_MEASURED.value,
            columns.id > begins.scalar_subquery(),
        )
    )


def events(database: Database, study: str, *, after: int = 0) -> tuple[Event, ...]:
    """The next ones of the study after that with the number `after`, in their order."""
    return tuple(event for _, event in events_between(database, study, after=after))


def events_between(
    database: Database,
    study: str | None,
    *,
    after: int,
    until: int | None = None,
    limit: int | None = None,
) -> tuple[tuple[str, Event], ...]:
    """The next ones after the number `after`, up to `until`, each with the name of its study.

    Of one study or, where that is None, of all.
    """
    columns = tuner_events.c
    wanted = [columns.id > after]
    wanted += [] if until is None else [columns.id <= until]
    wanted += [] if study is None else [tuner_studies.c.name == study]
    query = (
        sa.select(tuner_studies.c.name, tuner_events)
        .join(tuner_studies, tuner_studies.c.id == columns.study_id)
        .where(*wanted)
        .order_by(columns.id)
        .limit(limit or _PAGE)
    )
    with database.reading() as connection:
        return tuple((row["name"], _event(row)) for row in connection.execute(query).mappings())


def last_numbers(
    database: Database, *, study: str | None = None, job: int | None = None
) -> tuple[int, int]:
    """Those of the newest event of the study and of the newest change of the job; of all if None.

    0 where there is none.
    """
    events_of, changes = tuner_events.c, tuner_queue_changes.c
    event, change = sa.func.max(events_of.id), sa.func.max(changes.id)
    of_events, of_changes = sa.select(event), sa.select(change)
    if study is not None:
        mine = sa.select(tuner_studies.c.id).where(tuner_studies.c.name == study)
        of_events = of_events.where(events_of.study_id == mine.scalar_subquery())
    if job is not None:
        of_changes = of_changes.where(changes.job_id == job)
    with database.reading() as connection:
        found = [connection.execute(query).scalar_one() for query in (of_events, of_changes)]
    return found[0] or 0, found[1] or 0


def last_events(database: Database, study: str, *kinds: EventKind) -> dict[EventKind, Event]:
    """The newest of each of these kinds, where there is one."""
    with database.reading() as connection:
        rows = connection.execute(_last_of(kinds), {"study": study}).mappings()
        return {event.kind: event for event in map(_event, rows)}


def phases(database: Database, study: str, trials: Collection[int]) -> dict[int, str]:
    """The newest phase of each of these trials that has begun one; of their last attempt."""
    columns = tuner_events.c
    begun = (EventKind.TRIAL_BEGAN.value, EventKind.PHASE_BEGAN.value)
    newest = (
        sa.select(sa.func.max(columns.id))
        .join(tuner_studies, tuner_studies.c.id == columns.study_id)
        .where(tuner_studies.c.name == study, columns.kind.in_(begun), columns.trial.in_(trials))
        .group_by(columns.trial)
    )
    with database.reading() as connection:
        rows = connection.execute(sa.select(tuner_events).where(columns.id.in_(newest))).mappings()
        return {row["trial"]: row["content"].get("phase", "") for row in rows}


@cache
def _last_of(kinds: tuple[EventKind, ...]) -> sa.Select[Any]:
    """Made once: whoever watches a study asks this every second."""
    columns = tuner_events.c
    named = tuner_studies.c.name == sa.bindparam("study")
    study_id = sa.select(tuner_studies.c.id).where(named).scalar_subquery()
    of_study = sa.select(sa.func.max(columns.id)).where(columns.study_id == study_id)
    return sa.select(tuner_events).where(
        sa.or_(
            *(
                columns.id == of_study.where(columns.kind == kind.value).scalar_subquery()
                for kind in kinds
            )
        )
    )


def _event(row: sa.RowMapping) -> Event:
    return Event(
        id=row["id"],
        fence=row["fence"],
        at=aware(row["at"]),
        kind=EventKind(row["kind"]),
        trial=row["trial"],
        content=row["content"],
    )

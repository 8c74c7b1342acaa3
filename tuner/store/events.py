"""What a study does while it does it, in rows with rising numbers that others follow.

A load point is in such a row as soon as it was measured, until its trial is stored with all of
them: of a trial that was cut off, the rows stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tuner.store.database import Database, aware
from tuner.store.schema import tuner_events, tuner_studies

# No more than this are read at once.
_PAGE = 1000


class EventKind(StrEnum):
    """What happened.

    job_began       a tuner took the study; `owner`, and `replaces`, who had it and never ended
    trial_began     `purpose` and `configuration`
    phase_began     `phase`
    point_measured  `point`, all of its columns
    trial_ended     how, is in its row
    state_changed   `state` of the job
    said            `text`, a sentence for people
    job_ended       `why`, empty if it came to its end
    """

    JOB_BEGAN = "job_began"
    TRIAL_BEGAN = "trial_began"
    PHASE_BEGAN = "phase_began"
    POINT_MEASURED = "point_measured"
    TRIAL_ENDED = "trial_ended"
    STATE_CHANGED = "state_changed"
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


def append(connection: Connection, **values: Any) -> None:
    """Write one event, in the transaction of others; `values` are those of its columns."""
    connection.execute(tuner_events.insert().values(values))


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
    columns = tuner_events.c
    query = (
        sa.select(tuner_events)
        .join(tuner_studies, tuner_studies.c.id == columns.study_id)
        .where(tuner_studies.c.name == study, columns.id > after)
        .order_by(columns.id)
        .limit(_PAGE)
    )
    with database.reading() as connection:
        return tuple(map(_event, connection.execute(query).mappings()))


def last_event(database: Database, study: str, *kinds: EventKind) -> Event | None:
    """The newest of these kinds; None if there is none."""
    columns = tuner_events.c
    query = (
        sa.select(tuner_events)
        .join(tuner_studies, tuner_studies.c.id == columns.study_id)
        .where(tuner_studies.c.name == study, columns.kind.in_([each.value for each in kinds]))
        .order_by(columns.id.desc())
        .limit(1)
    )
    with database.reading() as connection:
        row = connection.execute(query).mappings().first()
        return None if row is None else _event(row)


def _event(row: sa.RowMapping) -> Event:
    return Event(
        id=row["id"],
        fence=row["fence"],
        at=aware(row["at"]),
        kind=EventKind(row["kind"]),
        trial=row["trial"],
        content=row["content"],
    )

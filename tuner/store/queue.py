"""The jobs that a service was asked to run: their order, their states, and who changed them.

A queued job becomes a study when its turn comes; until then only what was asked for is known. Each
change of its state is a row of its own, with its time and its reason.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tuner.errors import InputError
from tuner.store.database import Database, aware
from tuner.store.schema import tuner_queue, tuner_queue_changes, tuner_studies

# No more changes than this are read at once.
_PAGE = 1000
# What can be the number of a job; longer ones fit into no column.
_NUMBER = re.compile(r"[0-9]{1,9}")


class QueueState(StrEnum):
    """Where a job stands.

    queued      it waits for its turn
    running     its process runs the study
    paused      its study is paused, and keeps the machine
    stopping    it was asked to end, with its finals or without
    done        its study has ended
    failed      it ended with an error, or was killed more often than it is continued
    cancelled   somebody did not want it any more
    """

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_active(self) -> bool:
        """Whether it has the machine."""
        return self in (QueueState.RUNNING, QueueState.PAUSED, QueueState.STOPPING)

    @property
    def is_over(self) -> bool:
        return self in (QueueState.DONE, QueueState.FAILED, QueueState.CANCELLED)


ACTIVE = tuple(state for state in QueueState if state.is_active)


@dataclass(frozen=True, kw_only=True)
class QueuedJob:
    """One of them.

    `options` are those of `tuner optimize` that were said, by the names of its fields. `machine`
    is where the service runs that took it, `process` the name of the process that runs it, empty
    before its turn. It was begun `attempts` times, not counting those after a restart of the
    machine. `why` it is in its state is empty where there is nothing to say. `cancelled_by` is who
    did not want it any more while it ran. `webhook` is the address that is told of its changes.
    """

    id: int
    study: str
    machine: str
    options: Mapping[str, Any]
    state: QueueState
    position: float
    by: str
    submitted_at: datetime
    began_at: datetime | None
    ended_at: datetime | None
    why: str
    attempts: int
    process: str
    log: str
    cancelled_by: str
    webhook: str
    idempotency_key: str | None
    request: str


@dataclass(frozen=True, kw_only=True)
class QueueChange:
    """A job came into `state` through `by`, the service itself where that is empty."""

    id: int
    job: int
    at: datetime
    state: QueueState
    why: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What somebody asks for; `request` tells the same request from another one with its key."""

    study: str
    machine: str
    options: Mapping[str, Any]
    by: str
    log: str
    webhook: str = ""
    idempotency_key: str | None = None
    request: str = ""


def submit(database: Database, wanted: Submission) -> tuple[QueuedJob, bool]:
    """The job at the end of the queue, and whether it is a new one.

    Who repeats a request with its idempotency key gets the job that it made.

    Raises:
        InputError: The key was used for something else, or the study's name is taken.
    """

    def write(connection: Connection) -> tuple[QueuedJob, bool]:
        _alone(connection)
        before = _with_key(connection, wanted)
        if before is not None:
            return before, False
        _check_free(connection, wanted.study)
        highest = sa.select(sa.func.coalesce(sa.func.max(tuner_queue.c.position), 0.0))
        now = datetime.now(UTC)
        row = {
            "study": wanted.study,
            "machine": wanted.machine,
            "options": dict(wanted.options),
            "state": QueueState.QUEUED.value,
            "position": float(connection.execute(highest).scalar_one()) + 1.0,
            "by": wanted.by,
            "submitted_at": now,
            "why": "",
            "attempts": 0,
            "process": "",
            "log": wanted.log,
            "cancelled_by": "",
            "webhook": wanted.webhook,
            "idempotency_key": wanted.idempotency_key,
            "request": wanted.request,
        }
        inserted = connection.execute(tuner_queue.insert().values(row)).inserted_primary_key
        assert inserted is not None  # noqa: S101 - the row has been written
        number = int(inserted[0])
        _note(connection, number, QueueState.QUEUED, at=now, why="", by=wanted.by)
        return _of_number(connection, number), True

    return database.write(write)


def queued_job(database: Database, number: int) -> QueuedJob | None:
    """The job with this number; None if there is none."""
    with database.reading() as connection:
        found = _found(connection, tuner_queue.c.id == number)
        return found[0] if found else None


def job_called(database: Database, name: str) -> QueuedJob | None:
    """The job with this number, or else with a study that is called so; None if there is none."""
    columns = tuner_queue.c
    with database.reading() as connection:
        found: tuple[QueuedJob, ...] = ()
        if _NUMBER.fullmatch(name):
            found = _found(connection, columns.id == int(name))
        found = found or _found(connection, columns.study == name)
        return found[0] if found else None


def queued_jobs(
    database: Database,
    *,
    states: Collection[QueueState] = tuple(QueueState),
    machine: str | None = None,
    by: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> tuple[QueuedJob, ...]:
    """Those in these states: first those that run, then the queue, then the latest ended.

    Of one `machine`, or that one asked for, where it is said.
    """
    wanted = _wanted(states, machine, by)
    with database.reading() as connection:
        return _found(connection, *wanted, limit=limit, offset=offset)


def how_many(
    database: Database,
    *,
    states: Collection[QueueState] = tuple(QueueState),
    machine: str | None = None,
    by: str | None = None,
) -> int:
    """How many `queued_jobs` there are in all."""
    query = sa.select(sa.func.count()).where(*_wanted(states, machine, by))
    with database.reading() as connection:
        return int(connection.execute(query).scalar_one())


def count(database: Database) -> dict[QueueState, int]:
    """How many jobs are in each state."""
    columns = tuner_queue.c
    query = sa.select(columns.state, sa.func.count()).group_by(columns.state)
    with database.reading() as connection:
        found = {QueueState(state): number for state, number in connection.execute(query)}
    return {state: found.get(state, 0) for state in QueueState}


def waits_since(database: Database) -> datetime | None:
    """When the job that has waited longest was submitted; None if none waits."""
    columns = tuner_queue.c
    query = sa.select(sa.func.min(columns.submitted_at)).where(
        columns.state == QueueState.QUEUED.value
    )
    with database.reading() as connection:
        found: datetime | None = connection.execute(query).scalar_one()
        return found and aware(found)


def bring(
    database: Database,
    number: int,
    state: QueueState,
    *,
    expected: Collection[QueueState],
    why: str = "",
    by: str = "",
    **values: Any,
) -> QueuedJob | None:
    """Bring the job into `state` if it is in one that is `expected`; as it is then, else None.

    `values` are those of further columns. The times of begin and end are written with it.
    """

    def write(connection: Connection) -> QueuedJob | None:
        found = _found(connection, tuner_queue.c.id == number, alone=True)
        if not found or found[0].state not in expected:
            return None
        now = datetime.now(UTC)
        changed: dict[str, Any] = {**values, "state": state.value, "why": why}
        if state.is_active and found[0].began_at is None:
            changed["began_at"] = now
        if state.is_over:
            changed["ended_at"] = now
        own = tuner_queue.c.id == number
        connection.execute(tuner_queue.update().where(own).values(changed))
        _note(connection, number, state, at=now, why=why, by=by)
        return _of_number(connection, number)

    return database.write(write)


def set_columns(database: Database, number: int, **values: Any) -> None:
    """Write down what is no change of the job's state, such as its process."""
    statement = tuner_queue.update().where(tuner_queue.c.id == number).values(values)
    database.write(lambda connection: connection.execute(statement))


def move(database: Database, number: int, place: int) -> QueuedJob | None:
    """Put a job that waits at this place, from 0, among those that wait for the same machine.

    None if it does not wait. A place beyond the last one is the last one.
    """

    def write(connection: Connection) -> QueuedJob | None:
        _alone(connection)
        waits = tuner_queue.c.state == QueueState.QUEUED.value
        of_it = sa.select(tuner_queue.c.machine).where(tuner_queue.c.id == number)
        of_machine = tuner_queue.c.machine == of_it.scalar_subquery()
        waiting = list(_found(connection, waits, of_machine))
        own = next((job for job in waiting if job.id == number), None)
        if own is None:
            return None
        places = [job.position for job in waiting]
        waiting.remove(own)
        waiting.insert(max(0, place), own)
        for job, position in zip(waiting, places, strict=True):
            this = tuner_queue.c.id == job.id
            connection.execute(tuner_queue.update().where(this).values(position=position))
        return _of_number(connection, number)

    return database.write(write)


def queue_changes(
    database: Database, *, job: int | None = None, after: int = 0
) -> tuple[QueueChange, ...]:
    """The next ones after that with the number `after`, of one job or of all, in their order."""
    columns = tuner_queue_changes.c
    wanted = [columns.id > after] + ([] if job is None else [columns.job_id == job])
    query = sa.select(tuner_queue_changes).where(*wanted).order_by(columns.id).limit(_PAGE)
    with database.reading() as connection:
        return tuple(queue_change(row) for row in connection.execute(query).mappings())


def _wanted(
    states: Collection[QueueState], machine: str | None, by: str | None
) -> list[sa.ColumnElement[bool]]:
    columns = tuner_queue.c
    wanted: list[sa.ColumnElement[bool]] = [columns.state.in_([state.value for state in states])]
    said = (columns.machine, machine), (columns.by, by)
    return wanted + [column == value for column, value in said if value is not None]


def _alone(connection: Connection) -> None:
    """Two that come at once would get one place; in SQLite, one that writes is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE tuner_queue IN SHARE ROW EXCLUSIVE MODE")


def _with_key(connection: Connection, wanted: Submission) -> QueuedJob | None:
    if wanted.idempotency_key is None:
        return None
    found = _found(connection, tuner_queue.c.idempotency_key == wanted.idempotency_key)
    if found and found[0].request != wanted.request:
        raise InputError(
            f"the idempotency key `{wanted.idempotency_key}` was used for another request",
            hint="use a new key for each job",
        )
    return found[0] if found else None


def _check_free(connection: Connection, study: str) -> None:
    for table, column in (("queue", tuner_queue.c.study), ("database", tuner_studies.c.name)):
        if connection.execute(sa.select(column).where(column == study)).first():
            raise InputError(
                f"there is a study `{study}` in the {table} already",
                hint="choose another name, or leave it out",
            )


def _found(
    connection: Connection,
    *wanted: sa.ColumnElement[bool],
    limit: int | None = None,
    offset: int = 0,
    alone: bool = False,
) -> tuple[QueuedJob, ...]:
    columns = tuner_queue.c
    is_over = columns.state.in_([state.value for state in QueueState if state.is_over])
    query = (
        sa.select(tuner_queue)
        .where(*wanted)
        .order_by(
            is_over,
            columns.state == QueueState.QUEUED.value,
            columns.ended_at.desc(),
            columns.position,
            columns.id,
        )
        .limit(limit)
        .offset(offset)
    )
    if alone:
        query = query.with_for_update()
    return tuple(_job(row) for row in connection.execute(query).mappings())


def _of_number(connection: Connection, number: int) -> QueuedJob:
    (found,) = _found(connection, tuner_queue.c.id == number)
    return found


def _note(
    connection: Connection, number: int, state: QueueState, *, at: datetime, why: str, by: str
) -> None:
    row = {"job_id": number, "at": at, "state": state.value, "why": why, "by": by}
    connection.execute(tuner_queue_changes.insert().values(row))


def _job(row: sa.RowMapping) -> QueuedJob:
    moments = {n: row[n] and aware(row[n]) for n in ("submitted_at", "began_at", "ended_at")}
    return QueuedJob(**{**row, "state": QueueState(row["state"]), **moments})


def queue_change(row: sa.RowMapping) -> QueueChange:
    """What a row of the changes says."""
    return QueueChange(
        id=row["id"],
        job=row["job_id"],
        at=aware(row["at"]),
        state=QueueState(row["state"]),
        why=row["why"],
        by=row["by"],
    )

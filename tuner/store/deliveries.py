"""What was sent to the webhooks of jobs: an attempt is a row, so that nothing is forgotten."""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from tuner.store.database import Database, aware
from tuner.store.queue import QueueChange, queue_change
from tuner.store.schema import tuner_deliveries, tuner_queue, tuner_queue_changes

# A change is sent so often at most.
MOST_ATTEMPTS = 8
# No more than this are read at once.
_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An attempt to tell of the change with the number `change`.

    `status` is that of the answer, None if there was none; `error` why it was in vain.
    """

    id: int
    change: int
    attempt: int
    at: datetime
    status: int | None
    error: str

    @property
    def arrived(self) -> bool:
        return not self.error


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A change that is to be told of; `attempts` were in vain, the last of them at `tried_at`."""

    change: QueueChange
    attempts: int
    tried_at: datetime | None


def pending(database: Database, machine: str, *, after: int = 0) -> tuple[Pending, ...]:
    """The changes after that with the number `after` that are still to be told of, in their order.

    Of jobs of this machine that have a webhook.
    """
    changes, tries = tuner_queue_changes.c, tuner_deliveries.c
    last = sa.func.max(tries.attempt).label("attempts")
    arrived = sa.func.max(sa.case((tries.error == "", 1), else_=0))
    query = (
        sa.select(tuner_queue_changes, last, sa.func.max(tries.at).label("tried_at"))
        .join(tuner_queue, tuner_queue.c.id == changes.job_id)
        .outerjoin(tuner_deliveries, tries.change_id == changes.id)
        .where(changes.id > after, tuner_queue.c.webhook != "", tuner_queue.c.machine == machine)
        .group_by(*changes)
        .having(sa.func.coalesce(arrived, 0) == 0, sa.func.coalesce(last, 0) < MOST_ATTEMPTS)
        .order_by(changes.id)
        .limit(_PAGE)
    )
    with database.reading() as connection:
        return tuple(_pending(row) for row in connection.execute(query).mappings())


def tell(database: Database, change: int, attempt: int, *, status: int | None, error: str) -> None:
    """Write down an attempt; without an `error`, the change was told."""
    row = {
        "change_id": change,
        "attempt": attempt,
        "at": datetime.now(UTC),
        "status": status,
        "error": error,
    }
    of_change = tuner_queue_changes.c.id == change
    job = sa.select(tuner_queue_changes.c.job_id).where(of_change).scalar_subquery()
    statement = tuner_deliveries.insert().values(**row, job_id=job)
    database.write(lambda connection: connection.execute(statement))


def deliveries(database: Database, job: int) -> tuple[Delivery, ...]:
    """All attempts for the job, in their order."""
    columns = tuner_deliveries.c
    query = sa.select(
        columns.id, columns.change_id.label("change"), columns.attempt, columns.at,
        columns.status, columns.error,
    )  # fmt: skip
    of_job = query.where(columns.job_id == job).order_by(columns.id).limit(_PAGE)
    with database.reading() as connection:
        return tuple(
            Delivery(**{**row, "at": aware(row["at"])})
            for row in connection.execute(of_job).mappings()
        )


def _pending(row: sa.RowMapping) -> Pending:
    return Pending(
        change=queue_change(row),
        attempts=row["attempts"] or 0,
        tried_at=row["tried_at"] and aware(row["tried_at"]),
    )

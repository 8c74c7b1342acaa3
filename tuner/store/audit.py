"""Who changed what through a service, in rows that are only ever added."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from tuner.store.database import Database, aware
from tuner.store.schema import tuner_audit

# No more than this are read at once.
PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """Somebody (`by`, empty if it is not known who) at `address` did `action` to `subject`."""

    id: int
    at: datetime
    by: str
    address: str
    action: str
    subject: str
    content: Mapping[str, Any] = field(default_factory=dict)


def note(
    database: Database,
    *,
    by: str,
    address: str,
    action: str,
    subject: str,
    content: Mapping[str, Any],
) -> None:
    """Write down what somebody did; what is longer than its column is cut off.

    Raises:
        StorageError: It cannot be written.
    """
    row = {
        "at": datetime.now(UTC),
        "by": _text(by, 100),
        "address": _text(address, 100),
        "action": _text(action, 50),
        "subject": _text(subject, 300),
        "content": dict(content),
    }
    database.write(lambda connection: connection.execute(tuner_audit.insert().values(row)))


def audit_entries(
    database: Database, *, before: int | None = None, limit: int = PAGE
) -> tuple[AuditEntry, ...]:
    """The latest ones first, of those with a number below `before`; at most a page and one."""
    columns = tuner_audit.c
    query = sa.select(tuner_audit).order_by(columns.id.desc()).limit(min(limit, PAGE + 1))
    if before is not None:
        query = query.where(columns.id < before)
    with database.reading() as connection:
        return tuple(_entry(row) for row in connection.execute(query).mappings())


def _text(text: str, length: int) -> str:
    """What every database keeps: no NUL, no half of a surrogate pair, not too long."""
    return (
        text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()[:length]
    )


def _entry(row: sa.RowMapping) -> AuditEntry:
    return AuditEntry(**{**row, "at": aware(row["at"])})

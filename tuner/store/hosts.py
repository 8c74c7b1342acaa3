"""The hosts of a fleet that a study has, as its driver sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tuner.store.database import Database, aware
from tuner.store.schema import tuner_hosts, tuner_studies


class HostState(StrEnum):
    """What a host does for a study.

    ready      it waits for a trial
    measuring  it runs one
    resting    it spoiled a trial: it is tried again later
    aside      it is not used any more, for what it did in this study
    refused    it cannot take part: something is missing there, or it is of another group
    lost       it is gone, or was not heard of for too long; it may come back
    dismissed  it is not needed any more
    """

    READY = "ready"
    MEASURING = "measuring"
    RESTING = "resting"
    ASIDE = "aside"
    REFUSED = "refused"
    LOST = "lost"
    DISMISSED = "dismissed"


# States of a host that measures, or will.
USABLE = (HostState.READY, HostState.MEASURING, HostState.RESTING)


@dataclass(frozen=True, kw_only=True)
class HostRecord:
    """One of them; `why` it is in its state, in words for people, where that needs a reason.

    `kind` is that of its hardware: hosts of one kind make a group. `trial` is the number of the
    trial that it measures, `attempt` that of its last attempt, 0 if it had none.
    """

    name: str
    kind: str
    hardware: Mapping[str, Any]
    state: HostState
    why: str = ""
    trial: int | None = None
    attempt: int = 0
    changed_at: datetime

    @property
    def is_there(self) -> bool:
        """Whether it measures, or will."""
        return self.state in USABLE


def save_hosts(connection: Connection, study_id: int, hosts: Sequence[HostRecord]) -> None:
    """Write these, in the transaction of others; other hosts of the study stay as they are."""
    columns, new = tuner_hosts.c, []
    for host in hosts:
        own = (columns.study_id == study_id) & (columns.name == host.name)
        if not connection.execute(tuner_hosts.update().where(own).values(_row(host))).rowcount:
            new.append(_row(host) | {"study_id": study_id})
    if new:
        connection.execute(tuner_hosts.insert(), new)


def hosts_of(database: Database, study: str) -> tuple[HostRecord, ...]:
    """Those of the study, by their names; empty where it had no fleet."""
    query = (
        sa.select(tuner_hosts)
        .join(tuner_studies)
        .where(tuner_studies.c.name == study)
        .order_by(tuner_hosts.c.name)
    )
    with database.reading() as connection:
        return tuple(_host(row) for row in connection.execute(query).mappings())


def _row(host: HostRecord) -> dict[str, Any]:
    return {
        "name": host.name,
        "kind": host.kind,
        "hardware": dict(host.hardware),
        "state": host.state.value,
        "why": host.why,
        "trial": host.trial,
        "attempt": host.attempt,
        "changed_at": host.changed_at,
    }


def _host(row: sa.RowMapping) -> HostRecord:
    return HostRecord(
        name=row["name"],
        kind=row["kind"],
        hardware=row["hardware"],
        state=HostState(row["state"]),
        why=row["why"],
        trial=row["trial"],
        attempt=row["attempt"],
        changed_at=aware(row["changed_at"]),
    )

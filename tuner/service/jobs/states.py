"""How a job may go from one state to another, and a change that keeps to it."""

from collections.abc import Mapping
from typing import Any

from tuner.store.database import Database
from tuner.store.queue import QueuedJob, QueueState, bring

_ENDS = (QueueState.DONE, QueueState.FAILED, QueueState.CANCELLED)

# What runs may begin to run again: after its process was killed.
NEXT: Mapping[QueueState, tuple[QueueState, ...]] = {
    QueueState.QUEUED: (QueueState.RUNNING, QueueState.FAILED, QueueState.CANCELLED),
    QueueState.RUNNING: (QueueState.RUNNING, QueueState.PAUSED, QueueState.STOPPING, *_ENDS),
    QueueState.PAUSED: (QueueState.RUNNING, QueueState.STOPPING, *_ENDS),
    QueueState.STOPPING: _ENDS,
    QueueState.DONE: (),
    QueueState.FAILED: (),
    QueueState.CANCELLED: (),
}


def brought(
    database: Database,
    job: QueuedJob,
    state: QueueState,
    *,
    why: str = "",
    by: str = "",
    **values: Any,
) -> QueuedJob | None:
    """The job in `state`; None if it is in one meanwhile that does not lead there.

    `values` are those of further columns.
    """
    before = [each for each, leads_to in NEXT.items() if state in leads_to]
    return bring(database, job.id, state, expected=before, why=why, by=by, **values)

"""/: what runs now, what waits, and what has ended lately."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tuner.report.status import Status, document
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.api.news import Position
from tuner.service.api.standing import Known, Statuses
from tuner.service.jobs.forecast import expected_starts
from tuner.service.pages.rendering import page
from tuner.service.service import Service
from tuner.store.events import last_numbers
from tuner.store.queue import ACTIVE, QueuedJob, QueueState, count, queued_jobs

_ENDED = tuple(state for state in QueueState if state.is_over)
# Jobs of each part; the list of studies has all that began.
_MOST_WAITING, _MOST_ENDED = 50, 6

routes = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Shown:
    """A job with what is known of its study; `found` is None before it began."""

    job: QueuedJob
    status: Status | None

    @property
    def found(self) -> dict[str, Any] | None:
        return None if self.status is None else document(self.status)

    @property
    def baseline(self) -> float:
        """What the server's defaults carry, in the unit of the study; 0 where nobody knows."""
        own = self.status.result.baseline if self.status else None
        return own.throughput if own else 0.0


@routes.get("/")
def queue(request: Request, service: Here, known: Known, _: Reader) -> HTMLResponse:
    """The whole page."""
    # Numbers first: what happens while the page is made comes once more, and not never.
    after = Position(*last_numbers(service.storage))
    return page(request, "queue.html", after=after, **_parts(service, known))


@routes.get("/queue")
def parts(request: Request, service: Here, known: Known, _: Reader) -> HTMLResponse:
    """What of it changes."""
    return page(request, "queue_parts.html", **_parts(service, known))


def _parts(service: Service, known: Statuses) -> dict[str, Any]:
    storage = service.storage
    active = queued_jobs(storage, states=ACTIVE)
    waiting = queued_jobs(storage, states=[QueueState.QUEUED], limit=_MOST_WAITING)
    ended = queued_jobs(storage, states=_ENDED, limit=_MOST_ENDED)
    return {
        "active": [Shown(job, known.of(job.study)) for job in active],
        "waiting": waiting,
        "ended": [Shown(job, known.of(job.study)) for job in ended],
        "counts": count(storage),
        "expected": expected_starts(service),
    }

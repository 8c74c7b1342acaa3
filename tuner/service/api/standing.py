"""How jobs and their studies stand, without reading again what has not changed."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request

from tuner.errors import InputError
from tuner.report.json_text import finite
from tuner.report.status import Status, document, of_study
from tuner.service.api.documents import JobDocument, StatusDocument
from tuner.service.jobs.forecast import expected_starts
from tuner.service.service import Service
from tuner.store.queue import QueuedJob, QueueState

# Of so many studies the last status is kept, with their trials.
_MOST_KNOWN = 8
_MINUTE = timedelta(minutes=1)


class Statuses:
    """Those of the studies of one service; used by several threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._known: OrderedDict[str, Status] = OrderedDict()
        self._alone = threading.Lock()

    def of(self, study: str) -> Status | None:
        """None where there is no such study yet."""
        with self._alone:
            known = self._known.get(study)
        try:
            found = of_study(self._service.storage, study, known)
        except InputError:
            return None
        with self._alone:
            self._known[study] = found
            self._known.move_to_end(study)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return found

    def described(self, job: QueuedJob) -> JobDocument:
        """The job with all that is known of it."""
        (found,) = self.listed([job])
        has_begun = job.began_at is not None and not job.state.is_active
        return found.model_copy(update={"status": self._document(job)}) if has_begun else found

    def listed(self, jobs: Sequence[QueuedJob]) -> list[JobDocument]:
        """Each with its place and expected start, and with its status where it runs."""
        waits = any(job.state is QueueState.QUEUED for job in jobs)
        starts = expected_starts(self._service) if waits else {}
        places = {number: place for place, number in enumerate(starts)}
        return [
            JobDocument.of(
                job,
                place=places.get(job.id),
                expected_start=_to_minute(starts.get(job.id)),
                status=self._document(job) if job.state.is_active else None,
            )
            for job in jobs
        ]

    def _document(self, job: QueuedJob) -> StatusDocument | None:
        status = self.of(job.study)
        return StatusDocument(**finite(document(status))) if status else None


def _to_minute(moment: datetime | None) -> datetime | None:
    """The next whole one: nobody knows better, and what is asked again is the same."""
    return moment and (moment + _MINUTE).replace(second=0, microsecond=0)


async def statuses_of(request: Request) -> Statuses:
    """Those of the service that answers `request`; a dependency of routes."""
    found: Statuses = request.app.state.statuses
    return found


Known = Annotated[Statuses, Depends(statuses_of)]

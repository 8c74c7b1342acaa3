"""What a job of a service does, shown as it happens: from its place in the queue to its result."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from tuner.analysis.rate_unit import RateUnit
from tuner.cli.attach import tell
from tuner.cli.console import err, note
from tuner.cli.remote.connection import command_there
from tuner.clients.service import JOB_CHANGED, LostError, ServiceClient, ServiceEvent, job_path
from tuner.errors import TunerError
from tuner.goals import SearchBudget
from tuner.report import terminal
from tuner.report.budgets import stored_budget
from tuner.report.fleet_progress import FleetProgress
from tuner.report.status import trial_of
from tuner.store.events import Event, EventKind


def follow(service: ServiceClient, job: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Show on stderr all that happened to the job, and happens, until it is over; as it is then.

    Raises:
        TunerError: It failed or was cancelled, or the service is gone for long.
    """
    study = job["study"]
    shown = _Shown(service, job)
    try:
        with shown:
            for event in service.followed(study, _note_lost):
                shown.tell(event)
    except KeyboardInterrupt:
        stop = command_there(url, "stop", study)
        note(f"study {study} goes on without being watched; end it with: {stop}")
        raise
    ended: dict[str, Any] = service.get(job_path(study))
    if ended["state"] in ("failed", "cancelled"):
        raise TunerError(
            f"job {ended['id']} (study {study}) {_ENDED[ended['state']]}{_why(ended)}",
            hint=f"its output: {service.url}/api/v1{job_path(ended['id'])}/log",
        )
    return ended


_ENDED = {"failed": "failed", "cancelled": "was cancelled"}


def _note_lost(error: LostError) -> None:
    note(f"{error.message}; the job does not depend on it, and it is waited for")


def _note_change(job: Mapping[str, Any]) -> None:
    if job["state"] != "queued":  # which was said when it was submitted
        note(f"job {job['job']} is {job['state']}{_why(job)}")


def _why(job: Mapping[str, Any]) -> str:
    """Its first line, after a colon."""
    first = str(job["why"]).partition("\n")[0]
    return f": {first}" if first else ""


class _Shown(ExitStack):
    """The progress of a study, from the moment that it has begun."""

    def __init__(self, service: ServiceClient, job: Mapping[str, Any]) -> None:
        super().__init__()
        self._service, self._job = service, job
        self._progress: terminal.LiveProgress | None = None

    def tell(self, event: ServiceEvent) -> None:
        if event.name == JOB_CHANGED:
            _note_change(event.data)
            return
        found = read(event)
        if found is None:
            return
        if self._progress is None:
            self._progress = self.enter_context(self._begun())
        if found.kind is EventKind.TRIAL_ENDED:
            self._progress.trial_ends(trial_of(event.data))
        else:
            tell(found, self._progress)

    def _begun(self) -> terminal.LiveProgress:
        job = self._service.get(job_path(self._job["study"]))
        options, status = job["options"], job["status"] or {}
        limits = SearchBudget(
            **{
                name: options[name]
                for name in ("trials", "finalists", "confirmations")
                if name in options
            }
        )
        left_s = status.get("left_s")
        shown = FleetProgress if options.get("fleet") else terminal.LiveProgress
        return shown(
            err,
            limit_latency=stored_budget(options),
            unit=status.get("unit") or RateUnit.INFERENCES,
            deadline_s=None if left_s is None else time.monotonic() + left_s,
            trials=limits.trials + limits.finals,
            waits="until" not in options,
        )


def read(event: ServiceEvent) -> Event | None:
    """The event of the study; None if this version does not know its kind."""
    if event.name not in set(EventKind):
        return None
    content = dict(event.data)
    return Event(
        id=0,
        fence=0,
        at=datetime.fromisoformat(content.pop("at")),
        kind=EventKind(event.name),
        trial=content.pop("trial", None),
        content=content,
    )

"""The buttons of a job: what a form asks for, and the page that shows what came of it."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

from tuner.service.access.principal import Principal, Runner
from tuner.service.api.audited import audited
from tuner.service.api.lookup import Here, JobKey, found_job
from tuner.service.jobs import control
from tuner.service.service import Service
from tuner.store.queue import QueuedJob

routes = APIRouter(prefix="/jobs/{job}", include_in_schema=False)


@routes.post("/pause")
def pause(job: JobKey, service: Here, who: Runner) -> RedirectResponse:
    """After the load point in progress."""
    found = control.pause(service, found_job(service, job).id, by=who.name)
    return _done(service, who, "pause", found)


@routes.post("/continue")
def go_on(job: JobKey, service: Here, who: Runner) -> RedirectResponse:
    """Of a paused one."""
    found = control.go_on(service, found_job(service, job).id, by=who.name)
    return _done(service, who, "continue", found)


@routes.post("/stop")
def stop(
    job: JobKey, service: Here, who: Runner, *, now: Annotated[bool, Form()] = False
) -> RedirectResponse:
    """With its finals or, `now`, without."""
    found = control.stop(service, found_job(service, job).id, now=now, by=who.name)
    return _done(service, who, "stop", found, now=now)


@routes.post("/cancel")
def cancel(
    job: JobKey, service: Here, who: Runner, *, listed: Annotated[bool, Form()] = False
) -> RedirectResponse:
    """One that waits goes out of the queue, one that runs ends; `listed`: asked in the queue."""
    found = control.cancel(service, found_job(service, job).id, by=who.name)
    return _done(service, who, "cancel", found, to="/" if listed else "")


@routes.post("/move")
def move(
    job: JobKey, service: Here, who: Runner, place: Annotated[int, Form(ge=0, le=1_000_000)]
) -> RedirectResponse:
    """To another place of the queue."""
    found = control.move(service, found_job(service, job).id, place)
    return _done(service, who, "move", found, to=f"/#waits-{found.id}", place=place)


def _done(
    service: Service, who: Principal, action: str, job: QueuedJob, *, to: str = "", **said: Any
) -> RedirectResponse:
    """Written down, and shown: by another request, so that going back asks for nothing twice."""
    audited(service, who, action, job.study, **said)
    return RedirectResponse(to or f"/jobs/{job.id}", HTTPStatus.SEE_OTHER)

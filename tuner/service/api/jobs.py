"""/api/v1/jobs: submit, list, show, plan, and what is asked of one."""

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tuner.service.access.principal import Reader, Runner
from tuner.service.api import logs
from tuner.service.api.audited import audited
from tuner.service.api.documents import (
    ChangeDocument,
    ChangesDocument,
    DeliveriesDocument,
    DeliveryDocument,
    JobDocument,
    JobsDocument,
    Limit,
    MoveRequest,
    Offset,
    Plain,
    StopRequest,
    StudyName,
)
from tuner.service.api.lookup import Here, JobKey, found_job
from tuner.service.api.plan import planned
from tuner.service.api.problems import documented
from tuner.service.api.standing import Known
from tuner.service.command import OptimizeCommand
from tuner.service.jobs import control
from tuner.service.jobs.submission import submitted
from tuner.store.deliveries import deliveries
from tuner.store.queue import QueueState, how_many, queue_changes, queued_jobs

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[ -~]+$",
        description="Who sends the same request with the same key again gets the same job.",
    ),
]
Webhook = Annotated[
    str,
    StringConstraints(pattern=r"^(https?://[!-~]+)?$", max_length=2000),
    Field(
        description="An address that is told of each change of the job's state.",
        examples=["https://ci.example/hooks/tuner"],
    ),
]


Options = TypeVar("Options", bound=BaseModel)


class PlanRequest(BaseModel, Generic[Options]):
    """What is to be planned."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"options": {"budget_ms": 50.0}}]}
    )

    options: Annotated[Options, Plain]

    def said(self) -> dict[str, Any]:
        """Those options that were said, as JSON values; null and false say nothing."""
        found: dict[str, Any] = self.options.model_dump(exclude_unset=True, mode="json")
        return {
            name: each for name, each in found.items() if each is not None and each is not False
        }


class JobRequest(PlanRequest[Options]):
    """What is to be run."""

    study: StudyName | Literal[""] = ""
    webhook: Webhook = ""


routes = APIRouter(prefix="/jobs", tags=["jobs"])
_SUBMITTED: dict[int | str, dict[str, Any]] = {
    200: {"model": JobDocument, "description": "It was submitted with this key before."}
}


def submitting(command: OptimizeCommand) -> APIRouter:
    """The routes that take what `command` takes."""
    made = APIRouter(prefix="/jobs", tags=["jobs"])

    @made.post(
        "",
        status_code=HTTPStatus.CREATED,
        operation_id="submit_job",
        summary="Have a study run when its turn comes",
        responses=_SUBMITTED | documented(409, 413),
    )
    def submit_job(
        asked: JobRequest[command.options],  # type: ignore[name-defined]
        service: Here,
        known: Known,
        who: Runner,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> JobDocument:
        job, is_new = submitted(
            service,
            asked.said(),
            by=who.name,
            study=asked.study,
            webhook=asked.webhook,
            key=idempotency_key,
        )
        response.headers["Location"] = f"/api/v1/jobs/{job.id}"
        if is_new:
            audited(service, who, "submit", job.study, options=job.options)
        else:
            response.status_code = HTTPStatus.OK
        return known.described(job)

    @made.post(
        "/plan",
        operation_id="plan_job",
        summary="Say what a job with these options would do, without doing it",
        description="What `tuner plan --json` says. One is made at a time.",
        responses=documented(409, 413),
    )
    def plan_job(
        asked: PlanRequest[command.options],  # type: ignore[name-defined]
        service: Here,
        _: Runner,
    ) -> dict[str, Any]:
        return planned(service, asked.said())

    return made


@routes.post(
    "/{job}/pause",
    operation_id="pause_job",
    summary="Have its study pause after the load point in progress; it keeps the machine",
    responses=documented(404, 409),
)
def pause_job(job: JobKey, service: Here, known: Known, who: Runner) -> JobDocument:
    done = control.pause(service, found_job(service, job).id, by=who.name)
    audited(service, who, "pause", done.study)
    return known.described(done)


@routes.post(
    "/{job}/continue",
    operation_id="continue_job",
    summary="Have a paused study go on",
    responses=documented(404, 409),
)
def continue_job(job: JobKey, service: Here, known: Known, who: Runner) -> JobDocument:
    done = control.go_on(service, found_job(service, job).id, by=who.name)
    audited(service, who, "continue", done.study)
    return known.described(done)


@routes.post(
    "/{job}/stop",
    operation_id="stop_job",
    summary="Have its search end after the load point in progress, then its finals",
    responses=documented(404, 409, 413),
)
def stop_job(
    job: JobKey, service: Here, known: Known, who: Runner, how: StopRequest | None = None
) -> JobDocument:
    now = how is not None and how.now
    done = control.stop(service, found_job(service, job).id, now=now, by=who.name)
    audited(service, who, "stop", done.study, now=now)
    return known.described(done)


@routes.post(
    "/{job}/cancel",
    operation_id="cancel_job",
    summary="Take it out of the queue, or end it without finals; what was measured is kept",
    responses=documented(404, 409),
)
def cancel_job(job: JobKey, service: Here, known: Known, who: Runner) -> JobDocument:
    done = control.cancel(service, found_job(service, job).id, by=who.name)
    audited(service, who, "cancel", done.study)
    return known.described(done)


@routes.post(
    "/{job}/move",
    operation_id="move_job",
    summary="Have it wait at another place of the queue",
    responses=documented(404, 409, 413),
)
def move_job(
    job: JobKey, where: MoveRequest, service: Here, known: Known, who: Runner
) -> JobDocument:
    done = control.move(service, found_job(service, job).id, where.place)
    audited(service, who, "move", done.study, place=where.place)
    return known.described(done)


@routes.get(
    "",
    operation_id="list_jobs",
    summary="Jobs: those that run, the queue in its order, then the latest ended",
    description="`status` is told of those that run.",
    responses=documented(),
)
def list_jobs(
    service: Here,
    known: Known,
    _: Reader,
    state: Annotated[
        list[QueueState] | None, Query(max_length=20, description="Any of these.")
    ] = None,
    by: Annotated[
        str | None,
        Query(max_length=100, pattern=r"^[^\x00-\x1f]*$", description="Who asked for it."),
    ] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> JobsDocument:
    states = tuple(state or QueueState)
    storage = service.storage
    found = queued_jobs(storage, states=states, by=by, limit=limit, offset=offset)
    return JobsDocument(
        items=known.listed(found),
        total=how_many(storage, states=states, by=by),
        limit=limit,
        offset=offset,
    )


@routes.get(
    "/{job}",
    operation_id="show_job",
    summary="What was asked for, where it stands, and why",
    responses=documented(404),
)
def show_job(job: JobKey, service: Here, known: Known, _: Reader) -> JobDocument:
    return known.described(found_job(service, job))


@routes.get(
    "/{job}/changes",
    operation_id="list_job_changes",
    summary="All changes of its state, with their time and reason",
    responses=documented(404),
)
def list_job_changes(job: JobKey, service: Here, _: Reader) -> ChangesDocument:
    found = queue_changes(service.storage, job=found_job(service, job).id)
    return ChangesDocument(items=[ChangeDocument.of(each) for each in found])


@routes.get(
    "/{job}/deliveries",
    operation_id="list_job_deliveries",
    summary="All attempts to tell its webhook",
    responses=documented(404),
)
def list_job_deliveries(job: JobKey, service: Here, _: Reader) -> DeliveriesDocument:
    found = deliveries(service.storage, found_job(service, job).id)
    return DeliveriesDocument(items=[DeliveryDocument.of(each) for each in found])


@routes.get(
    "/{job}/log",
    operation_id="read_job_log",
    summary="The end of what its process wrote",
    description="Without control characters, and without the secrets of URLs. Of a long log, "
    "the last 1,000,000 bytes are read.",
    response_class=PlainTextResponse,
    responses=documented(404),
)
def read_job_log(
    job: JobKey,
    service: Here,
    _: Reader,
    lines: Annotated[
        int, Query(ge=1, le=logs.MOST_LINES, description="So many at most, the last ones.")
    ] = 200,
) -> PlainTextResponse:
    return PlainTextResponse(logs.tail(Path(found_job(service, job).log), lines))

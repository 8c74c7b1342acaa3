"""/healthz and /readyz: what a supervisor asks; open to everybody, and silent about the rest."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from tuner.errors import StorageError
from tuner.service.api.lookup import Here
from tuner.service.api.problems import ProblemError, of_statuses
from tuner.service.jobs.dispatcher import Dispatcher
from tuner.store.events import last_numbers


class Health(BaseModel):
    """It is well."""

    status: Annotated[Literal["ok"], Field(description="Otherwise it is a problem.")] = "ok"


routes = APIRouter(tags=["health"])


@routes.get("/healthz", operation_id="check_alive", summary="Whether the service answers")
async def check_alive() -> Health:
    return Health()


@routes.get(
    "/readyz",
    operation_id="check_ready",
    summary="Whether its database answers, and jobs are looked after",
    responses=of_statuses(503),
)
def check_ready(service: Here, request: Request) -> Health:
    try:
        last_numbers(service.storage)
    except StorageError:  # whose words have the path of the database
        raise _unready("the database does not answer") from None
    # The one who serves the application has it; without one, jobs wait.
    dispatcher: Dispatcher | None = getattr(request.app.state, "dispatcher", None)
    if dispatcher is None or not dispatcher.is_well:
        raise _unready("jobs are not looked after")
    return Health()


def _unready(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, "the log of the service says why")

"""/studies: all studies of the database, a page at a time."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from tuner.report.status import StudyState
from tuner.report.study_lists import studies_page
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.pages.rendering import page

_PAGE = 25

routes = APIRouter(include_in_schema=False)


@routes.get("/studies")
def studies(
    request: Request,
    service: Here,
    _: Reader,
    name: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> HTMLResponse:
    """Those whose name has `name` in it and whose last job is in `state`, the newest first."""
    wanted = StudyState(state) if state in list(StudyState) else None
    found = studies_page(service.storage, part=name, state=wanted, limit=_PAGE, offset=offset)
    return page(
        request,
        "studies.html",
        rows=[(each, datetime.fromisoformat(each["created_at"])) for each in found.items],
        total=found.total,
        offset=offset,
        limit=_PAGE,
        name=name,
        state=state,
        states=list(StudyState),
    )

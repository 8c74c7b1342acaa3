"""The application: the interface and the pages of one service."""

from collections import Counter
from functools import cache

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

import tuner
from tuner.service.access import install as access
from tuner.service.access import login
from tuner.service.access.access import Access
from tuner.service.api import (
    audit,
    capacity,
    events,
    exports,
    health,
    jobs,
    machine,
    metrics,
    models,
    openapi,
    problems,
    spaces,
    studies,
    summaries,
)
from tuner.service.api.answers import KEPT_S, Again, Answers
from tuner.service.api.standing import Statuses
from tuner.service.api.watching import Watching
from tuner.service.command import OptimizeCommand
from tuner.service.pages import install as pages
from tuner.service.pages.login import login_page
from tuner.service.service import Service


def application(
    service: Service,
    *,
    kept_s: float = KEPT_S,
) -> FastAPI:
    """What a web server runs; answers may be as old as `kept_s`, in seconds."""
    app = FastAPI(
        title=openapi.TITLE,
        version=tuner.__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        routes=list(_routes(service.command)),
        # Asking whether there is any takes a third of the time of an answer that is kept.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    storage = service.storage
    requests: Counter[str] = Counter()
    app.state.service = service
    app.state.statuses = statuses = Statuses(service)
    app.state.watching = watching = Watching(storage)
    app.state.again = again = Again(requests)
    app.state.doctor = machine.Doctor()
    app.state.reports = exports.Reports()
    app.state.arrivals = models.Arrivals()
    app.state.figures = metrics.Figures(storage, statuses, watching, requests)
    problems.install(app)
    openapi.describe(app)
    pages.install(app)
    # The one that is added last is asked first.
    access.install(app, Access.opened(service.settings, storage), login_page)
    app.add_middleware(Answers, again=again, kept_s=kept_s)
    app.add_middleware(metrics.Requests, counts=requests)
    return app


@cache
def _routes(command: OptimizeCommand) -> tuple[BaseRoute, ...]:
    """All but the one of the document. They know no service: that is in the application's state.

    FastAPI takes long to make them of functions and their annotations.
    """
    found = APIRouter()
    for each in (
        events.routes,
        jobs.submitting(command),
        jobs.routes,
        studies.routes,
        summaries.routes,
        capacity.routes,
        exports.routes,
        studies.whole,
        spaces.routes,
        machine.routes,
        audit.routes,
        models.routes,
    ):
        found.include_router(each, prefix="/api/v1")
    for each in (health.routes, metrics.routes, *pages.ROUTERS, login.routes):
        found.include_router(each)
    return tuple(found.routes)

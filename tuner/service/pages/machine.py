"""/machine: whether this machine is fit for measuring, and what it offers."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tuner.errors import TunerError
from tuner.hints import host
from tuner.report import hints_text
from tuner.report.host_advice import host_advice
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.api.machine import Checks
from tuner.service.api.problems import ProblemError
from tuner.service.pages.rendering import page

routes = APIRouter(prefix="/machine", include_in_schema=False)


@routes.get("")
def machine(request: Request, _: Reader) -> HTMLResponse:
    """What it offers; the checks take a second, and are on a part that is asked for later."""
    here = host.detect()
    return page(
        request,
        "machine.html",
        facts=list(hints_text.host_lines(here)),
        checked=host_advice(here),
        text=hints_text,
    )


@routes.get("/checks")
def checks(request: Request, service: Here, doctor: Checks, _: Reader) -> HTMLResponse:
    """What `tuner doctor` says, or that it is not asked while a study runs."""
    found, refused = None, None
    try:
        found = doctor.says(service)
    except ProblemError as error:
        refused = TunerError(error.detail, hint=error.hint)
    return page(request, "machine_checks.html", found=found, refused=refused)

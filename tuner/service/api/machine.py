"""/api/v1/machine: whether the machine is fit for measuring, and what it offers."""

import threading
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from tuner.hints import host
from tuner.report.host_advice import host_advice_document
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.api.problems import ProblemError, documented
from tuner.service.api.study_documents import JsonAnswer
from tuner.service.service import Service
from tuner.store.jobs import is_measured_here
from tuner.store.queue import ACTIVE, queued_jobs
from tuner.watch.host_checks import checks_document, host_checks

# A check watches the machine for a second: so long its answer is given again.
_HOLDS = timedelta(seconds=10)


class CheckDocument(BaseModel):
    """One property of the machine."""

    name: str
    found: str
    fine: bool
    cost: str
    cure: str


class DoctorDocument(BaseModel):
    """Whether the machine is fit for measuring, and what was found of it then."""

    fit: bool
    checks: list[CheckDocument]
    checked_at: datetime


class Doctor:
    """Checks the machine while nothing is measured on it, and knows what it found last."""

    def __init__(self, last: DoctorDocument | None = None) -> None:
        self._alone = threading.Lock()
        self._last = last

    def says(self, service: Service) -> DoctorDocument:
        """What it finds now or, while a study runs here, what it found before.

        Raises:
            ProblemError: A study runs, and the machine was never looked at.
        """
        with self._alone:
            last, now = self._last, datetime.now(UTC)
            if last is not None and now - last.checked_at < _HOLDS:
                return last
            if _is_measured(service):
                if last is None:
                    raise ProblemError(
                        HTTPStatus.CONFLICT,
                        "a study runs on this machine, which a check would disturb",
                        "ask again when it is over",
                    )
                return last
            found = checks_document(list(host_checks()))
            self._last = DoctorDocument(**found, checked_at=datetime.now(UTC))
            return self._last


async def doctor_of(request: Request) -> Doctor:
    """Who checks the machine of the service that answers `request`; a dependency of routes."""
    found: Doctor = request.app.state.doctor
    return found


Checks = Annotated[Doctor, Depends(doctor_of)]


class HardwareDocument(BaseModel):
    """What the machine offers, and the hints that follow from that alone."""

    model_config = {"extra": "allow"}

    hints: list[dict[str, Any]]
    checked: int


routes = APIRouter(prefix="/machine", tags=["machine"])


@routes.get(
    "/doctor",
    operation_id="show_doctor",
    summary="Whether the service's machine is fit for measuring",
    description="While a study runs there it is not looked at: then the last answer is given.",
    response_description="What `tuner doctor --json` says, and when that was.",
    responses=documented(409),
)
def show_doctor(service: Here, doctor: Checks, _: Reader) -> DoctorDocument:
    return doctor.says(service)


@routes.get(
    "/hardware",
    operation_id="show_hardware",
    summary="What the service's machine offers, and what follows from that",
    response_model=HardwareDocument,
    response_description="What `tuner hardware --json` says.",
    responses=documented(),
)
def show_hardware(_: Reader) -> JsonAnswer:
    return JsonAnswer(host_advice_document(host.detect()))


def _is_measured(service: Service) -> bool:
    if queued_jobs(service.storage, states=ACTIVE, machine=service.machine, limit=1):
        return True
    return is_measured_here(service.storage)

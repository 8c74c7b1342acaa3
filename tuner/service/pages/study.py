"""/studies/{study}: what a study found, and what it says of other latency budgets.

Names of studies may have slashes, so that nothing follows a name in an address: a part of a study
is asked for by a query.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from tuner.analysis.standings import Standings, standings
from tuner.errors import InputError, TunerError
from tuner.exports.formats import forms_of
from tuner.exports.forms import ExportForm
from tuner.records import StudyRecord
from tuner.report import (
    answer_sheets,
    effects_text,
    evidence_sheets,
    findings,
    hints_text,
)
from tuner.report.best import Best, BestWish, best
from tuner.report.hosts import host_documents
from tuner.report.sheet import Sheet
from tuner.report.status import state_of
from tuner.report.study_advice import study_advice
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.pages.plot import Plot, plot
from tuner.service.pages.rendering import is_fragment, page
from tuner.service.service import Service
from tuner.store.jobs import job_of
from tuner.store.queue import job_called
from tuner.store.storage import Storage
from tuner.targets.catalog import server_kind

# Trials on a page of trials, and on the page of the study.
_PAGE, _FEW = 100, 20

Limit = Annotated[float | None, Query(alias="budget-ms", gt=0, lt=3_600_000)]
Name = Annotated[str, Query(alias="study", max_length=200)]
routes = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Slider:
    """The latency limits that a study can be asked for, in milliseconds."""

    least: float
    most: float
    step: float
    own: float


@routes.get("/trials")
def trials(
    name: Name,
    request: Request,
    service: Here,
    _: Reader,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> HTMLResponse:
    """All trials, a page at a time, the newest first."""
    shown = service.storage.study(name, brief=True)
    return page(
        request,
        "trials.html",
        study=shown,
        **_trials(shown, standings(shown), offset, _PAGE),
        offset=offset,
        limit=_PAGE,
        total=len(shown.trials),
    )


@routes.get("/hints")
def hints(name: Name, request: Request, service: Here, _: Reader) -> HTMLResponse:
    """Which advice holds for the study."""
    checked = study_advice(service.storage, name)
    shown = service.storage.study(name, trials=False)
    return page(request, "hints.html", study=shown, checked=checked, text=hints_text)


@routes.get("/studies/{name:path}")
def study(
    name: str, request: Request, service: Here, _: Reader, limit_ms: Limit = None
) -> HTMLResponse:
    """The whole page or, for a script, what is best for the limit that it asks for."""
    storage = service.storage
    if is_fragment(request):
        shown = storage.study(name, trials=False)
        return page(request, "best.html", **_answer(service, shown, limit_ms))
    shown, result = _with_compared(storage, name)
    job, runs = job_called(storage, name), job_of(storage, name)
    drawn = plot(storage, shown, result)
    return page(
        request,
        "study.html",
        study=shown,
        state=state_of(runs),
        job=job if job and job.study == name else None,
        result=result,
        headline=findings.headline(shown, result),
        remarks=findings.remarks(shown, result),
        sides=answer_sheets.sides(shown, result) if findings.compared(shown, result) else None,
        plot=drawn,
        slider=slider(drawn),
        effects=_effects(shown, result),
        hosts=host_documents(storage, shown, is_live=runs is not None and runs.is_live),
        forms=_forms(shown, result),
        **_answer(service, shown, limit_ms),
        **_trials(shown, result, 0, _FEW),
    )


def slider(drawn: Plot) -> Slider | None:
    """From the least latency that was measured to a few times the budget; None without points."""
    latencies = [point.latency_ms for point in drawn.points if not point.stopped_early]
    if not latencies:
        return None
    own = drawn.limit_ms
    step = 10.0 ** (math.floor(math.log10(own / 2)) - 1)
    least = max(1, math.floor(min(latencies) / step)) * step
    most = math.ceil(max(2 * own, min(max(latencies), 10 * own)) / step) * step
    return Slider(min(least, own), most, step, own)


def _with_compared(storage: Storage, name: str) -> tuple[StudyRecord, Standings]:
    """The study with the load points of what stands side by side, and of nothing else."""
    brief = storage.study(name, brief=True)
    compared = findings.compared(brief, standings(brief))
    found = storage.in_full(brief, [each.trial.number for each in compared.values()])
    return found, standings(found)


def _trials(study: StudyRecord, result: Standings, offset: int, limit: int) -> dict[str, Any]:
    newest = study.trials[::-1]
    return {
        "trials": newest[offset : offset + limit],
        "best_configuration": result.winner.configuration if result.winner else None,
        "baseline": study.baseline.configuration if study.baseline else None,
    }


def _answer(service: Service, study: StudyRecord, limit_ms: float | None) -> dict[str, Any]:
    """What is best for the limit that was asked for; nothing where none was."""
    found: Best | None = None
    error: TunerError | None = None
    if limit_ms is not None:
        try:
            found = best(
                service.storage,
                study.name,
                BestWish(budget_ms=limit_ms),
                service.command.measure,
            )
        except InputError as refused:
            error = refused
    baseline = found.study.baseline if found else None
    return {
        "answer": found,
        "answer_baseline": baseline.configuration if baseline else None,
        "answer_error": error or (found.refusal if found else None),
        "limit_ms": limit_ms,
        "name": study.name,
        "own_budget": study.budget,
    }


def _effects(study: StudyRecord, result: Standings) -> tuple[str, Sheet] | None:
    found = effects_text.of(study, result)
    if not found.effects:
        return None
    return effects_text.title(found), evidence_sheets.effects(found)


def _forms(study: StudyRecord, result: Standings) -> list[tuple[str, str]]:
    """What can be downloaded, by the form's name; nothing where there is nothing to deploy."""
    if result.winner is None:
        return []
    own = server_kind(study.server).configuration_file
    named = {ExportForm.FILE: own}
    forms = [(each.value, named.get(each, each.value)) for each in forms_of(study.server)]
    return [(form, label) for form, label in forms if form == "file" or label != own]

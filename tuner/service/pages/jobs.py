"""/jobs/{job}: a job as it runs, and what became of it."""

import math
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tuner.analysis.rate_unit import RateUnit
from tuner.records import StudyRecord
from tuner.report.budgets import stored_budget
from tuner.service.access.principal import Reader
from tuner.service.api.logs import tail
from tuner.service.api.lookup import Here, JobKey, found_job
from tuner.service.api.news import Position
from tuner.service.api.standing import Known
from tuner.service.jobs.forecast import expected_starts
from tuner.service.pages.plot import Plot, PlotPoint, plot
from tuner.service.pages.queue import Shown
from tuner.service.pages.rendering import page
from tuner.service.service import Service
from tuner.store.deliveries import deliveries
from tuner.store.events import Event, EventKind, events, last_numbers
from tuner.store.queue import QueuedJob, QueueState, queue_changes
from tuner.store.storage import Storage

# The newest trials, lines and changes on the page; the pages of the study have all trials.
_MOST_TRIALS, _MOST_LINES, _MOST_CHANGES = 40, 60, 30
# Has htmx ask no more: https://htmx.org/docs/#polling
_LAST = 286

routes = APIRouter(include_in_schema=False)


@routes.get("/jobs/{job}")
def job(job: JobKey, request: Request, service: Here, known: Known, _: Reader) -> HTMLResponse:
    """The whole page."""
    storage, found = service.storage, found_job(service, job)
    # Numbers first: what happens while the page is made comes once more, and not never.
    after = Position(*last_numbers(storage, study=found.study, job=found.id))
    shown = Shown(found, known.of(found.study))
    return page(
        request,
        "job.html",
        after=after,
        changes=queue_changes(storage, job=found.id)[-_MOST_CHANGES:][::-1],
        deliveries=deliveries(storage, found.id)[-_MOST_CHANGES:][::-1],
        plot=_plot(storage, shown),
        log=_log(found),
        **_parts(service, shown),
    )


@routes.get("/jobs/{job}/now")
def now(job: JobKey, request: Request, service: Here, known: Known, _: Reader) -> HTMLResponse:
    """Its state and its figures."""
    found = found_job(service, job)
    shown = Shown(found, known.of(found.study))
    code = _LAST if found.state.is_over else HTTPStatus.OK
    return page(request, "job_now.html", code=code, **_parts(service, shown))


@routes.get("/jobs/{job}/trials")
def trials(job: JobKey, request: Request, service: Here, known: Known, _: Reader) -> HTMLResponse:
    """Its newest trials."""
    found = found_job(service, job)
    shown = Shown(found, known.of(found.study))
    return page(request, "job_trials.html", **_parts(service, shown))


@routes.get("/jobs/{job}/points")
def points(job: JobKey, request: Request, service: Here, known: Known, _: Reader) -> HTMLResponse:
    """The table that its plot is drawn from."""
    found = found_job(service, job)
    shown = Shown(found, known.of(found.study))
    return page(request, "job_points.html", plot=_plot(service.storage, shown))


@routes.get("/jobs/{job}/log")
def log(job: JobKey, request: Request, service: Here, _: Reader) -> HTMLResponse:
    """The end of what it has said."""
    return page(request, "job_log.html", log=_log(found_job(service, job)))


def _log(job: QueuedJob) -> str:
    return tail(Path(job.log), _MOST_LINES)


def _parts(service: Service, shown: Shown) -> dict[str, Any]:
    status = shown.status
    study = status.study if status else None
    winner = status.result.winner if status else None
    starts = expected_starts(service) if shown.job.state is QueueState.QUEUED else {}
    return {
        "shown": shown,
        "job": shown.job,
        "status": status,
        "found": shown.found,
        "study": study,
        "baseline": study.baseline.configuration if study and study.baseline else None,
        "trials": _newest(study),
        "best_configuration": winner.configuration if winner else None,
        "expected": starts.get(shown.job.id),
        "place": next((n for n, each in enumerate(starts) if each == shown.job.id), None),
    }


def _newest(study: StudyRecord | None) -> list[Any]:
    return list(reversed(study.trials[-_MOST_TRIALS:])) if study else []


def _plot(storage: Storage, shown: Shown) -> Plot:
    """That of all trials, with the load points of the one in progress."""
    status, asked = shown.status, shown.job.options
    if status is None:
        budget = stored_budget(asked)
        # Its task may be that of a file which is read when it begins; limits of parts are surely
        # those of tokens.
        return Plot((), budget, RateUnit.of_answers(generated=budget.limits.of_parts))
    stored = plot(storage, status.study, status.result)
    if status.trial is None or not status.is_live:
        return stored
    following = events(storage, status.study.name, after=status.trial.id)
    fresh = [each for each in following if each.kind is EventKind.POINT_MEASURED]
    points = tuple(found for each in reversed(fresh) if (found := _fresh(each)))
    return replace(stored, points=(*points, *stored.points))


def _fresh(event: Event) -> PlotPoint | None:
    """A point of the trial in progress, if it belongs to a load curve."""
    point = event.content["point"]
    latency_s, tokens, trial = point["latency_s"], point.get("tokens_per_s"), event.trial
    if trial is None or point["kind"] != "open" or not isinstance(latency_s, float):
        return None
    return PlotPoint(
        trial=trial,
        throughput=point["throughput"],
        latency_ms=1e3 * latency_s,
        tokens_per_s=tokens if isinstance(tokens, float) and tokens > 0 else math.nan,
        kind="other",
        stopped_early=bool(point["stopped_early"]),
        on_front=False,
    )

"""Reports of studies, and the files that deploy what they found."""

import re
import threading
from collections import OrderedDict
from collections.abc import Hashable
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, Field

from tuner.analysis.standings import standings
from tuner.errors import InputError
from tuner.exports import formats
from tuner.exports.forms import DOCUMENTS, ExportForm
from tuner.records import StudyRecord
from tuner.report import digest, effects_text, html, markdown
from tuner.report.best import best
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.api.problems import documented
from tuner.service.api.study_documents import Study, Wish
from tuner.store.storage import Storage
from tuner.targets.catalog import server_kind

# The page has its script in it, and texts of servers and models. In a sandbox it belongs to no
# site: it can neither read what the reader's session could, nor send anything anywhere.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
# What a file is called, where its form is no name of a file.
_FILES = {
    ExportForm.ENV: "server.env",
    ExportForm.DOCKER_RUN: "docker-run.sh",
    ExportForm.COMPOSE: "compose.yaml",
    ExportForm.KUBERNETES: "kubernetes.yaml",
    ExportForm.SYSTEMD: "server.service",
}
# Reports that are kept: each has up to five megabytes.
_MOST_REPORTS = 4
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class ReportForm(StrEnum):
    """What a report is written in."""

    HTML = "html"
    MARKDOWN = "md"


class ExportDocument(BaseModel):
    """A form that a configuration can be handed over in."""

    form: ExportForm
    file: Annotated[str, Field(description="What the file is called.")]


class ExportsDocument(BaseModel):
    """The forms that there are for the server of a study."""

    study: str
    server: str
    items: list[ExportDocument]


def _texts(*kinds: str) -> dict[str, Any]:
    return {kind: {"schema": {"type": "string"}} for kind in kinds}


routes = APIRouter(tags=["studies"])


def attachment(study: str, file: str) -> str:
    """A `Content-Disposition` that saves `file` under a name with that of its study (RFC 6266)."""
    plain = _UNSAFE.sub("_", f"{study}-{file}").lstrip(".")
    # A browser decides with the last part of a path alone.
    full = quote(f"{study}-{file}".replace("/", "_").replace("\\", "_"), safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{full}"


class Reports:
    """Those that were asked for last, one made after the other: each takes half a second."""

    def __init__(self) -> None:
        self._alone = threading.Lock()
        self._made: OrderedDict[Hashable, str] = OrderedDict()

    def of(self, storage: Storage, study: str, form: ReportForm) -> str:
        """The report as it is made of what the database has now.

        Raises:
            InputError: There is no such study.
        """
        with self._alone:
            key = (form, _version(storage.study(study, brief=True)))
            text = self._made.pop(key, None) or _rendered(storage, study, form)
            self._made[key] = text
            if len(self._made) > _MOST_REPORTS:
                self._made.popitem(last=False)
            return text


async def reports_of(request: Request) -> Reports:
    """Those of the service that answers `request`; a dependency of routes."""
    found: Reports = request.app.state.reports
    return found


def _version(study: StudyRecord) -> Hashable:
    """What tells a study from itself as it was before."""
    return study.name, study.created_at, len(study.trials), study.stopped, repr(study.comparison)


def _rendered(storage: Storage, study: str, form: ReportForm) -> str:
    found = digest.digested(storage, study)
    result = standings(found)
    render = markdown.render if form is ReportForm.MARKDOWN else html.render
    return render(found, result, effects_text.of(found, result))


@routes.get(
    "/studies/{study:path}/report",
    operation_id="show_report",
    summary="The report: one page without anything from elsewhere, or Markdown",
    response_class=HTMLResponse,
    response_model=None,
    responses={200: {"content": _texts("text/html", "text/markdown")}, **documented(404)},
)
def show_report(
    study: Study,
    service: Here,
    reports: Annotated[Reports, Depends(reports_of)],
    _: Reader,
    form: Annotated[
        ReportForm, Query(alias="format", description="HTML, or Markdown for a ticket.")
    ] = ReportForm.HTML,
) -> HTMLResponse | PlainTextResponse:
    text = reports.of(service.storage, study, form)
    if form is ReportForm.MARKDOWN:
        return PlainTextResponse(text, media_type="text/markdown")
    return HTMLResponse(text, headers={"Content-Security-Policy": REPORT_POLICY})


@routes.get(
    "/studies/{study:path}/exports",
    operation_id="list_exports",
    summary="The forms that the winner of a study can be handed over in",
    responses=documented(404),
)
def list_exports(study: Study, service: Here, _: Reader) -> ExportsDocument:
    found = service.storage.study(study, trials=False)
    items = [
        ExportDocument(form=form, file=_file(form, found.server))
        for form in formats.forms_of(found.server)
    ]
    return ExportsDocument(study=found.name, server=found.server, items=items)


@routes.get(
    "/studies/{study:path}/exports/{form}",
    operation_id="show_export",
    summary="The best configuration as a file: the server's own, or what deploys it",
    description="For another latency budget or objective than the study's, it is what the "
    "load points say.",
    response_class=PlainTextResponse,
    responses={200: {"content": _texts("text/plain")}, **documented(404, 409)},
)
def show_export(
    study: Study,
    service: Here,
    _: Reader,
    wish: Wish,
    form: Annotated[ExportForm, Path(description="One of those that `exports` lists.")],
    image: Annotated[
        str,
        Query(max_length=300, description="Image to deploy, in place of the study's own."),
    ] = "",
) -> PlainTextResponse:
    if form in DOCUMENTS:
        raise InputError(
            f"`{form}` is a document, and deploys nothing",
            hint=f"GET /api/v1/studies/{study}/best has all that it has",
        )
    found = best(service.storage, study, wish, service.command.measure)
    if found.trial is None:
        raise found.refusal or InputError(f"study `{study}` has nothing to deploy")
    text = formats.export(form, found.study, found.trial, image=image)
    file = _file(form, found.study.server)
    headers = {"Content-Disposition": attachment(found.study.name, file)}
    return PlainTextResponse(text, headers=headers)


def _file(form: ExportForm, server: str) -> str:
    if form is ExportForm.FILE:
        return server_kind(server).configuration_file
    return _FILES.get(form, form.value)

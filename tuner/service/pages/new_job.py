"""/jobs/new: what is to be run, what would come of it, and the job that comes of it."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from tuner.errors import InputError, TunerError
from tuner.service.access.principal import Reader, Runner
from tuner.service.api.audited import audited
from tuner.service.api.lookup import Here
from tuner.service.api.plan import planned
from tuner.service.api.problems import ProblemError
from tuner.service.jobs.submission import submitted
from tuner.service.models.stored import ModelKind, models
from tuner.service.pages import form
from tuner.service.pages.form import Said
from tuner.service.pages.rendering import page
from tuner.service.service import Service
from tuner.service.settings import Settings
from tuner.space.files import built_in

_MOST_FIELDS, _LONGEST = 200, 20_000
# What the choice of a model begins with: how it is asked for.
_FILE, _REPOSITORY = "file:", "repository:"

routes = APIRouter(prefix="/jobs", include_in_schema=False)


async def _typed(request: Request) -> Mapping[str, str]:
    """The texts of the form."""
    found = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    return {name: value[:_LONGEST] for name, value in found.items() if isinstance(value, str)}


Typed = Annotated[Mapping[str, str], Depends(_typed)]


@routes.get("/new")
def new_job(request: Request, service: Here, _: Reader) -> HTMLResponse:
    """The empty form."""
    return _form(request, service, Said({}, {}))


@routes.post("/new")
def submit(request: Request, service: Here, who: Runner, typed: Typed) -> Response:
    """A job that waits, or the form with what is wrong with it."""
    said = _said(service, typed)
    if said.errors:
        return _form(request, service, said)
    try:
        job, _ = submitted(
            service,
            _options(service, typed),
            by=who.name,
            study=typed.get("study", "").strip(),
            webhook=typed.get("webhook", "").strip(),
        )
    except TunerError as error:
        return _form(request, service, _refused(service, said, error))
    audited(service, who, "submit", job.study, job=job.id, options=dict(job.options))
    return RedirectResponse(f"/jobs/{job.id}", HTTPStatus.SEE_OTHER)


@routes.post("/plan")
def plan(request: Request, service: Here, _: Runner, typed: Typed) -> HTMLResponse:
    """The form, with what a job of it would do."""
    said = _said(service, typed)
    if said.errors:
        return _form(request, service, said)
    try:
        found = planned(service, _options(service, typed))
    except TunerError as error:
        return _form(request, service, _refused(service, said, error))
    except ProblemError as error:
        refused = InputError(error.detail, hint=error.hint)
        return _form(request, service, _refused(service, said, refused))
    return _form(request, service, said, plan=found)


def _form(
    request: Request, service: Service, said: Said, plan: Mapping[str, Any] | None = None
) -> HTMLResponse:
    fields = form.fields(service.command.options)
    named = {field.name: field for field in fields}
    groups = form.groups(fields)
    is_wrong = bool(said.errors or said.refusal)
    shown = page(
        request,
        "new_job.html",
        code=HTTPStatus.UNPROCESSABLE_ENTITY if is_wrong else HTTPStatus.OK,
        first=[named[name] for name in form.FIRST],
        groups=groups,
        unfolded={
            title
            for title, rare in groups.items()
            if any(said.texts.get(each.name) or each.name in said.errors for each in rare)
        },
        models=_models(service.settings),
        spaces=_spaces(service.settings),
        said=said,
        plan=plan,
    )
    if is_wrong:
        shown.headers["HX-Reswap"] = "outerHTML show:#content:top"
    return shown


def _said(service: Service, typed: Mapping[str, str]) -> Said:
    """What was typed, with what the options themselves refuse."""
    try:
        service.command.options.model_validate(_options(service, typed))
    except ValidationError as error:
        return Said(typed, form.faults(error))
    return Said(typed, {})


def _refused(service: Service, said: Said, error: TunerError) -> Said:
    """The message at the field that it is about, else at the top."""
    name = form.blamed(error, form.fields(service.command.options))
    errors = {name: f"{error.message}. {error.hint}".strip()} if name else {}
    return replace(said, errors=errors, refusal=error)


def _options(service: Service, typed: Mapping[str, str]) -> dict[str, Any]:
    """Those that were said, as the model of the options reads them."""
    texts = dict(typed)
    chosen = texts.pop("chosen_model", "")
    if chosen.startswith(_FILE):
        texts["model_file"] = chosen.removeprefix(_FILE)
    elif chosen.startswith(_REPOSITORY):
        texts["model_repository"] = chosen.removeprefix(_REPOSITORY)
    found = form.values(form.fields(service.command.options), texts)
    options = service.command.options
    try:
        read = options.model_validate(found)
    except ValidationError:
        return found
    said: dict[str, Any] = read.model_dump(exclude_unset=True, mode="json")
    return said


def _models(settings: Settings) -> list[tuple[str, str]]:
    """What can be chosen, and what it is called."""
    return [
        (f"{_FILE}{each.name}", f"{each.name}, a file")
        if each.kind is ModelKind.FILE
        else (f"{_REPOSITORY}{each.name}", f"{each.name}, a folder of models")
        for each in models(settings)
    ]


def _spaces(settings: Settings) -> list[tuple[str, str]]:
    own = [
        (str(path), f"{path.stem}, of {folder.name}")
        for folder in settings.spaces
        for path in sorted(folder.glob("*.y*ml"))
    ]
    return [(name, name) for name in built_in()] + own

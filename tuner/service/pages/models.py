"""/models: what jobs can choose from; a script sends new ones, as `curl` would."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from tuner.service.access.principal import Admin, Reader, Role
from tuner.service.api.audited import audited
from tuner.service.api.lookup import Here
from tuner.service.api.models import ModelName
from tuner.service.models.stored import models as stored_models
from tuner.service.models.stored import remove
from tuner.service.pages.rendering import page

routes = APIRouter(prefix="/models", include_in_schema=False)


@routes.get("")
def models(request: Request, service: Here, who: Reader) -> HTMLResponse:
    """Those that were sent, and those of the folders that the service was started with."""
    return page(
        request,
        "models.html",
        service=request.base_url,
        models=stored_models(service.settings),
        most=service.settings.largest_upload,
        may_send=who.role >= Role.RUN,
        may_delete=who.role >= Role.ADMIN,
    )


@routes.post("/{name}/delete")
def delete(name: ModelName, service: Here, who: Admin) -> RedirectResponse:
    """One that was sent, and that no job uses."""
    remove(service, name)
    audited(service, who, "delete", name)
    return RedirectResponse("/models", HTTPStatus.SEE_OTHER)

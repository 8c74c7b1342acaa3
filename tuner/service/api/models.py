"""/api/v1/models: models that jobs may use, and new ones."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from tuner.service.access.principal import Admin, Reader, Runner
from tuner.service.api.audited import audited
from tuner.service.api.lookup import Here
from tuner.service.api.problems import ProblemError, documented, later
from tuner.service.models.receiving import receive
from tuner.service.models.stored import (
    NAME,
    ModelKind,
    check_room,
    keep,
    models,
    remove,
    sweep,
    working_folder,
)
from tuner.service.settings import Settings

# So many are sent at the same time: each takes the disk from what is measured.
_MOST_AT_ONCE = 2
ModelName = Annotated[
    str,
    PathParameter(
        pattern=NAME,
        max_length=100,
        description="Letters, digits, `.`, `_` and `-`; no `.` first. With an ending such as "
        "`.onnx` or `.pt` it is one file, without it a folder that an archive is unpacked into.",
        examples=["resnet50.onnx"],
    ),
]
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The file, or a zip, tar or tar.gz.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


class ModelDocument(BaseModel):
    """A model that jobs may use."""

    model_config = ConfigDict(from_attributes=True)

    name: Annotated[str, Field(description="What `model_file` or `model_repository` may say.")]
    kind: ModelKind
    size: Annotated[int | None, Field(description="Bytes; null of a folder with many files.")]
    changed_at: datetime
    uploaded: Annotated[bool, Field(description="Whether it was sent to the service.")]


class ModelsDocument(BaseModel):
    """All of them."""

    items: list[ModelDocument]


class Arrivals:
    """Models that are being sent to a service: few at a time, each in a folder of its own."""

    def __init__(self) -> None:
        self._under_way: set[str] = set()
        self._is_swept = False

    @asynccontextmanager
    async def folder(self, settings: Settings, name: str) -> AsyncIterator[Path]:
        """A new one for a model that is to be called `name`; it is gone afterwards.

        Raises:
            ProblemError: That model is being sent already, or others are; or the disk fails.
        """
        if name in self._under_way or len(self._under_way) >= _MOST_AT_ONCE:
            raise later(
                HTTPStatus.TOO_MANY_REQUESTS,
                "other models are being sent",
                "ask again when they are there",
                after_s=10,
            )
        self._under_way.add(name)
        try:
            if not self._is_swept:
                self._is_swept = True
                await run_in_threadpool(sweep, settings)
            working = working_folder(settings)
            try:
                yield working
            except OSError as error:
                raise ProblemError(
                    HTTPStatus.INSUFFICIENT_STORAGE,
                    f"the model cannot be written: {error.strerror}",
                    "delete models that are not used any more",
                ) from None
            finally:
                await run_in_threadpool(shutil.rmtree, working, ignore_errors=True)
        finally:
            self._under_way.discard(name)


async def arrivals_of(request: Request) -> Arrivals:
    """Those of the service that answers `request`; a dependency of routes."""
    found: Arrivals = request.app.state.arrivals
    return found


routes = APIRouter(prefix="/models", tags=["models"])


@routes.get(
    "", operation_id="list_models", summary="Models that jobs may use", responses=documented()
)
def list_models(service: Here, _: Reader) -> ModelsDocument:
    found = models(service.settings)
    return ModelsDocument(items=[ModelDocument.model_validate(each) for each in found])


@routes.delete(
    "/{name}",
    status_code=HTTPStatus.NO_CONTENT,
    operation_id="delete_model",
    summary="Delete a model that was sent to the service",
    responses=documented(404, 409),
)
def delete_model(name: ModelName, service: Here, who: Admin) -> Response:
    remove(service, name)
    audited(service, who, "delete", name)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@routes.put(
    "/{name}",
    status_code=HTTPStatus.CREATED,
    operation_id="send_model",
    summary="Send a model: a file, or an archive that becomes a folder",
    description="All of it is there afterwards, or nothing. What a server would run as a "
    "program needs a service that was started with `--allow-commands`.",
    openapi_extra=_BODY,
    responses=documented(400, 409, 413, 507),
)
async def send_model(
    name: ModelName,
    request: Request,
    service: Here,
    arrivals: Annotated[Arrivals, Depends(arrivals_of)],
    who: Runner,
    *,
    replace: Annotated[
        bool, Query(description="Put it in the place of one that has this name.")
    ] = False,
) -> ModelDocument:
    settings = service.settings
    length = request.headers.get("content-length", "")
    is_said = length.isascii() and length.isdecimal()
    async with arrivals.folder(settings, name) as working:
        check_room(settings, int(length[:20]) if is_said else settings.largest_upload)
        await receive(request, working / "sent", settings.largest_upload)
        kept = await run_in_threadpool(keep, service, name, working / "sent", replace=replace)
    await run_in_threadpool(audited, service, who, "upload", name, size=kept.size, replace=replace)
    return ModelDocument.model_validate(kept)

"""Errors as problem details (RFC 9457), with the text and the hint of the command line.

`type` is always `about:blank`: the status says which kind of problem it is, the detail which one.
"""

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tuner.errors import InputError, StorageError, StudyMissingError, TunerError
from tuner.service.access.headers import ALWAYS, KEPT_NOWHERE

MEDIA_TYPE = "application/problem+json"
# A request may have as many faults as it is long: so many are told, and so many characters.
_MOST_FAULTS = 10
_MOST_CHARACTERS = 2000

# What FastAPI says of it.
_NO_JSON = "There was an error parsing the body"
_PARAMETER = re.compile(r"\{[^}]+\}")

_log = logging.getLogger(__name__)


class Problem(BaseModel):
    """Why a request could not be answered."""

    type: Annotated[str, Field(description="Always `about:blank`: see `status`.")] = "about:blank"
    title: Annotated[str, Field(description="The status in words.")]
    status: Annotated[int, Field(description="The HTTP status.", ge=400, le=599)]
    detail: Annotated[str, Field(description="What was expected, and what came.")] = ""
    hint: Annotated[str, Field(description="What to do next; may be empty.")] = ""
    exit_status: Annotated[
        int, Field(description="What the command line would end with.", ge=1, le=3)
    ] = 2


class ProblemError(Exception):
    """A request that is answered with a problem."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        hint: str = "",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.detail, self.hint, self.headers = status, detail, hint, headers
        super().__init__(detail)


def not_found(kind: str, name: object) -> ProblemError:
    return ProblemError(HTTPStatus.NOT_FOUND, f"there is no {kind} `{name}`")


def later(status: HTTPStatus, detail: str, hint: str, *, after_s: int) -> ProblemError:
    """What may be asked for again after so many seconds."""
    return ProblemError(status, detail, hint, headers={"Retry-After": str(after_s)})


def answer(
    status: int,
    detail: str,
    hint: str = "",
    headers: Mapping[str, str] | None = None,
    *,
    exit_status: int = 2,
) -> Response:
    """The problem as a response."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=_printable(detail),
        hint=hint,
        exit_status=exit_status,
    )
    content = json.dumps(problem.model_dump())
    return Response(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that may be answered with these problems, and the usual ones.

    Those are 401 and 403 (who asks), 422 (what is asked), 429 (how often) and 503 (the database).
    """
    return of_statuses(401, 403, 422, 429, 503, *statuses)


def of_statuses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that may be answered with these problems alone."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted(set(statuses)):
        phrase = HTTPStatus(status).phrase
        said = {"title": phrase, "status": status, **_EXAMPLES.get(status, {})}
        example = Problem.model_validate(said).model_dump()
        content = {MEDIA_TYPE: {"schema": _REFERENCE, "example": example}}
        found[status] = {"description": _MEANINGS[status], "content": content}
    return found


# FastAPI would say `application/json` for a model: the schema is in the document by this name.
_REFERENCE = {"$ref": "#/components/schemas/Problem"}
_MEANINGS = {
    400: "The request is no such request, or was broken off.",
    401: "Nobody is known to ask: the token is missing or wrong.",
    403: "The role of the token is not enough, or the service was started without allowing it.",
    404: "There is no such thing.",
    409: "It is in a state that does not allow this, or the name is taken.",
    413: "The request is larger than is taken.",
    422: "What is asked for cannot be used as it is.",
    429: "Too much was asked for; `Retry-After` says when to ask again.",
    507: "The disk of the service is full.",
    503: "The database does not answer, or there are too many watchers.",
}
_EXAMPLES: dict[int, dict[str, str]] = {
    404: {"detail": "there is no job `7`"},
    422: {"detail": "body.options.budget_ms: Input should be a valid number"},
}


def install(app: FastAPI) -> None:
    """Have all errors of `app` answered so."""
    app.add_exception_handler(ClientDisconnect, _gone)

    @app.exception_handler(ProblemError)
    async def problem(_: Request, error: ProblemError) -> Response:
        return answer(error.status, error.detail, error.hint, error.headers)

    @app.exception_handler(TunerError)
    async def known(_: Request, error: TunerError) -> Response:
        status = error.exit_status
        return answer(_status(error), error.message, error.hint, exit_status=status)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.detail == _NO_JSON:
            return answer(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is not JSON in UTF-8")
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return _not_allowed(request)
        detail, hint = _in_words(request, error)
        return answer(error.status_code, detail, hint, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return answer(HTTPStatus.UNPROCESSABLE_ENTITY, _faults(error))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, _: Exception) -> Response:
        # The web server writes the traceback to its log.
        _log.error("%s %s could not be answered", request.method, request.url.path)
        return answer(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "the service itself failed to answer this",
            "its log says why; please report it",
            # It is told outside of what adds them.
            {name.decode(): value.decode() for name, value in (ALWAYS | KEPT_NOWHERE).items()},
            exit_status=1,
        )


async def _gone(_: Request, __: Exception) -> Response:
    # Nobody reads it; without it, whoever breaks off fills the log.
    return answer(HTTPStatus.BAD_REQUEST, "the request was broken off")


def _in_words(request: Request, error: HTTPException) -> tuple[str, str]:
    hint = getattr(error, "hint", "")
    usual = error.detail == HTTPStatus(error.status_code).phrase
    if usual and error.status_code == HTTPStatus.NOT_FOUND:
        return f"there is nothing at `{request.url.path}`", "/api/v1/openapi.json lists what is"
    return str(error.detail), hint


def _not_allowed(request: Request) -> Response:
    """Each route knows its own methods alone: all of the path's are in the document."""
    paths, here = request.app.openapi()["paths"], request.url.path
    like_it = [
        methods
        for path, methods in paths.items()
        if re.fullmatch(_PARAMETER.sub("[^/]+", path), here)
    ]
    # A path that is written out is not the one of something that is called so.
    found = [paths[here]] if here in paths else like_it
    allowed = ", ".join(sorted({each.upper() for methods in found for each in methods}))
    return answer(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"`{request.method}` cannot be done here",
        f"what can be done: {allowed}" if allowed else "",
        {"Allow": allowed} if allowed else None,
    )


def _faults(error: RequestValidationError) -> str:
    faults = error.errors()
    said = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults[:_MOST_FAULTS]]
    more = len(faults) - len(said)
    return "; ".join(said) + (f"; and {more} more" if more > 0 else "")


def _printable(text: str) -> str:
    """`text` as UTF-8 can say it: halves of surrogate pairs are escaped; and not too long."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return plain if len(plain) <= _MOST_CHARACTERS else f"{plain[:_MOST_CHARACTERS]}…"


def _status(error: TunerError) -> HTTPStatus:
    if isinstance(error, StudyMissingError):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, InputError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, StorageError):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.CONFLICT

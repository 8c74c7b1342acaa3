"""Errors as pages, for a person's browser: the same message and hint as everywhere."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import WebSocketRequestValidationError

from tuner.service.api.problems import MEDIA_TYPE
from tuner.service.pages.rendering import page

_Handler = Callable[[Request, Any], Response | Awaitable[Response]]


def install(app: FastAPI) -> None:
    """Have the problems that `app` answers with shown as pages, where a page was asked for."""
    for kind, handler in list(app.exception_handlers.items()):
        if kind is not WebSocketRequestValidationError:
            app.exception_handlers[kind] = _shown(handler)


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks, and not for the interface of programs."""
    path, accepted = request.url.path, request.headers.get("accept", "")
    return "text/html" in accepted and not path.startswith(("/api/", "/static/"))


def _shown(handler: _Handler) -> _Handler:
    async def shown_or_told(request: Request, error: Any) -> Response:
        told = handler(request, error)
        answer = told if isinstance(told, Response) else await told
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if kind != MEDIA_TYPE or not wants_page(request):
            return answer
        problem = json.loads(bytes(answer.body))
        shown = page(request, "problem.html", code=answer.status_code, problem=problem)
        return _with(shown, answer)

    return shown_or_told


def _with(page: Response, answer: Response) -> Response:
    """The page with what else the answer said, such as when to ask again."""
    for name, value in answer.headers.items():
        page.headers.setdefault(name, value)
    return page

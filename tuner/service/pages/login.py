"""The page to log in at."""

from http import HTTPStatus

from fastapi import Request
from fastapi.responses import HTMLResponse

from tuner.service.pages.rendering import page


def login_page(request: Request, to: str, said: str, status: HTTPStatus) -> HTMLResponse:
    """A form for a token; what is `said` of an attempt that failed, and where to go after it."""
    return page(request, "login.html", code=status, to=to, said=said)

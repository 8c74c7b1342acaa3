"""/login and /logout: sessions of browsers begin with a token, or with a link of the service."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from tuner.service.access.access import Access
from tuner.service.access.gate import address_of, check_origin, too_many
from tuner.service.access.principal import Reader
from tuner.service.access.refusal import Refusal
from tuner.service.access.sessions import LENGTH_S
from tuner.service.access.tokens import Token

# A path of this site: one slash, and nothing that a browser would take for another one or drop.
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*", re.ASCII)

LoginPage = Callable[[Request, str, str, HTTPStatus], Response]
"""Shows a form that posts `token` and `next` to /login: where to go after it, what is to be said
of an attempt that failed, and the status of the answer."""

routes = APIRouter(include_in_schema=False)


def access_of(request: Request) -> Access:
    """Who decides; a dependency of routes."""
    found: Access = request.app.state.access
    return found


Decides = Annotated[Access, Depends(access_of)]


@routes.get("/login")
async def login_page(
    request: Request,
    access: Decides,
    code: str = "",
    next: str = "/",  # noqa: A002 - its name in links
) -> Response:
    """The form, or a session at once for who has the link that the service printed."""
    if not code:
        return _page(request, next)
    _check_may_try(access, request)
    if not access.codes.take(code):
        return await _failed(access, request, next, "The link was used already, or is too old.")
    return await _begun(access, request, access.tokens.of(access.own.text), next)


@routes.post("/login")
async def login(request: Request, access: Decides) -> Response:
    """A session for who says a token."""
    check_origin(request.headers)
    _check_may_try(access, request)
    form = await request.form(max_files=0, max_fields=10)
    said, to = (
        value if isinstance(value := form.get(name), str) else "" for name in ("token", "next")
    )
    token = access.tokens.of(said.strip()) if len(said) <= 500 else None
    if token is None:
        return await _failed(access, request, to, "This is no token of the service.")
    return await _begun(access, request, token, to)


@routes.post("/logout")
async def logout(request: Request, access: Decides, who: Reader) -> Response:
    """End the session."""
    if session := access.sessions.read(request.cookies.get(access.cookie, "")):
        await run_sync(access.sessions.end, session)
    await run_sync(access.audit, who.name, who.address, "logout", "")
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    response.delete_cookie(access.cookie, secure=access.is_secure, httponly=True, samesite="lax")
    return response


def local(to: str) -> str:
    """Where to go after the login: nowhere but to a path of this site."""
    return to if _LOCAL.fullmatch(to) and not to.startswith("/login") else "/"


async def _begun(access: Access, request: Request, token: Token | None, to: str) -> Response:
    if token is None:
        raise Refusal(HTTPStatus.FORBIDDEN, "the token of the service is not valid any more")
    await run_sync(access.audit, token.name, address_of(request.scope), "login", "")
    response = RedirectResponse(local(to), HTTPStatus.SEE_OTHER)
    # Lax, not Strict: who opens a link to a study in a mail is logged in. Nothing changes by GET.
    response.set_cookie(
        access.cookie,
        access.sessions.begun(token),
        max_age=int(LENGTH_S),
        secure=access.is_secure,
        httponly=True,
        samesite="lax",
    )
    return response


async def _failed(access: Access, request: Request, to: str, said: str) -> Response:
    address = address_of(request.scope)
    if not access.logins.wait_s(address):
        await run_sync(access.audit, "", address, "failed login", "")
    access.logins.failed(address)
    return _page(request, to, said, HTTPStatus.UNAUTHORIZED)


def _check_may_try(access: Access, request: Request) -> None:
    if wait_s := access.logins.blocked_s(address_of(request.scope)):
        raise too_many(wait_s)


def _page(
    request: Request, to: str, said: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Response:
    show: LoginPage = request.app.state.login_page
    return show(request, local(to), said, status)

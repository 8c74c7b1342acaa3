"""The gate: nothing behind it is reached without a token or a session.

It stands before the application, so that not a byte of the body of a stranger's request is read,
and a route that forgot to ask for a principal is closed all the same.
"""

import logging
import math
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tuner.service.access.access import Access
from tuner.service.access.principal import SAFE_METHODS, Principal, unauthenticated
from tuner.service.access.refusal import Refusal
from tuner.service.access.sessions import Session
from tuner.service.access.tokens import Token

OPEN = frozenset({"/healthz", "/readyz", "/login", "/favicon.ico"})
"""Paths that everybody reaches; what is below /static, too."""
# No token is longer; what is longer is not even hashed.
_LONGEST = 500

_log = logging.getLogger(__name__)


class Gate:
    """Lets in who has a valid token, or the cookie of a session that began with one."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            principal = self._principal(scope)
        except Refusal as refusal:
            await (await self._refused(scope, refusal))(scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        scope["state"]["csrf_token"] = principal.csrf_token
        await self._app(scope, receive, send)

    def _principal(self, scope: Scope) -> Principal:
        headers = Headers(scope=scope)
        said = headers.getlist("authorization")
        if said:
            return self._bearer(said, address_of(scope))
        return self._of_cookie(scope, headers)

    def _bearer(self, said: list[str], address: str) -> Principal:
        scheme, _, text = said[0].partition(" ")
        if len(said) > 1 or scheme.lower() != "bearer" or not text or len(text) > _LONGEST:
            raise unauthenticated("expected one header `Authorization: Bearer TOKEN`")
        token = self._access.tokens.of(text)
        if token is None:
            raise unauthenticated("the token is not, or no more, one of this service")
        return Principal(
            token.name, token.role, address, still=lambda: self._access.tokens.of(text) is not None
        )

    def _of_cookie(self, scope: Scope, headers: Headers) -> Principal:
        cookies = cookie_parser("; ".join(headers.getlist("cookie")))
        cookie = cookies.get(self._access.cookie)
        if cookie is None:
            raise unauthenticated()
        found = self._session(cookie)
        if found is None:
            raise unauthenticated("the session is over")
        if scope["method"] not in SAFE_METHODS:
            check_origin(headers)
        session, token = found
        return Principal(
            token.name, token.role, address_of(scope), session.csrf_token,
            still=lambda: self._session(cookie) is not None,
        )  # fmt: skip

    def _session(self, cookie: str) -> tuple[Session, Token] | None:
        session = self._access.sessions.read(cookie)
        token = self._access.tokens.of_hash(session.token_sha256) if session else None
        return (session, token) if session and token else None

    async def _refused(self, scope: Scope, refusal: Refusal) -> Response:
        """The answer to a request that is not let in; a browser is led to the page for it."""
        address = address_of(scope)
        headers = Headers(scope=scope)
        if refusal.status is HTTPStatus.UNAUTHORIZED and _is_of_page(scope, headers):
            return RedirectResponse(f"/login?next={quote(_target(scope))}", 303)
        if "authorization" in headers:
            if wait_s := self._access.requests.wait_s(address):
                return too_many(wait_s).response()
            self._access.requests.failed(address)
            await run_sync(self._access.audit, "", address, "refused", scope["path"])
        return refusal.response()


def is_open(path: str) -> bool:
    """Whether everybody reaches what is there."""
    return path in OPEN or path.startswith("/static/")


def address_of(scope: Scope) -> str:
    """Where a request came from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def check_origin(headers: Headers) -> None:
    """Refuse what a page of another site made a browser send.

    Raises:
        Refusal: It is so.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    is_foreign = origin is not None and urlsplit(origin).netloc != headers.get("host")
    if is_foreign or site not in (None, "same-origin", "none"):
        raise Refusal(HTTPStatus.FORBIDDEN, "a page of another site sent this")


def too_many(wait_s: float) -> Refusal:
    """Somebody failed too often, and has to wait for so many seconds."""
    return Refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too many failures came from there",
        hint="wait, and check the token",
        headers={"Retry-After": str(math.ceil(wait_s))},
    )


def _is_of_page(scope: Scope, headers: Headers) -> bool:
    """Whether a person's browser asks for a page."""
    is_read = scope["method"] in ("GET", "HEAD")
    is_page = "text/html" in headers.get("accept", "") and "authorization" not in headers
    return is_read and is_page and not scope["path"].startswith("/api/")


def _target(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return str(scope["path"]) + (f"?{query}" if query else "")

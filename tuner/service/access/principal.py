"""Who asks, and what that person may do."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from tuner.service.access.refusal import Refusal

CSRF_HEADER, CSRF_FIELD = "X-CSRF-Token", "csrf_token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(IntEnum):
    """What a token allows: each role also what those before it do."""

    READ = 1
    RUN = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Principal:
    """Whoever holds a token; `address` is where the request came from.

    `csrf_token` is what forms of this person's pages have to send; empty for whoever sends the
    token itself, which no other site can make a browser do. `still` says whether the token, or the
    session, is valid at the moment: an answer may take days.
    """

    name: str
    role: Role
    address: str
    csrf_token: str = field(default="", repr=False)
    still: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)


def principal_of(request: Request) -> Principal | None:
    """Who asks; None at a path that is open to everybody. For templates, too."""
    found: Principal | None = getattr(request.state, "principal", None)
    return found


class _AtLeast(HTTPBearer):
    """A dependency: the principal, whose role must be enough."""

    def __init__(self, role: Role) -> None:
        super().__init__(scheme_name="token", description="A token of this service.")
        self._role = role

    async def __call__(self, request: Request) -> Principal:  # type: ignore[override]
        found = principal_of(request)
        if found is None:
            raise unauthenticated()
        if found.role < self._role:
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                f"this needs the role `{self._role}`; the token `{found.name}` has `{found.role}`",
                hint=f"tuner tokens add NAME --role {self._role} --token-file FILE",
            )
        if found.csrf_token and request.method not in SAFE_METHODS:
            await _check_csrf(request, found.csrf_token)
        return found


def unauthenticated(detail: str = "this needs a token of the service") -> Refusal:
    """Nobody is known to ask."""
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        detail,
        hint="send `Authorization: Bearer TOKEN`; `tuner serve` printed it at its first start",
        headers={"WWW-Authenticate": "Bearer"},
    )


async def _check_csrf(request: Request, expected: str) -> None:
    said = request.headers.get(CSRF_HEADER, "")
    if not said and not request.url.path.startswith("/api/"):  # whose bodies are no forms
        field_value = (await request.form()).get(CSRF_FIELD)
        said = field_value if isinstance(field_value, str) else ""
    if not hmac.compare_digest(said.encode(), expected.encode()):
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "the page that this was sent from is not one of this session",
            hint="load the page again, and send it once more",
        )


Reader = Annotated[Principal, Depends(_AtLeast(Role.READ))]
Runner = Annotated[Principal, Depends(_AtLeast(Role.RUN))]
Admin = Annotated[Principal, Depends(_AtLeast(Role.ADMIN))]

"""A hostile request, and what it knows of the service: a stranger has read its source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tuner.service.access.tokens import Token

SECRET = "what-another-file-says"  # noqa: S105
"""What a file outside of all stated folders holds: no answer may have it."""

NOBODY = (401,)
REFUSED = (422,)
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class World:
    """A service that runs: its address, its folder, tokens by role, and sessions of browsers."""

    port: int
    folder: Path
    outside: Path
    tokens: Mapping[str, str]
    cookie_name: str
    sessions: Mapping[str, str]
    csrf: Mapping[str, str]
    entries: Mapping[str, Token]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Sent:
    """A request; its headers are pairs, so that one may be there twice."""

    method: str = "GET"
    path: str = "/api/v1/jobs"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


Row = tuple[str, Callable[[World], Sent], tuple[int, ...]]


def bearer(text: str, *more: tuple[str, str], path: str = "/api/v1/jobs") -> Sent:
    return Sent(path=path, headers=(("Authorization", text), *more))


def cookie(world: World, text: str, *more: tuple[str, str]) -> Sent:
    return Sent(headers=(("Cookie", f"{world.cookie_name}={text}"), *more))

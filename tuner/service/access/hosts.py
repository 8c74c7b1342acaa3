"""Names that the service is asked by: others are those of a site that leads browsers here.

A site may have its own name lead to the address of the service ("DNS rebinding"); a browser then
takes the service for a part of that site. What it cannot change is the name that it asks by.
"""

import ipaddress
import re
from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from tuner.service.access.refusal import Refusal

_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - is compared with
_HOST = re.compile(rb"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?", re.IGNORECASE)


class Hosts:
    """Lets in requests for the address that is listened on, `localhost`, and stated names.

    Where all addresses of the machine are listened on, each address is one of them: what a site
    leads to itself is a name, never an address.
    """

    def __init__(self, app: ASGIApp, listening: str, names: Iterable[str] = ()) -> None:
        self._app = app
        self._names = {"localhost", listening.lower(), *(each.lower() for each in names)}
        self._any_address = listening in _ANY
        self._loopback = self._any_address or is_loopback(listening)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_known(scope):
            refusal = Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "the service is not asked by this name",
                hint="start it with `--allowed-host NAME` if it is one of its names",
            )
            await refusal.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        said = [value for name, value in scope["headers"] if name == b"host"]
        match = _HOST.fullmatch(said[0]) if len(said) == 1 else None
        if match is None:
            return False
        name = match[1].decode().lower().strip("[]").removesuffix(".")
        return name in self._names or self._is_own_address(name)

    def _is_own_address(self, name: str) -> bool:
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address or (self._loopback and address.is_loopback)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

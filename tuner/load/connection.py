"""One connection of the load engine: writes prepared bytes, tells its driver how each ended."""

import asyncio
from typing import Protocol, cast

from tuner.load.protocols.http1 import ResponseError, ResponseParser


class ConnectionOwner(Protocol):
    """Who is told what became of a request."""

    def answered(self, connection: "HttpConnection") -> None: ...

    def lost(self, connection: "HttpConnection", kind: str) -> None: ...


class HttpConnection(asyncio.Protocol):
    """Carries one request at a time; `index` is the caller's name for the one in flight."""

    __slots__ = ("_owner", "_transport", "index", "parser", "write")

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self.parser = ResponseParser()
        self.index = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio.Transport says without being one.
        self._transport = cast("asyncio.Transport", transport)
        self.write = self._transport.write

    def data_received(self, data: bytes) -> None:
        try:
            ended = self.parser.feed(data)
        except ResponseError:
            self._owner.lost(self, "bad_response")
            self.abort()
            return
        if ended:
            self._owner.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.parser.end_of_connection():
            self._owner.answered(self)
        self._owner.lost(self, "connection_lost")

    def abort(self) -> None:
        """Close at once; the owner hears of it through `lost` at most."""
        self._transport.abort()

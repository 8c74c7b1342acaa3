"""One connection of the load engine: writes prepared bytes, tells its driver how each ended."""

import asyncio
from typing import Protocol, cast

from tuner.load.protocols.http1 import ResponseError, ResponseParser

# The `index` of a connection that carries no request.
IDLE = -1


class ConnectionOwner(Protocol):
    """Who is told what became of a request."""

    def answered(self, connection: "HttpConnection") -> None: ...

    def lost(self, connection: "HttpConnection", kind: str) -> None:
        """The connection is of no use any more; may be told more than once."""


class HttpConnection(asyncio.Protocol):
    """Carries one request at a time; `index` is its owner's name for the one in flight."""

    __slots__ = ("_owner", "_transport", "index", "parser", "write")

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self.parser = ResponseParser()
        self.index = IDLE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio.Transport says without being one.
        self._transport = cast("asyncio.Transport", transport)
        self.write = self._transport.write

    def data_received(self, data: bytes) -> None:
        if self.index == IDLE:  # bytes that nothing was asked for
            self.end("bad_response")
            return
        try:
            ended = self.parser.feed(data)
        except ResponseError:
            self.end("bad_response")
            return
        if ended:
            self._owner.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self.index != IDLE and self.parser.end_of_connection():
            self._owner.answered(self)
        self._owner.lost(self, "connection_lost")

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def end(self, kind: str) -> None:
        """Close at once; a request in flight has failed as `kind`."""
        self._transport.abort()
        self._owner.lost(self, kind)

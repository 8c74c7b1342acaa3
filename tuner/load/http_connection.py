"""One HTTP/1.1 connection of the load engine. It is a lane: it carries one request at a time."""

import asyncio
from time import monotonic
from typing import cast

from tuner.load.http1 import ResponseError, ResponseParser
from tuner.load.lane import Lane, LaneOwner
from tuner.load.requests import RequestSet


class HttpConnection(Lane, asyncio.Protocol):
    """Writes prepared requests, and tells its owner how each of them ended."""

    def __init__(self, owner: LaneOwner, requests: RequestSet, *, keep: bool = False) -> None:
        super().__init__()
        self._owner = owner
        self._check = requests.check
        self._statuses = requests.statuses
        self._parser = ResponseParser(keep=keep or requests.check is not None)
        self.bytes_received = 0

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return (self,)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio.Transport says without being one.
        self._transport = cast("asyncio.Transport", transport)
        self.write = self._transport.write

    def send(self, data: bytes) -> None:
        self.write(data)

    def data_received(self, data: bytes) -> None:
        self.bytes_received += len(data)
        if not self.busy:  # bytes that nothing was asked for
            self.cancel("bad_response")
            return
        try:
            ended = self._parser.feed(data)
        except ResponseError:
            self.cancel("bad_response")
            return
        if ended:
            self._answered()
        elif not self.first_bytes_s:
            self.first_bytes_s = monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self.busy and self._parser.end_of_connection():
            self._answered()
        # It has carried a request before, and nothing of an answer to this one came: whoever
        # waits may send it again (RFC 9112 section 9.3.1).
        self.stale = self._parser.status > 0 and self._nothing_came
        self._owner.lost(self, "connection_lost")

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def cancel(self, kind: str) -> None:
        """Close at once: in HTTP/1.1 that is the only way to give a request up."""
        self._transport.abort()
        self._owner.lost(self, kind)

    async def finish(self) -> None:
        """Close: nothing is left that the server would have to end."""
        self.close()

    def close(self) -> None:
        """Close at once, and tell nobody of a request in flight."""
        self.busy = False
        self._transport.abort()

    @property
    def _nothing_came(self) -> bool:
        """Of an answer to the request in flight."""
        return not self.first_bytes_s

    def _answered(self) -> None:
        self.usable = self._parser.keep_alive
        self._owner.answered(self, self._fault())

    def _fault(self) -> str:
        """Why the answer is no success; empty if it is one."""
        parser = self._parser
        if parser.status not in self._statuses:
            return f"http_{parser.status}"
        if self._check is not None:
            return self._check.fault(self.payload, parser.head, parser.body)
        return ""

"""A connection of the web server, with the limits that the web server itself does not have."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 2**10
"""Bytes of a request before its body, as far as they come in several pieces."""
LONGEST_SILENCE_S = 60.0
"""For so many seconds a request may be incomplete, or its body not come on."""


class Connection(HttpToolsProtocol):
    """One whose other end has to say what it wants: in few words, and soon."""

    _head = 0
    _is_in_head = True
    _silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A stranger that says nothing keeps no connection."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self.wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_in_head:
            self._head = 0
            if self._silence:
                self._wait()
            return
        self._head += len(data)
        if self._head > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._wait()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.wait_no_more()
        super().on_message_complete()

    def _wait(self) -> None:
        self.wait_no_more()
        self._silence = self.loop.call_later(LONGEST_SILENCE_S, self.timeout_keep_alive_handler)

    def wait_no_more(self) -> None:
        """What was to come has come."""
        if self._silence:
            self._silence.cancel()
            self._silence = None

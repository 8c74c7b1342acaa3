"""A connection on which what was asked a moment ago is answered without being read again.

Whoever polls sends the same bytes each time. To read them, and to ask all who look at a request
before its answer is found, takes several times as long as to send what was sent before.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tuner.service.api.answers import SENT, Again
from tuner.service.connection import Connection

_END = b"\r\n\r\n"


class RepeatingConnection(Connection):
    """Answers so as long as all that came on it were whole requests: what comes then is one."""

    _all_whole = True

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._again: Again = self.config.app.state.again  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        """Answer what came, or have it read."""
        cycle = self._cycle
        is_free = self._all_whole and (cycle is None or cycle.response_complete)
        if is_free and not self.flow.write_paused and (answer := self._again.find(data)):
            self.wait_no_more()
            self.transport.write(answer)
            self.on_response_complete()
            return
        super().data_received(data)
        cycle = self._cycle
        # One that ends with its headers, which the parser has understood.
        ends = data.endswith(_END) and data.count(_END) == 1
        self._all_whole = is_free and ends and cycle is not None and not cycle.more_body
        if self._all_whole and cycle is not None and cycle.keep_alive:
            scope: Any = cycle.scope
            scope[SENT] = data

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """The latest request with its answer."""
        return self.cycle

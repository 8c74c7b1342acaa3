"""The closed loop: a fixed number of requests in flight."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import numpy as np

from tuner.load.connection import HttpConnection
from tuner.load.driver import Driver
from tuner.load.measurement import FloatArray
from tuner.load.profile import ClosedLoop, LoadRun

_RECONNECT_AFTER_S = 0.05


class ClosedLoopDriver(Driver):
    """Keeps `concurrency` requests in flight; each answer sends the next.

    Each of them is a user who keeps to one connection, and pauses for 50 ms after it failed.
    """

    def __init__(self, run: LoadRun, profile: ClosedLoop, payloads: tuple[bytes, ...]) -> None:
        super().__init__(run, payloads)
        self._concurrency = profile.concurrency

    def _first_connections(self) -> int:
        return self._concurrency

    @contextmanager
    def _sending(self) -> Iterator[None]:
        connected, self._idle = self._idle, []
        for connection in connected:
            self._use(connection)
        for kind in self._failed_at_first:
            self._connect_failed(kind)
        for _ in range(self._concurrency - len(connected) - len(self._failed_at_first)):
            self._begin_connecting()  # for those that the server has closed meanwhile
        yield

    def _use(self, connection: HttpConnection) -> None:
        now = monotonic()
        if now < self._end_s:
            self._send(connection, self._new_request(now))

    def _connect_failed(self, kind: str) -> None:
        now = monotonic()
        if now < self._end_s:
            # A user of a closed loop who finds no server has met an error, and tries again.
            self._fail(self._new_request(now), kind)
            self._replace(failed=True)

    def _replace(self, *, failed: bool) -> None:
        if monotonic() < self._end_s:
            self._begin_connecting(after_s=_RECONNECT_AFTER_S if failed else 0.0)

    def _all_sent(self) -> bool:
        return monotonic() >= self._end_s

    def _due(self, count: int) -> FloatArray:
        return np.array(self._sent, dtype=np.float64)

"""The open loop: requests are due at moments of their own, whatever the server does."""

import asyncio
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import numpy as np

from tuner.load.arrivals import schedule
from tuner.load.connection import HttpConnection
from tuner.load.driver import Driver
from tuner.load.measurement import FloatArray
from tuner.load.profile import LoadRun, OpenLoop
from tuner.load.timer import Timer


class OpenLoopDriver(Driver):
    """Sends each request when it is due, on an idle connection or on one opened for it.

    Where no connection can be had, the request waits and its latency counts that wait.
    """

    def __init__(self, run: LoadRun, profile: OpenLoop, payloads: tuple[bytes, ...]) -> None:
        super().__init__(run, payloads)
        self._offsets = schedule(profile, run.duration_s)
        self._moments = array("d")
        self._next = 0
        self._waiting: deque[int] = deque()
        self._last_outstanding = 0
        self._blocks_not_fallen = 0

    def _first_connections(self) -> int:
        return min(self._run.connections, self._run.max_connections)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        self._moments = array("d", self._offsets + self._start_s)
        loop = asyncio.get_running_loop()
        with Timer() as self._timer:
            loop.add_reader(self._timer.fd, self._send_due)
            self._timer.set(self._moments[0])
            try:
                yield
            finally:
                loop.remove_reader(self._timer.fd)

    def _send_due(self) -> None:
        self._timer.clear()
        if self._stopped_early:
            return
        moments, count = self._moments, len(self._moments)
        now = monotonic()
        while self._next < count and moments[self._next] <= now:
            self._next += 1
            self._dispatch(self._new_request(now))
            now = monotonic()
        if self._next < count:
            self._timer.set(moments[self._next])

    def _dispatch(self, index: int) -> None:
        if self._idle:
            self._send(self._idle.pop(), index)
        else:
            self._waiting.append(index)
            self._connect_for_waiting()

    def _connect_for_waiting(self) -> None:
        """One connection for each request that has none, as far as `max_connections` allows."""
        wanted = len(self._waiting) - len(self._connecting)
        room = self._run.max_connections - len(self._open) - len(self._connecting)
        for _ in range(min(wanted, room)):
            self._begin_connecting()

    def _use(self, connection: HttpConnection) -> None:
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _connect_failed(self, kind: str) -> None:
        if self._waiting:
            self._fail(self._waiting.popleft(), kind)
        self._connect_for_waiting()

    def _replace(self, *, failed: bool) -> None:
        self._connect_for_waiting()

    def _all_sent(self) -> bool:
        return bool(self._stopped_early) or self._next == len(self._moments)

    def _due(self, count: int) -> FloatArray:
        return np.array(self._moments[:count], dtype=np.float64)

    def _check(self, now: float) -> None:
        while self._waiting and now - self._sent[self._waiting[0]] > self._run.timeout_s:
            self._fail(self._waiting.popleft(), "timeout")
        super()._check(now)
        overload = self._run.overload
        if overload is None or now >= self._end_s:
            return
        outstanding = self._outstanding()
        losing = outstanding > overload.outstanding and outstanding >= self._last_outstanding
        self._blocks_not_fallen = self._blocks_not_fallen + 1 if losing else 0
        self._last_outstanding = outstanding
        if self._blocks_not_fallen >= overload.blocks:
            self._stop("overload")

"""The closed loop: a fixed number of requests in flight."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from tuner.load.driver import Driver, part
from tuner.load.lane import Lane
from tuner.load.profile import ClosedLoop, LoadRun
from tuner.load.requests import RequestSet

_RECONNECT_AFTER_S = 0.05


class ClosedLoopDriver(Driver):
    """Keeps `concurrency` requests in flight; each answer sends the next.

    Each of them is a user who keeps to one lane, and pauses for 50 ms after it was lost.
    """

    _open_loop = False

    def __init__(self, run: LoadRun, profile: ClosedLoop, requests: RequestSet) -> None:
        super().__init__(run, requests)
        self._waiting = part(profile.concurrency, run.share)  # users without a lane
        self._most_connections = max(run.max_connections, self._waiting)

    def _first_connections(self) -> int:
        return math.ceil(self._waiting / self._connector.lanes)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        self._serve()
        for kind in self._failed_at_first:
            self._connect_failed(kind)
        self._connect_for(self._waiting)  # for those that the server has closed meanwhile
        yield

    def _serve(self) -> None:
        while self._waiting and self._idle:
            self._offer(self._idle.pop())

    def _offer(self, lane: Lane) -> None:
        if self._waiting:
            self._waiting -= 1
            self._use(lane)
        else:
            self._idle.append(lane)

    def _use(self, lane: Lane) -> None:
        now = monotonic()
        if self._refused:
            self._resend(lane)
        elif now < self._end_s and self._started < self._most_requests:
            self._send(lane, now, now)

    def _connect_failed(self, kind: str) -> None:
        now = monotonic()
        if now >= self._end_s:
            return
        for _ in range(min(self._waiting, self._connector.lanes)):
            # A user of a closed loop who finds no server has met an error, and tries again.
            self._started += 1
            self._fail(now, now, now, kind)
        self._connect_for(self._waiting, after_s=_RECONNECT_AFTER_S)

    def _replace(self, *, failed: bool) -> None:
        if monotonic() < self._end_s:
            self._waiting += 1
            self._serve()
            self._connect_for(self._waiting, after_s=_RECONNECT_AFTER_S if failed else 0.0)

    def _all_sent(self) -> bool:
        return monotonic() >= self._end_s or self._started >= self._most_requests

"""The open loop: requests are due at moments of their own, whatever the server does."""

import asyncio
import math
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import numpy as np

from tuner.load.arrivals import blocks, part_of
from tuner.load.driver import Driver, part
from tuner.load.lane import Lane
from tuner.load.profile import LoadRun, OpenLoop, Ramp, Replay
from tuner.load.recorder import PENDING
from tuner.load.requests import RequestSet
from tuner.load.timer import Timer

# Requests that are due within so short a time of each other are sent together: to wake up for each
# would take more processor time than to send it. What that delays them is send lag, and counted.
_WAKE_EVERY_S = 25e-6
# The kernel takes so long to wake a process up. Where requests are further apart than `_SPARSE_S`,
# the timer is set that much early, and what is left of the time is spent in looking at the clock:
# 3 % of a core at most.
_WAKES_AFTER_S, _SPARSE_S = 30e-6, 1e-3
_ANSWERED_IN_S = 0.005


class OpenLoopDriver(Driver):
    """Sends each request when it is due, on an idle lane or on a connection opened for it.

    Where no lane can be had, the request waits and its latency counts that wait.
    """

    def __init__(
        self, run: LoadRun, profile: OpenLoop | Ramp | Replay, requests: RequestSet
    ) -> None:
        super().__init__(run, requests)
        self._rate = profile.rate / run.share.of
        whole = blocks(profile, run.duration_s)
        self._blocks = part_of(whole, run.share, run.max_requests or None)
        self._moments = array("d")  # of the block that is being sent; empty after the last one
        self._next = 0
        # When each request that has no lane was due, and when the driver turned to it.
        self._waiting: deque[tuple[float, float]] = deque()
        self._last_outstanding = 0
        self._blocks_not_fallen = 0
        if requests.sequences is not None:
            self._most_lanes = max(1, part(requests.sequences.count, run.share))

    def _first_connections(self) -> int:
        """Enough for what is in flight if answers take some milliseconds."""
        per_connection = self._connector.lanes
        wanted = max(
            self._run.connections, math.ceil(self._rate * _ANSWERED_IN_S / per_connection)
        )
        needed = math.ceil(self._most_lanes / per_connection) if self._player else wanted
        return min(wanted, needed, self._run.max_connections)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        self._take_block()
        loop = asyncio.get_running_loop()
        with Timer() as self._timer:
            loop.add_reader(self._timer.fd, self._send_due)
            if self._moments:
                self._timer.set(self._moments[0])
            try:
                yield
            finally:
                loop.remove_reader(self._timer.fd)

    def _take_block(self) -> None:
        self._moments = array("d", next(self._blocks, np.empty(0)) + self._start_s)
        self._next = 0

    def _send_due(self) -> None:
        if self._stopped_early:
            self._timer.clear()
            return
        now = monotonic()
        if self._moments and now < self._moments[self._next] <= now + _WAKES_AFTER_S:
            now = _wait_until(self._moments[self._next])
        while self._moments and self._moments[self._next] <= now:
            due_s = self._moments[self._next]
            self._next += 1
            if self._next == len(self._moments):
                self._take_block()
            if self._idle:
                self._send(self._take_idle(), due_s, now)
            else:
                self._waiting.append((due_s, now))
                self._connect_for(len(self._waiting))
            now = monotonic()
        if self._moments:
            due_s = self._moments[self._next]
            early_s = _WAKES_AFTER_S if due_s - now > _SPARSE_S else 0.0
            self._timer.set(max(due_s - early_s, now + _WAKE_EVERY_S))
        else:
            self._timer.clear()

    def _take_idle(self) -> Lane:
        """The warmest lane; but of sequences the one that has waited longest for its next step."""
        return self._idle.pop(-1 if self._player is None else 0)

    def _offer(self, lane: Lane) -> None:
        self._use(lane)

    def _use(self, lane: Lane) -> None:
        if self._refused:
            self._resend(lane)
        elif self._waiting:
            self._send(lane, *self._waiting.popleft())
        else:
            self._idle.append(lane)

    def _connect_failed(self, kind: str) -> None:
        now = monotonic()
        for _ in range(min(len(self._waiting), self._connector.lanes)):
            self._fail(*self._waiting.popleft(), now, kind)
        self._connect_for(len(self._waiting))

    def _replace(self, *, failed: bool) -> None:
        while self._refused and self._idle:
            self._use(self._idle.pop())
        self._connect_for(len(self._waiting) + len(self._refused))

    def _all_sent(self) -> bool:
        return bool(self._stopped_early) or not self._moments

    def _outstanding(self) -> int:
        return super()._outstanding() + len(self._waiting)

    def _record_pending(self, now: float) -> None:
        super()._record_pending(now)
        for due_s, sent_s in self._waiting:
            self._recorder.add(due_s, sent_s, now, PENDING)

    def _check(self, now: float) -> None:
        while self._waiting and now - self._waiting[0][1] > self._run.timeout_s:
            self._fail(*self._waiting.popleft(), now, "timeout")
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


def _wait_until(moment_s: float) -> float:
    """Look at the clock until `moment_s`, which is near; what it says then."""
    while (now := monotonic()) < moment_s:
        pass
    return now

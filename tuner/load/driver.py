"""One run of the load engine: which request goes on which lane, what became of it, and the end."""

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from time import monotonic

from tuner.load.connecting import Connecting, Connector
from tuner.load.lane import Connections, Lane
from tuner.load.measurement import RunRecord
from tuner.load.overload import OverloadWatch
from tuner.load.pacers import pacer_of
from tuner.load.pauses import Pauses
from tuner.load.pool import LanePool
from tuner.load.profile import LoadRun
from tuner.load.recorder import PENDING, SUCCESS, Recorder
from tuner.load.requests import RequestSet
from tuner.load.resends import Resends, Unbegun
from tuner.load.timer import Timer, until
from tuner.load.turns import turns_of

# Seconds between two looks for timeouts, overload, and the end of the time to drain.
_CHECK_EVERY_S = 0.1
# With this many failures in a row and no answer between them, there is no server to measure.
_HOPELESS_FAILURES = 40
# Every 16th send is timed: a clock reading costs as much as a tenth of a send.
_TIMED_SENDS = 16
# When a request that only ends a sequence, after the run, was due: it is not counted.
_UNCOUNTED = -1.0
# Seconds that a user of a closed loop pauses after the lane was lost.
_RECONNECT_AFTER_S = 0.05


class Driver:
    """One run: `connect`, `drive`, `record`, `close`, in this order.

    A closed loop has as many lanes as users, and a lane that is free sends the next request. In an
    open loop a request that is due goes on an idle lane, or waits for one, which its latency
    counts. The requests in flight are noted on their lanes; what has ended is the recorder's.
    Everything happens in one event loop, so nothing is locked.
    """

    def __init__(self, run: LoadRun, requests: RequestSet, new: Connecting = Connector) -> None:
        self._run = run
        self._turns = turns_of(requests, run)
        self._pacer = pacer_of(run)
        self._due_s = self._pacer.due_s
        self._users = self._pacer.users
        self._recorder = Recorder(
            open_loop=not self._users,
            streamed=requests.streamed,
            tokens=bool(requests.events),
            limits=run.limits,
        )
        self.tokens = self._recorder.tokens
        self._pauses = Pauses(self._turns, self._go_on) if requests.sequences else None
        # Of sequences the one that has waited longest for its next step; else the warmest lane.
        self._idle_place = 0 if requests.sequences else -1
        self._pool = self._new_pool(requests, new(self, run, requests))
        self._idle: list[Lane] = []
        # When each request that has no lane was due, and when the driver turned to it.
        self._waiting: deque[tuple[float, float]] = deque()
        self._resends = Resends()
        self._refused = self._resends.refused  # looked at for each request
        self._in_flight = self._reconnected = self._begun = 0
        self._failed_at_first: list[str] = []
        self._running = False
        self._start_s = self._end_s = self._finished_s = 0.0
        self._failures_in_a_row = 0
        self._overload = OverloadWatch(run)
        self._stopped_early = ""
        self._finished = asyncio.Event()
        self._bytes_sent = self._sends_timed = 0
        self._send_s = self._receive_s = 0.0

    def _new_pool(self, requests: RequestSet, connections: Connections) -> LanePool:
        most_lanes = math.inf
        if self._users:
            most_lanes = self._users
        elif requests.sequences is not None:
            most_lanes = max(1, self._run.share.part(requests.sequences.count))
        most = max(self._run.max_connections, self._users)
        return LanePool(
            connections, most, most_lanes, opened=self._opened, failed=self._not_connected
        )

    async def connect(self) -> None:
        """Open the connections that the run begins with; those that fail are tried again later."""
        pool = self._pool
        # For output tokens one: llama.cpp's server has a thread less for each, also for idle ones.
        first = 1 if self.tokens else self._run.connections * pool.lanes_each
        lanes = min(max(first, self._pacer.busy_lanes), pool.most_lanes)
        await pool.connect(min(math.ceil(lanes / pool.lanes_each), pool.most_connections))

    async def drive(self, start_s: float) -> None:
        """Send for `duration_s` from `start_s`, then wait up to `drain_s` for the answers."""
        self._pacer.begin(start_s)
        await asyncio.sleep(start_s - monotonic())
        self._running = True
        self._start_s = start_s
        self._end_s = start_s + self._run.duration_s
        self._recorder.ends_at(self._end_s)
        with self._timed():
            self._begin()
            while not self._finished.is_set():
                pause_s = min(_CHECK_EVERY_S, self._end_s + self._run.drain_s - monotonic())
                try:
                    async with asyncio.timeout(pause_s):
                        await self._finished.wait()
                except TimeoutError:
                    self._check(monotonic())

    async def close(self) -> None:
        """Leave nothing behind for the next run: no connection, and no task."""
        self._running = False
        await self._pool.close()

    def answered(self, lane: Lane, fault: str) -> None:
        """The request on `lane` has ended, well or with `fault`."""
        now = monotonic()
        lane.busy = False
        self._in_flight -= 1
        first_s = lane.first_bytes_s
        if first_s:
            self._receive_s += now - first_s
        if fault != "timeout":
            self._failures_in_a_row = 0
        if fault:
            self._failed(lane, now, fault)
        elif lane.due_s != _UNCOUNTED:
            first_s = first_s or now
            self._recorder.add(lane.due_s, lane.sent_s, now, SUCCESS, first_s, lane.itl_s)
        if self._pauses is None or not self._pauses.begin(lane):
            self._go_on(lane)
        if not self._in_flight:
            self._finish_if_over()

    def lost(self, lane: Lane, kind: str) -> None:
        """`lane` is of no use any more; a request in flight on it failed as `kind`."""
        if lane not in self._pool.lanes:
            return
        if self._pauses is not None and self._pauses.lost(lane):
            return
        busy, lane.busy = lane.busy, False
        if lane in self._idle:
            self._idle.remove(lane)
        self._pool.give_up(lane)
        if busy:
            self._in_flight -= 1
            now = monotonic()
            if (lane.stale or kind == "goaway") and self._may_resend(lane, now):
                self._resends.add(lane, kind)
                self._turns.leave(lane, unsent=True)
                self._replace(failed=False)
            else:
                self._failed(lane, now, kind)
                self._replace(failed=True)
            self._finish_if_over()
        else:
            self._turns.leave(lane)

    def record(self, *, priority: str, engine_cpu_s: float, engine_wall_s: float) -> RunRecord:
        """What the run has counted; requests without an answer with their age."""
        now = monotonic()
        for lane in self._pool.lanes:
            if lane.busy and lane.due_s != _UNCOUNTED:
                first_s = lane.first_bytes_s or now
                self._recorder.add(lane.due_s, lane.sent_s, now, PENDING, first_s, lane.itl_s)
        again = ((each.due_s, each.sent_s) for each in self._resends)
        for due_s, sent_s in chain(again, self._waiting):
            self._recorder.add(due_s, sent_s, now, PENDING, now)
        end_s = min(self._end_s, self._finished_s) if self._run.max_requests else self._end_s
        return replace(
            self._recorder.record(start_s=self._start_s, end_s=end_s),
            engine_cpu_s=engine_cpu_s,
            engine_wall_s=engine_wall_s,
            priority=priority,
            stopped_early=self._stopped_early,
            client_send_s=_mean(self._send_s, self._sends_timed),
            client_receive_s=_mean(self._receive_s, self._begun),
            bytes_sent=self._bytes_sent,
            bytes_received=self._pool.bytes_received,
            reconnected=self._reconnected,
        )

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """The timer calls `_send_due`."""
        loop = asyncio.get_running_loop()
        with Timer() as self._timer:
            loop.add_reader(self._timer.fd, self._send_due)
            try:
                yield
            finally:
                loop.remove_reader(self._timer.fd)

    def _begin(self) -> None:
        if not self._users:
            self._send_due()
            return
        while self._idle and not self._all_sent():
            self._use(self._idle.pop())
        for kind in self._failed_at_first:
            self._connect_failed(kind)
        self._pool.open_for(self._laneless())  # for those that the server has closed meanwhile

    def _send_due(self) -> None:
        """Begin what is due by the clock, and set the timer for the next request."""
        now = monotonic()
        due_s = self._due_s(now, self._begun)
        now = until(due_s, now)
        while due_s <= now:
            self._begun += 1
            if self._idle:
                self._send(self._idle.pop(self._idle_place), due_s, now)
            else:
                self._waiting.append((due_s, now))
                self._pool.open_for(len(self._waiting))
            now = monotonic()
            due_s = self._due_s(now, self._begun)
        if due_s < math.inf:
            self._timer.set_for(due_s, now)
        else:
            self._timer.clear()

    def _use(self, lane: Lane) -> None:
        """`lane` is free for what was refused, for what waits, or for its user's next request."""
        if self._refused:
            self._resend(lane, self._refused.popleft())
        elif self._waiting:
            self._send(lane, *self._waiting.popleft())
        elif self._users and (now := monotonic()) >= self._due_s(now, self._begun):
            self._begun += 1
            self._send(lane, now, now)
        else:
            self._idle.append(lane)

    def _go_on(self, lane: Lane) -> None:
        """The user of `lane` may ask again."""
        if lane.usable:
            self._use(lane)
        elif lane in self._pool.lanes:  # else the run has ended meanwhile
            self._pool.give_up(lane)
            self._turns.leave(lane)
            self._replace(failed=False)

    def _send(self, lane: Lane, due_s: float, now: float) -> None:
        """Put the next request on `lane`; `now` is when the driver turned to it."""
        self._write(lane, self._turns.next(lane), due_s, now)

    def _resend(self, lane: Lane, request: Unbegun) -> None:
        self._reconnected += 1
        data = self._turns.again(lane, request.payload)
        self._write(lane, data, request.due_s, request.sent_s, resent=True)

    def _write(
        self, lane: Lane, data: bytes, due_s: float, sent_s: float, *, resent: bool = False
    ) -> None:
        lane.due_s, lane.sent_s, lane.heard_s = due_s, sent_s, sent_s
        lane.first_bytes_s, lane.resent = 0.0, resent
        lane.busy = True
        self._in_flight += 1
        self._bytes_sent += len(data)
        if self._begun % _TIMED_SENDS:
            lane.send(data)
        else:
            began_s = monotonic()
            lane.send(data)
            self._send_s += monotonic() - began_s
            self._sends_timed += 1

    def _opened(self, lane: Lane) -> None:
        if not self._running:
            self._idle.append(lane)
        elif self._resends.closed:
            self._resend(lane, self._resends.closed.popleft())
            self._pool.open_for(len(self._waiting))  # perhaps it was opened for one of them
        else:
            self._use(lane)

    def _not_connected(self, kind: str) -> None:
        if self._running:
            self._connect_failed(kind)
            self._finish_if_over()
        else:
            self._failed_at_first.append(kind)

    def _connect_failed(self, kind: str) -> None:
        """Those who have waited for the connection have met an error; the others try again."""
        now = monotonic()
        lanes = self._pool.lanes_each
        for request in self._resends.take(lanes):
            self._fail(request.due_s, request.sent_s, now, request.kind)
            lanes -= 1
        if not self._users:
            for _ in range(min(len(self._waiting), lanes)):
                self._fail(*self._waiting.popleft(), now, kind)
        elif now < self._end_s:
            for _ in range(min(self._laneless(), lanes)):
                self._begun += 1
                self._fail(now, now, now, kind)
        self._open_lanes(failed=True)

    def _replace(self, *, failed: bool) -> None:
        """A lane is gone after its request was answered, or failed."""
        while self._refused and self._idle:
            self._use(self._idle.pop())
        self._open_lanes(failed=failed)

    def _open_lanes(self, *, failed: bool) -> None:
        """For all who need one; in a closed loop a little later where one has just failed."""
        if not self._users:
            self._pool.open_for(len(self._waiting) + len(self._resends))
        elif monotonic() < self._end_s:
            self._pool.open_for(self._laneless(), after_s=_RECONNECT_AFTER_S if failed else 0.0)
        else:
            self._pool.open_for(len(self._resends))

    def _laneless(self) -> int:
        """Users without a lane."""
        return self._users - len(self._pool.lanes)

    def _may_resend(self, lane: Lane, now: float) -> bool:
        """Once, and while answers are waited for (resends.py says when it is safe)."""
        waited_for = now < self._end_s + self._run.drain_s
        return waited_for and not lane.resent and not self._turns.stateful

    def _finish_sequences(self) -> None:
        """After the run: a server waits in vain for the rest of a sequence that is left open."""
        for lane in list(self._pool.lanes):
            if data := self._turns.last(lane):
                self._write(lane, data, _UNCOUNTED, _UNCOUNTED)

    def _failed(self, lane: Lane, now: float, kind: str) -> None:
        if lane.due_s != _UNCOUNTED:
            self._fail(lane.due_s, lane.sent_s, now, kind)
        self._turns.abandon(lane)

    def _fail(self, due_s: float, sent_s: float, now: float, kind: str) -> None:
        self._recorder.add_failure(due_s, sent_s, now, kind)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _HOPELESS_FAILURES:
            self._stop("unreachable")

    def _stop(self, reason: str) -> None:
        now = monotonic()
        if not self._stopped_early and now < self._end_s:
            self._stopped_early = reason
            self._end_s = now
            self._due_s = lambda now_s, begun: math.inf  # nothing is due any more
            self._recorder.ends_at(now)

    def _outstanding(self) -> int:
        return self._in_flight + len(self._resends) + len(self._waiting)

    def _all_sent(self) -> bool:
        return self._due_s(monotonic(), self._begun) == math.inf

    def _finish_if_over(self) -> None:
        if self._outstanding() or not self._all_sent():
            return
        self._finish_sequences()
        if not self._in_flight:
            self._finished_s = monotonic()
            self._finished.set()

    def _check(self, now: float) -> None:
        """Time requests out; end the run when all is answered or the time to drain is over."""
        for unsent in (self._waiting, self._refused, self._resends.closed):
            while unsent and now - unsent[0][1] > self._run.timeout_s:
                due_s, sent_s, *_ = unsent.popleft()
                self._fail(due_s, sent_s, now, "timeout")
        for lane in list(self._pool.lanes):
            if lane.busy and now - lane.heard_s > self._run.timeout_s and lane.sent_s > 0:
                lane.cancel("stalled" if lane.heard_s > lane.sent_s else "timeout")
        self._finish_if_over()
        if now >= self._end_s + self._run.drain_s:
            self._finished_s = now
            self._finished.set()
        if not self._users and now < self._end_s:
            spent_s = now - self._start_s
            slower_than = self._recorder.slower_than
            if why := self._overload.reason(spent_s, self._outstanding(), slower_than):
                self._stop(why)


def _mean(total_s: float, count: int) -> float:
    return total_s / count if count else math.nan

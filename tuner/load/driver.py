"""What the closed and the open loop share: lanes, the end of each request, the end of the run."""

import asyncio
import math
from abc import ABC, abstractmethod
from collections import deque
from contextlib import AbstractContextManager
from dataclasses import replace
from time import monotonic

from tuner.load.connecting import Connector
from tuner.load.lane import Connection, Lane
from tuner.load.measurement import RunRecord
from tuner.load.profile import LoadRun, Share
from tuner.load.recorder import PENDING, Recorder
from tuner.load.requests import RequestSet
from tuner.load.sequences import SequencePlayer

CHECK_EVERY_S = 0.1
# With this many failures in a row and no answer between them, there is no server to measure.
_HOPELESS_FAILURES = 40
# One send in so many is timed: a clock reading costs as much as a tenth of a send.
_TIMED_SENDS = 16
# A request that only ends a sequence, after the run: it is not counted.
_UNCOUNTED = -1.0


class Driver(ABC):
    """One run: `connect`, `drive`, `record`, `close`, in this order.

    The requests in flight are noted on their lanes; what has ended is the recorder's. Everything
    happens in one event loop, so nothing is locked.
    """

    _open_loop = True

    def __init__(self, run: LoadRun, requests: RequestSet) -> None:
        self._run = run
        self._payloads = requests.payloads
        self._recorder = Recorder(open_loop=self._open_loop)
        self._connector = Connector(self, run, requests)
        self._player = (
            None if requests.sequences is None else SequencePlayer(requests.sequences, run.share)
        )
        self._most_requests = part(run.max_requests, run.share) or math.inf
        self._started = 0
        self._next_payload = run.share.index
        self._in_flight = 0
        self._connections: dict[Lane, Connection] = {}
        self._connection_count = 0
        self._most_connections = run.max_connections
        self._most_lanes = math.inf
        self._idle: list[Lane] = []
        # When each request that a server has refused to begin was due, and first sent.
        self._refused: deque[tuple[float, float]] = deque()
        self._connecting: set[asyncio.Task[Connection | str]] = set()
        self._failed_at_first: list[str] = []
        self._running = False
        self._start_s = self._end_s = self._finished_s = 0.0
        self._failures_in_a_row = 0
        self._stopped_early = ""
        self._finished = asyncio.Event()
        self._bytes_sent = self._bytes_received = 0
        self._send_s, self._sends_timed = 0.0, 0
        self._receive_s = 0.0

    async def connect(self) -> None:
        """Open the connections that the run begins with; those that fail are tried again later."""
        for _ in range(self._first_connections()):
            self._begin_connecting()
        while self._connecting:
            await asyncio.wait(self._connecting)

    async def drive(self, start_s: float) -> None:
        """Send for `duration_s` from `start_s`, then wait up to `drain_s` for the answers."""
        await asyncio.sleep(start_s - monotonic())
        self._running = True
        self._start_s = start_s
        self._end_s = start_s + self._run.duration_s
        self._recorder.ends_at(self._end_s)
        with self._sending():
            while not self._finished.is_set():
                pause_s = min(CHECK_EVERY_S, self._end_s + self._run.drain_s - monotonic())
                try:
                    async with asyncio.timeout(pause_s):
                        await self._finished.wait()
                except TimeoutError:
                    self._check(monotonic())

    async def close(self) -> None:
        """Leave nothing behind for the next run: no connection, and no task."""
        self._running = False
        for task in self._connecting:
            task.cancel()
        while self._connecting:
            await asyncio.wait(self._connecting)
        connections = set(self._connections.values())
        self._connections.clear()  # so that nobody hears of their end
        for connection in connections:
            connection.close()
        await asyncio.sleep(0)  # the event loop closes the sockets

    @abstractmethod
    def _first_connections(self) -> int: ...

    @abstractmethod
    def _sending(self) -> AbstractContextManager[None]:
        """Begin to send; leaving the context ends it."""

    @abstractmethod
    def _offer(self, lane: Lane) -> None:
        """The lane is new."""

    @abstractmethod
    def _use(self, lane: Lane) -> None:
        """The lane's request was answered; it may carry another."""

    @abstractmethod
    def _connect_failed(self, kind: str) -> None: ...

    @abstractmethod
    def _replace(self, *, failed: bool) -> None:
        """A lane is gone after its request was answered, or failed."""

    @abstractmethod
    def _all_sent(self) -> bool:
        """Whether no further request will be sent."""

    def _outstanding(self) -> int:
        """Requests that were due and have not ended."""
        return self._in_flight + len(self._refused)

    def answered(self, lane: Lane, fault: str) -> None:
        """The request on `lane` has ended, well or with `fault`."""
        now = monotonic()
        lane.busy = False
        self._in_flight -= 1
        if lane.first_bytes_s:
            self._receive_s += now - lane.first_bytes_s
            lane.first_bytes_s = 0.0
        if fault != "timeout":
            self._failures_in_a_row = 0
        if fault:
            self._failed(lane, now, fault)
        elif lane.due_s != _UNCOUNTED:
            self._recorder.add(lane.due_s, lane.sent_s, now)
        if lane.usable:
            self._use(lane)
        else:
            self._give_up(lane)
            self._replace(failed=False)
        if not self._in_flight:
            self._finish_if_over()

    def lost(self, lane: Lane, kind: str) -> None:
        """`lane` is of no use any more; a request in flight on it failed as `kind`."""
        if lane not in self._connections:
            return
        busy, lane.busy = lane.busy, False
        if lane in self._idle:
            self._idle.remove(lane)
        self._give_up(lane)
        if busy:
            self._in_flight -= 1
            now = monotonic()
            if kind == "goaway" and self._may_resend(lane, now):
                self._refused.append((lane.due_s, lane.sent_s))
                self._replace(failed=False)
            else:
                self._failed(lane, now, kind)
                self._replace(failed=True)
            self._finish_if_over()

    def _may_resend(self, lane: Lane, now: float) -> bool:
        """Once: the server says that it did not begin the request (RFC 9113 section 6.8)."""
        return not lane.resent and self._player is None and now < self._end_s

    def _resend(self, lane: Lane) -> None:
        """Send on `lane` what was refused; its latency counts from the moment it was due."""
        self._started -= 1
        self._send(lane, *self._refused.popleft())
        lane.resent = True

    def record(self, *, priority: str, engine_cpu_s: float, engine_wall_s: float) -> RunRecord:
        """What the run has counted; requests without an answer with their age."""
        now = monotonic()
        self._record_pending(now)
        end_s = (
            min(self._end_s, self._finished_s) if self._most_requests < math.inf else self._end_s
        )
        received = sum(each.bytes_received for each in set(self._connections.values()))
        return replace(
            self._recorder.record(start_s=self._start_s, end_s=end_s),
            engine_cpu_s=engine_cpu_s,
            engine_wall_s=engine_wall_s,
            priority=priority,
            stopped_early=self._stopped_early,
            client_send_s=_mean(self._send_s, self._sends_timed),
            client_receive_s=_mean(self._receive_s, self._started),
            bytes_sent=self._bytes_sent,
            bytes_received=self._bytes_received + received,
        )

    def _record_pending(self, now: float) -> None:
        for lane in self._connections:
            if lane.busy and lane.due_s != _UNCOUNTED:
                self._recorder.add(lane.due_s, lane.sent_s, now, PENDING)
        for due_s, sent_s in self._refused:
            self._recorder.add(due_s, sent_s, now, PENDING)

    def _send(self, lane: Lane, due_s: float, now: float) -> None:
        """Put the next request on `lane`; `now` is when the driver turned to it."""
        if self._player is None:
            lane.payload = self._next_payload % len(self._payloads)
            self._next_payload += 1
            data = self._payloads[lane.payload]
        else:
            data = self._player.next(lane)
        self._write(lane, data, due_s, now)

    def _write(self, lane: Lane, data: bytes, due_s: float, sent_s: float) -> None:
        lane.due_s, lane.sent_s = due_s, sent_s
        lane.resent = False
        lane.busy = True
        self._in_flight += 1
        self._started += 1
        self._bytes_sent += len(data)
        if self._started % _TIMED_SENDS:
            lane.send(data)
        else:
            began_s = monotonic()
            lane.send(data)
            self._send_s += monotonic() - began_s
            self._sends_timed += 1

    def _finish_sequences(self) -> None:
        """After the run: a server waits in vain for the rest of a sequence that is left open."""
        if self._player is None:
            return
        for lane in [each for each in self._connections if self._player.is_under_way(each)]:
            self._write(lane, self._player.finish(lane), _UNCOUNTED, _UNCOUNTED)

    def _failed(self, lane: Lane, now: float, kind: str) -> None:
        if lane.due_s != _UNCOUNTED:
            self._fail(lane.due_s, lane.sent_s, now, kind)
        if self._player is not None:
            self._player.abandon(lane)

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
            self._recorder.ends_at(now)

    def _finish_if_over(self) -> None:
        if self._outstanding() or not self._all_sent():
            return
        self._finish_sequences()
        if not self._in_flight:
            self._finished_s = monotonic()
            self._finished.set()

    def _give_up(self, lane: Lane) -> None:
        """Forget the lane, and close its connection with the last one."""
        connection = self._connections.pop(lane)
        if not any(each in self._connections for each in connection.lanes):
            self._connection_count -= 1
            self._bytes_received += connection.bytes_received
            connection.close()

    def _connect_for(self, waiting: int, *, after_s: float = 0.0) -> None:
        """Enough connections for what waits for a lane, as far as the limits allow."""
        lanes = self._connector.lanes
        wanted = math.ceil(waiting / lanes) - len(self._connecting)
        room = self._most_connections - self._connection_count - len(self._connecting)
        for _ in range(min(wanted, room)):
            if len(self._connections) + lanes * len(self._connecting) < self._most_lanes:
                self._begin_connecting(after_s=after_s)

    def _begin_connecting(self, *, after_s: float = 0.0) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(after_s))
        self._connecting.add(task)
        task.add_done_callback(self._connect_ended)

    async def _connect(self, after_s: float) -> Connection | str:
        """A connection, or the kind of failure."""
        if after_s:
            await asyncio.sleep(after_s)
        return await self._connector.open()

    def _connect_ended(self, task: asyncio.Task[Connection | str]) -> None:
        self._connecting.discard(task)
        if task.cancelled():
            return
        connection = task.result()
        if isinstance(connection, str):
            self._no_connection(connection)
        elif connection.is_closing():
            self._no_connection("connection_lost")
        else:
            self._connected(connection)

    def _connected(self, connection: Connection) -> None:
        self._connection_count += 1
        room = self._most_lanes - len(self._connections)
        lanes = (
            connection.lanes if room >= len(connection.lanes) else connection.lanes[: int(room)]
        )
        self._connections.update(dict.fromkeys(lanes, connection))
        for lane in lanes:
            if self._running:
                self._offer(lane)
            else:
                self._idle.append(lane)

    def _no_connection(self, kind: str) -> None:
        if self._running:
            self._connect_failed(kind)
            self._finish_if_over()
        else:
            self._failed_at_first.append(kind)

    def _check(self, now: float) -> None:
        """Time requests out; end the run when all is answered or the time to drain is over."""
        while self._refused and now - self._refused[0][1] > self._run.timeout_s:
            self._fail(*self._refused.popleft(), now, "timeout")
        for lane in list(self._connections):
            if lane.busy and now - lane.sent_s > self._run.timeout_s and lane.sent_s > 0:
                lane.cancel("timeout")
        self._finish_if_over()
        if now >= self._end_s + self._run.drain_s:
            self._finished_s = now
            self._finished.set()


def part(total: int, share: Share) -> int:
    """What one of several engine processes takes of `total`."""
    return (total + share.of - 1 - share.index) // share.of


def _mean(total_s: float, count: int) -> float:
    return total_s / count if count else math.nan

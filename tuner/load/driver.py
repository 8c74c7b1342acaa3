"""What the closed and the open loop share: connections, the record of each request, the end."""

import asyncio
from abc import ABC, abstractmethod
from array import array
from contextlib import AbstractContextManager
from time import monotonic

import numpy as np

from tuner.load.connection import IDLE, HttpConnection
from tuner.load.measurement import PENDING, SUCCESS, FloatArray, RunRecord
from tuner.load.profile import LoadRun

CHECK_EVERY_S = 0.1
# With this many failures in a row and no answer between them, there is no server to measure.
_HOPELESS_FAILURES = 40


class Driver(ABC):
    """One run: `connect`, `drive`, `record`, `close`, in this order.

    A request is an index into `due`, `sent`, `done` and `outcomes`. Connections call `answered`
    and `lost`; everything happens in one event loop, so nothing is locked.
    """

    def __init__(self, run: LoadRun, payloads: tuple[bytes, ...]) -> None:
        self._run = run
        self._payloads = payloads
        self._sent = array("d")
        self._done = array("d")
        self._outcomes = bytearray()
        self._kinds: dict[str, int] = {}
        self._over_count = 0  # requests that were answered or failed
        self._open: set[HttpConnection] = set()
        self._idle: list[HttpConnection] = []
        self._connecting: set[asyncio.Task[HttpConnection | str]] = set()
        self._failed_at_first: list[str] = []
        self._running = False
        self._start_s = self._end_s = 0.0
        self._failures_in_a_row = 0
        self._stopped_early = ""
        self._finished = asyncio.Event()

    async def connect(self) -> None:
        """Open the connections that the run begins with; those that fail are tried again later."""
        for _ in range(self._first_connections()):
            self._begin_connecting()
        while self._connecting:
            await asyncio.wait(self._connecting)

    async def drive(self) -> None:
        """Send for `duration_s`, then wait up to `drain_s` for what is in flight."""
        self._running = True
        self._start_s = monotonic()
        self._end_s = self._start_s + self._run.duration_s
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
        for connection in list(self._open):
            connection.index = IDLE
            connection.end("closed")
        await asyncio.sleep(0)  # the event loop closes the sockets

    @abstractmethod
    def _first_connections(self) -> int: ...

    @abstractmethod
    def _sending(self) -> AbstractContextManager[None]:
        """Begin to send; leaving the context ends it."""

    @abstractmethod
    def _use(self, connection: HttpConnection) -> None:
        """The connection is new, or its request was answered; it may carry another."""

    @abstractmethod
    def _connect_failed(self, kind: str) -> None: ...

    @abstractmethod
    def _replace(self, *, failed: bool) -> None:
        """A connection is gone after its request was answered, or failed."""

    @abstractmethod
    def _all_sent(self) -> bool:
        """Whether no further request will be sent."""

    @abstractmethod
    def _due(self, count: int) -> FloatArray: ...

    def answered(self, connection: HttpConnection) -> None:
        """The response in flight on `connection` has ended."""
        index, connection.index = connection.index, IDLE
        self._failures_in_a_row = 0
        status = connection.parser.status
        if status == 200:
            self._done[index] = monotonic()
            self._outcomes[index] = SUCCESS
            self._over_count += 1
        else:
            self._fail(index, f"http_{status}")
        if connection.parser.keep_alive:
            self._use(connection)
        else:
            connection.end("closed")
            self._replace(failed=False)
        self._finish_if_over()

    def lost(self, connection: HttpConnection, kind: str) -> None:
        """`connection` has ended; a request in flight on it failed as `kind`."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.index != IDLE:
            index, connection.index = connection.index, IDLE
            self._fail(index, kind)
            self._replace(failed=True)
            self._finish_if_over()

    def record(self, *, priority: str, engine_cpu_s: float, engine_wall_s: float) -> RunRecord:
        count = len(self._outcomes)
        return RunRecord(
            start_s=self._start_s,
            end_s=self._end_s,
            gave_up_s=monotonic(),
            due_s=self._due(count),
            sent_s=np.array(self._sent, dtype=np.float64),
            done_s=np.array(self._done, dtype=np.float64),
            outcomes=np.frombuffer(bytes(self._outcomes), dtype=np.uint8),
            error_kinds=tuple(self._kinds),
            engine_cpu_s=engine_cpu_s,
            engine_wall_s=engine_wall_s,
            priority=priority,
            stopped_early=self._stopped_early,
        )

    def _new_request(self, now: float) -> int:
        self._sent.append(now)
        self._done.append(0.0)
        self._outcomes.append(PENDING)
        return len(self._outcomes) - 1

    def _send(self, connection: HttpConnection, index: int) -> None:
        connection.index = index
        connection.write(self._payloads[index % len(self._payloads)])

    def _outstanding(self) -> int:
        return len(self._outcomes) - self._over_count

    def _fail(self, index: int, kind: str) -> None:
        self._done[index] = monotonic()
        self._outcomes[index] = self._kinds.setdefault(kind, len(self._kinds) + 2)
        self._over_count += 1
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _HOPELESS_FAILURES:
            self._stop("unreachable")

    def _stop(self, reason: str) -> None:
        now = monotonic()
        if not self._stopped_early and now < self._end_s:
            self._stopped_early = reason
            self._end_s = now

    def _finish_if_over(self) -> None:
        if not self._outstanding() and self._all_sent():
            self._finished.set()

    def _begin_connecting(self, *, after_s: float = 0.0) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(after_s))
        self._connecting.add(task)
        task.add_done_callback(self._connect_ended)

    async def _connect(self, after_s: float) -> HttpConnection | str:
        """A connection, or the kind of failure."""
        if after_s:
            await asyncio.sleep(after_s)
        endpoint, loop = self._run.endpoint, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._run.timeout_s):
                _, connection = await loop.create_connection(
                    lambda: HttpConnection(self), endpoint.host, endpoint.port
                )
        except TimeoutError:
            return "connect_timeout"
        except ConnectionRefusedError:
            return "connection_refused"
        except OSError:
            return "connect_failed"
        return connection

    def _connect_ended(self, task: asyncio.Task[HttpConnection | str]) -> None:
        self._connecting.discard(task)
        if task.cancelled():
            return
        connection = task.result()
        if isinstance(connection, HttpConnection) and not connection.is_closing():
            self._open.add(connection)
            if self._running:
                self._use(connection)
            else:
                self._idle.append(connection)
            return
        kind = "connection_lost" if isinstance(connection, HttpConnection) else connection
        if self._running:
            self._connect_failed(kind)
            self._finish_if_over()
        else:
            self._failed_at_first.append(kind)

    def _check(self, now: float) -> None:
        """Time requests out; end the run when all is answered or the time to drain is over."""
        for connection in list(self._open):
            index = connection.index
            if index != IDLE and now - self._sent[index] > self._run.timeout_s:
                connection.end("timeout")
        self._finish_if_over()
        if now >= self._end_s + self._run.drain_s:
            self._finished.set()

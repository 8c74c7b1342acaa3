"""The closed and the open loop: which request goes out when, and what became of each."""

import asyncio
from abc import ABC, abstractmethod
from array import array
from collections import deque
from time import monotonic

import numpy as np

from tuner.load.arrivals import schedule
from tuner.load.connection import HttpConnection
from tuner.load.measurement import PENDING, SUCCESS, FloatArray, RunRecord
from tuner.load.profile import ClosedLoop, LoadRun, OpenLoop
from tuner.load.timer import Timer

_CHECK_EVERY_S = 0.1
_RECONNECT_AFTER_S = 0.05
# With this many failures in a row and no answer between them, there is no server to measure.
_HOPELESS_FAILURES = 40


class Driver(ABC):
    """What both loops share: connections, the record of each request, and when the run is over.

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
        self._busy: set[HttpConnection] = set()
        self._open: set[HttpConnection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._start_s = self._end_s = 0.0
        self._failures_in_a_row = 0
        self._stopped_early = ""
        self._finished = asyncio.Event()

    async def connect(self) -> None:
        """Open the connections that the run begins with; those that fail are tried again later."""
        await asyncio.gather(*(self._connect() for _ in range(self._run.connections)))

    async def drive(self) -> None:
        """Send for `duration_s`, then wait up to `drain_s` for what is in flight."""
        loop = asyncio.get_running_loop()
        self._start_s = monotonic()
        self._end_s = self._start_s + self._run.duration_s
        checks = loop.create_task(self._check_regularly())
        try:
            await self._send_all()
        finally:
            checks.cancel()
            for task in self._connecting:
                task.cancel()
            for connection in self._open:
                connection.abort()

    @abstractmethod
    async def _send_all(self) -> None: ...

    @abstractmethod
    def _connected(self, connection: HttpConnection) -> None:
        """A new connection may carry a request."""

    @abstractmethod
    def _connect_failed(self, kind: str) -> None: ...

    @abstractmethod
    def _free(self, connection: HttpConnection | None) -> None:
        """A request ended; its connection may carry another, unless it is None."""

    @abstractmethod
    def _outstanding(self) -> int: ...

    @abstractmethod
    def _due(self, count: int) -> FloatArray: ...

    def answered(self, connection: HttpConnection) -> None:
        """The response in flight on `connection` has ended."""
        now = monotonic()
        index = connection.index
        self._done[index] = now
        self._busy.discard(connection)
        status = connection.parser.status
        if status == 200:
            self._outcomes[index] = SUCCESS
            self._failures_in_a_row = 0
        else:
            self._fail(index, f"http_{status}")
        if connection.parser.keep_alive:
            self._free(connection)
        else:
            connection.abort()
            self._free(None)

    def lost(self, connection: HttpConnection, kind: str) -> None:
        """`connection` has ended; a request in flight on it failed as `kind`."""
        self._open.discard(connection)
        if connection in self._busy:
            self._busy.discard(connection)
            self._fail(connection.index, kind)
            self._free(None)

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

    def _send(self, connection: HttpConnection, index: int) -> None:
        connection.index = index
        self._busy.add(connection)
        connection.write(self._payloads[index % len(self._payloads)])

    def _fail(self, index: int, kind: str) -> None:
        self._done[index] = monotonic()
        self._outcomes[index] = self._kinds.setdefault(kind, len(self._kinds) + 2)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _HOPELESS_FAILURES:
            self._stop("unreachable")

    def _stop(self, reason: str) -> None:
        if not self._stopped_early and monotonic() < self._end_s:
            self._stopped_early = reason
            self._end_s = monotonic()
        self._finished.set()

    def _begin_connecting(self, *, after_s: float = 0.0) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(after_s=after_s))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, *, after_s: float = 0.0) -> None:
        if after_s:
            await asyncio.sleep(after_s)
        endpoint, loop = self._run.endpoint, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._run.timeout_s):
                _, connection = await loop.create_connection(
                    lambda: HttpConnection(self), endpoint.host, endpoint.port
                )
        except TimeoutError:
            self._connect_failed("connect_timeout")
        except OSError:
            self._connect_failed("connection_refused")
        else:
            self._open.add(connection)
            self._connected(connection)

    async def _check_regularly(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            self._check(monotonic())

    def _check(self, now: float) -> None:
        """Time requests out; end the run when all is answered or the time to drain is over."""
        for connection in list(self._busy):
            if now - self._sent[connection.index] > self._run.timeout_s:
                self.lost(connection, "timeout")
                connection.abort()
        if now >= self._end_s and not self._outstanding():
            self._finished.set()

    async def _drained(self) -> None:
        """Wait until every request has ended, `drain_s` after the end of sending at most."""
        try:
            async with asyncio.timeout(self._end_s + self._run.drain_s - monotonic()):
                await self._finished.wait()
        except TimeoutError:
            return


class ClosedLoopDriver(Driver):
    """Keeps `concurrency` requests in flight; each answer sends the next."""

    def __init__(self, run: LoadRun, payloads: tuple[bytes, ...]) -> None:
        super().__init__(run, payloads)
        self._concurrency = run.profile.concurrency if isinstance(run.profile, ClosedLoop) else 1
        self._idle: list[HttpConnection] = []

    async def connect(self) -> None:
        await asyncio.gather(*(self._connect() for _ in range(self._concurrency)))

    async def _send_all(self) -> None:
        for connection in self._idle:
            self._send_next(connection)
        for _ in range(self._concurrency - len(self._idle)):
            self._begin_connecting(after_s=_RECONNECT_AFTER_S)
        try:
            async with asyncio.timeout(self._end_s - monotonic()):
                await self._finished.wait()
        except TimeoutError:
            if self._outstanding():
                await self._drained()

    def _send_next(self, connection: HttpConnection) -> None:
        self._sent.append(monotonic())
        self._done.append(0.0)
        self._outcomes.append(PENDING)
        self._send(connection, len(self._outcomes) - 1)

    def _connected(self, connection: HttpConnection) -> None:
        if not self._start_s:
            self._idle.append(connection)
        elif monotonic() < self._end_s:
            self._send_next(connection)

    def _connect_failed(self, kind: str) -> None:
        if not self._start_s or monotonic() >= self._end_s:
            return
        # A user of a closed loop who finds no server has met an error, and tries again.
        self._sent.append(monotonic())
        self._done.append(0.0)
        self._outcomes.append(PENDING)
        self._fail(len(self._outcomes) - 1, kind)
        self._begin_connecting(after_s=_RECONNECT_AFTER_S)

    def _free(self, connection: HttpConnection | None) -> None:
        if monotonic() >= self._end_s:
            if not self._busy:
                self._finished.set()
        elif connection is not None:
            self._send_next(connection)
        else:
            self._begin_connecting(after_s=_RECONNECT_AFTER_S)

    def _outstanding(self) -> int:
        return len(self._busy)

    def _due(self, count: int) -> FloatArray:
        return np.array(self._sent)


class OpenLoopDriver(Driver):
    """Sends each request when it is due, on an idle connection or on one opened for it.

    Where no connection can be had, the request waits and its latency counts that wait.
    """

    def __init__(self, run: LoadRun, payloads: tuple[bytes, ...]) -> None:
        super().__init__(run, payloads)
        if not isinstance(run.profile, OpenLoop):
            raise TypeError(f"an open loop needs an OpenLoop profile, but got {run.profile}")
        self._offsets = schedule(run.profile, run.duration_s)
        self._moments = array("d")
        self._next = 0
        self._idle: list[HttpConnection] = []
        self._waiting: deque[int] = deque()
        self._last_outstanding = 0
        self._blocks_not_fallen = 0

    async def _send_all(self) -> None:
        self._moments = array("d", self._offsets + self._start_s)
        loop = asyncio.get_running_loop()
        with Timer() as timer:
            self._timer = timer
            loop.add_reader(timer.fd, self._send_due)
            timer.set(self._moments[0])
            try:
                async with asyncio.timeout(self._run.duration_s + self._run.drain_s):
                    await self._finished.wait()
                if self._stopped_early and self._outstanding():
                    self._finished.clear()
                    await self._drained()
            except TimeoutError:
                return
            finally:
                loop.remove_reader(timer.fd)

    def _send_due(self) -> None:
        self._timer.clear()
        moments, count = self._moments, len(self._offsets)
        now = monotonic()
        if now > self._end_s and self._stopped_early:
            return
        while self._next < count and moments[self._next] <= now:
            self._sent.append(now)
            self._done.append(0.0)
            self._outcomes.append(PENDING)
            self._dispatch(self._next)
            self._next += 1
            now = monotonic()
        if self._next < count:
            self._timer.set(moments[self._next])

    def _dispatch(self, index: int) -> None:
        if self._idle:
            self._send(self._idle.pop(), index)
            return
        self._waiting.append(index)
        if len(self._open) + len(self._connecting) < self._run.max_connections:
            self._begin_connecting()

    def _connected(self, connection: HttpConnection) -> None:
        self._free(connection)

    def _connect_failed(self, kind: str) -> None:
        if self._waiting:
            self._fail(self._waiting.popleft(), kind)

    def _free(self, connection: HttpConnection | None) -> None:
        if connection is None:
            if self._waiting:
                self._begin_connecting()
        elif self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)
        if self._next == len(self._offsets) and not self._outstanding():
            self._finished.set()

    def lost(self, connection: HttpConnection, kind: str) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        super().lost(connection, kind)

    def _outstanding(self) -> int:
        return len(self._busy) + len(self._waiting)

    def _due(self, count: int) -> FloatArray:
        return np.array(self._moments[:count])

    def _check(self, now: float) -> None:
        super()._check(now)
        while self._waiting and now - self._moments[self._waiting[0]] > self._run.timeout_s:
            self._fail(self._waiting.popleft(), "timeout")
        overload = self._run.overload
        if overload is None or now >= self._end_s:
            return
        outstanding = self._outstanding()
        losing = outstanding > overload.outstanding and outstanding >= self._last_outstanding
        self._blocks_not_fallen = self._blocks_not_fallen + 1 if losing else 0
        self._last_outstanding = outstanding
        if self._blocks_not_fallen >= overload.blocks:
            self._stop("overload")

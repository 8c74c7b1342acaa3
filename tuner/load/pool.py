"""The connections of a run, and the lanes on them."""

import asyncio
import math
from collections.abc import Callable

from tuner.load.lane import Connection, Connections, Lane


class LanePool:
    """Opens connections until there are `most_connections` of them, or `most_lanes` lanes.

    `opened` is told of each new lane, `failed` of each connection that cannot be had, by the kind
    of failure.
    """

    def __init__(
        self,
        connections: Connections,
        most_connections: int,
        most_lanes: float,
        *,
        opened: Callable[[Lane], None],
        failed: Callable[[str], None],
    ) -> None:
        self.lanes: dict[Lane, Connection] = {}
        self.lanes_each = connections.lanes
        self.most_connections = most_connections
        self.most_lanes = most_lanes
        self._connections = connections
        self._opened = opened
        self._failed = failed
        self._connection_count = 0
        self._connecting: set[asyncio.Task[Connection | str]] = set()
        self._bytes_received = 0  # on connections that are gone

    @property
    def bytes_received(self) -> int:
        connections = set(self.lanes.values())
        return self._bytes_received + sum(each.bytes_received for each in connections)

    async def connect(self, connections: int) -> None:
        """Open so many, and wait until none is under way."""
        for _ in range(connections):
            self._begin_connecting(0.0)
        await self._settle()

    async def close(self) -> None:
        """Leave nothing behind for the next run: no connection, and no task."""
        for task in self._connecting:
            task.cancel()
        await self._settle()
        connections = set(self.lanes.values())
        self.lanes.clear()  # so that nobody hears of their end
        await asyncio.gather(*(connection.finish() for connection in connections))
        await asyncio.sleep(0)  # the event loop closes the sockets

    def open_for(self, waiting: int, *, after_s: float = 0.0) -> None:
        """Enough connections for what waits for a lane, as far as the limits allow."""
        wanted = math.ceil(waiting / self.lanes_each) - len(self._connecting)
        room = self.most_connections - self._connection_count - len(self._connecting)
        for _ in range(min(wanted, room)):
            if len(self.lanes) + self.lanes_each * len(self._connecting) < self.most_lanes:
                self._begin_connecting(after_s)

    def give_up(self, lane: Lane) -> None:
        """Forget the lane, and close its connection with the last one."""
        connection = self.lanes.pop(lane)
        if not any(each in self.lanes for each in connection.lanes):
            self._connection_count -= 1
            self._bytes_received += connection.bytes_received
            connection.close()

    async def _settle(self) -> None:
        while self._connecting:
            await asyncio.wait(self._connecting)

    def _begin_connecting(self, after_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(after_s))
        self._connecting.add(task)
        task.add_done_callback(self._connect_ended)

    async def _connect(self, after_s: float) -> Connection | str:
        """A connection, or the kind of failure."""
        if after_s:
            await asyncio.sleep(after_s)
        return await self._connections.open()

    def _connect_ended(self, task: asyncio.Task[Connection | str]) -> None:
        self._connecting.discard(task)
        if task.cancelled():
            return
        connection = task.result()
        if isinstance(connection, str):
            self._failed(connection)
        elif connection.is_closing():
            self._failed("connection_lost")
        else:
            self._connection_count += 1
            room = min(self.most_lanes - len(self.lanes), len(connection.lanes))
            lanes = connection.lanes[: int(room)]
            self.lanes.update(dict.fromkeys(lanes, connection))
            for lane in lanes:
                self._opened(lane)

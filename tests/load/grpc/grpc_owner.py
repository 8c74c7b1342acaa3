"""Drives a GrpcConnection as a driver would, and writes down what it is told."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple, ParamSpec

from tests.load.grpc.http2_server import Behaviour, serving_http2
from tuner.load.grpc import frames as h2
from tuner.load.grpc.connection import GrpcConnection
from tuner.load.grpc.frames import settings
from tuner.load.lane import Lane
from tuner.load.requests import GrpcCall, ResponseCheck

_PATIENCE_S = 20.0
CALL = GrpcCall("/test.Service/Method")
Arguments = ParamSpec("Arguments")


def in_event_loop(test: Callable[Arguments, Awaitable[None]]) -> Callable[Arguments, None]:
    """Runs a test that is a coroutine; one that waits in vain fails."""

    async def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            await test(*args, **kwargs)

    @functools.wraps(test)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        asyncio.run(limited(*args, **kwargs))

    return run


class Told(NamedTuple):
    """What the owner was told of a lane: that it was `answered`, or else lost, and how."""

    lane: Lane
    answered: bool
    kind: str


class Owner:
    """Takes note; `again` is sent whenever an answer comes, from inside of it."""

    def __init__(self) -> None:
        self.tokens = None
        self.told: asyncio.Queue[Told] = asyncio.Queue()
        self.again: list[bytes] = []

    def answered(self, lane: Lane, fault: str) -> None:
        assert lane.busy
        lane.busy = False
        self.told.put_nowait(Told(lane, answered=True, kind=fault))
        if self.again and lane.usable:
            self.send(lane, self.again.pop())

    def lost(self, lane: Lane, kind: str) -> None:
        self.told.put_nowait(Told(lane, answered=False, kind=kind))
        lane.busy = False

    def send(self, lane: Lane, message: bytes) -> None:
        assert not lane.busy
        lane.busy = True
        lane.send(message)

    async def outcome(self, lane: Lane, message: bytes = b"") -> tuple[bool, str]:
        """Send, and wait for what becomes of it."""
        self.send(lane, message)
        return await self.next(lane)

    async def next(self, lane: Lane) -> tuple[bool, str]:
        told = await self.told.get()
        assert told.lane is lane
        return told.answered, told.kind


@dataclass
class KeepingCheck:
    """Remembers the last message, and finds nothing wrong with it but `kind`."""

    kind: str = ""
    last: tuple[int, bytes, bytes] = (-1, b"", b"")

    def fault(self, payload: int, head: bytes, body: bytes) -> str:
        self.last = (payload, head, body)
        return self.kind


@asynccontextmanager
async def connected(
    port: int, call: GrpcCall = CALL, *, streams: int = 2, check: ResponseCheck | None = None
) -> AsyncIterator[tuple[Owner, GrpcConnection]]:
    """A connection that is ready, and its owner."""
    owner = Owner()
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: GrpcConnection(owner, call, f"127.0.0.1:{port}", "http", streams, check),
        "127.0.0.1",
        port,
    )
    try:
        await connection.ready
        yield owner, connection
    finally:
        connection.close()


class FakeTransport(asyncio.Transport):
    """Keeps what is written, for tests that feed a connection by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def data(self, stream: int) -> bytes:
        """What was written of a stream, without the heads of its frames."""
        at, content = 0, b""
        while at < len(self.written):
            end = at + 9 + int.from_bytes(self.written[at : at + 3], "big")
            if self.written[at + 3] == h2.DATA and self.written[at + 8] == stream:
                content += self.written[at + 9 : end]
            at = end
        return content

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


def hand_fed(
    call: GrpcCall = CALL, *, streams: int = 2
) -> tuple[Owner, GrpcConnection, FakeTransport]:
    """A connection without a socket, which has not heard from its peer yet, and its owner."""
    owner, transport = Owner(), FakeTransport()
    connection = GrpcConnection(owner, call, "test:1", "http", streams)
    connection.connection_made(transport)
    return owner, connection, transport


def greeted(
    call: GrpcCall = CALL, *, streams: int = 2, said: bytes = settings({})
) -> tuple[Owner, GrpcConnection, FakeTransport]:
    """A connection without a socket that is ready, its owner, and what it has written since."""
    owner, connection, transport = hand_fed(call, streams=streams)
    connection.data_received(said)
    transport.written.clear()
    return owner, connection, transport


@asynccontextmanager
async def talking(
    behaviour: Behaviour, *, greeting: bytes = settings({})
) -> AsyncIterator[tuple[Owner, GrpcConnection]]:
    """A connection to a server that behaves so (`serving_http2`), and its owner."""
    async with serving_http2(behaviour, greeting) as server, connected(server.port) as both:
        yield both

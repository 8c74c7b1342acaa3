"""An HTTP/2 server on a real socket that says what a test tells it to, and the frames to say."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import hpack

from tuner.load.grpc import frames as h2
from tuner.load.grpc.calls import prefix
from tuner.load.grpc.frames import frame, settings, unpack_frame_header, window_update

_PREFACE_SIZE = 24
OK_HEAD = {":status": "200", "content-type": "application/grpc"}


def block(fields: Mapping[str, str]) -> bytes:
    """A header block that begins with the size of the (empty) dynamic table."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(list(fields.items()))


def head(stream: int, fields: Mapping[str, str] = OK_HEAD, *, ends: bool = False) -> bytes:
    flags = h2.END_HEADERS | (h2.END_STREAM if ends else 0)
    return frame(h2.HEADERS, flags, stream, block(fields))


def data(stream: int, payload: bytes, *, ends: bool = False) -> bytes:
    return frame(h2.DATA, h2.END_STREAM if ends else 0, stream, payload)


def message(content: bytes) -> bytes:
    """A gRPC message with its prefix."""
    return prefix(len(content)) + content


def trailers(stream: int, status: str = "0") -> bytes:
    return head(stream, {"grpc-status": status}, ends=True)


def response(stream: int, content: bytes = b"fine") -> bytes:
    return head(stream) + data(stream, message(content)) + trailers(stream)


def pieces(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


class Request(NamedTuple):
    """What came on a stream: `size` bytes of DATA, prefixes included."""

    stream: int
    size: int


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._sizes: Counter[int] = Counter()

    async def _frame(self) -> tuple[int, int, int]:
        """Kind, flags and stream."""
        length_high, length, kind_and_flags, stream = unpack_frame_header(
            await self._reader.readexactly(h2.FRAME_HEADER_SIZE)
        )
        payload = await self._reader.readexactly(length_high << 16 | length)
        kind, flags = divmod(kind_and_flags, 256)
        self._sizes[stream] += len(payload) if kind == h2.DATA else 0
        return kind, flags, stream

    async def next(self, kind: int) -> None:
        """The next frame of a kind has come."""
        while (await self._frame())[0] != kind:
            pass

    async def request(self) -> Request:
        """The next request that has come to its end."""
        while True:
            kind, flags, stream = await self._frame()
            if kind in (h2.DATA, h2.HEADERS) and flags & h2.END_STREAM:
                return Request(stream, self._sizes[stream])

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)

    async def answer_the_rest(self) -> None:
        """Answer each request, and give its room back: a fast client sends more than a window."""
        while True:
            request = await self.request()
            self.send(window_update(0, request.size), response(request.stream))


Behaviour = Callable[[Peer], Awaitable[None]]


@dataclass
class Http2Server:
    port: int
    peers: list[Peer] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@asynccontextmanager
async def serving_http2(
    behaviour: Behaviour, greeting: bytes = settings({})
) -> AsyncIterator[Http2Server]:
    """A server on 127.0.0.1 in this event loop; it says `greeting` first.

    What goes wrong in `behaviour` fails the test, unless it is the end of the connection.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        server.tasks.add(task)
        peer = Peer(reader, writer)
        server.peers.append(peer)
        peer.send(greeting)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await reader.readexactly(_PREFACE_SIZE)
                await behaviour(peer)
        except BaseException as error:  # noqa: BLE001 - the test is told of it
            server.failures.append(error)
        writer.transport.abort()
        server.tasks.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    server = Http2Server(listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        for task in list(server.tasks):
            task.cancel()
        await asyncio.gather(*server.tasks)
        assert server.failures == []

"""An HTTP/2 server on a real socket that says what a test tells it to, and the frames to say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import hpack

from tuner.load.grpc import frames as h2
from tuner.load.grpc.calls import prefix
from tuner.load.grpc.frames import frame, settings

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


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass
class Request:
    """What came on a stream: its headers, and its DATA frames, prefixes included."""

    stream: int
    fields: dict[str, str]
    parts: list[bytes] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)


class Peer:
    """The server's end of one connection; `seen` are the frames that came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._decoder = hpack.Decoder()
        self.seen: list[Frame] = []
        self.requests: dict[int, Request] = {}

    async def frame(self) -> Frame:
        begin = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(begin[:3], "big"))
        taken = Frame(begin[3], begin[4], int.from_bytes(begin[5:], "big"), payload)
        self.seen.append(taken)
        if taken.kind == h2.HEADERS:
            fields = {str(name): str(value) for name, value in self._decoder.decode(payload)}
            self.requests[taken.stream] = Request(taken.stream, fields)
        if taken.kind == h2.DATA:
            self.requests[taken.stream].parts.append(payload)
        return taken

    async def next(self, kind: int) -> Frame:
        """The next frame of a kind."""
        while (taken := await self.frame()).kind != kind:
            pass
        return taken

    async def request(self) -> Request:
        """The next request that has come to its end."""
        while True:
            taken = await self.frame()
            if taken.kind in (h2.DATA, h2.HEADERS) and taken.flags & h2.END_STREAM:
                return self.requests[taken.stream]

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)

    async def answer_the_rest(self) -> None:
        while True:
            self.send(response((await self.request()).stream))

    async def settled(self) -> None:
        """The client has acknowledged the settings: what it said before came before."""
        while not (await self.next(h2.SETTINGS)).flags & h2.ACK:
            pass

    async def reset(self) -> Frame:
        return await self.next(h2.RST_STREAM)


Behaviour = Callable[[Peer], Awaitable[None]]


def reply(make: Callable[[int], bytes]) -> Behaviour:
    """The first request is answered with `make(stream)`, the others are answered well."""

    async def behaviour(peer: Peer) -> None:
        peer.send(make((await peer.request()).stream))
        await peer.answer_the_rest()

    return behaviour


def drip(make: Callable[[int], bytes], size: int = 3) -> Behaviour:
    """The first answer comes in pieces of `size` bytes."""

    async def behaviour(peer: Peer) -> None:
        whole = make((await peer.request()).stream)
        for at in range(0, len(whole), size):
            peer.send(whole[at : at + size])
            await asyncio.sleep(0.0002)
        await peer.answer_the_rest()

    return behaviour


@dataclass
class Http2Server:
    port: int
    peers: list[Peer] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@asynccontextmanager
async def serving_http2(
    behaviour: Behaviour, *, greeting: bytes | None = None, **options: int
) -> AsyncIterator[Http2Server]:
    """A server on 127.0.0.1 in this event loop; it says `greeting` first, or its settings.

    `options` go by number: `s3=1` is MAX_CONCURRENT_STREAMS. What goes wrong in `behaviour` fails
    the test, unless it is the end of the connection.
    """
    first = settings({int(k[1:]): value for k, value in options.items()})

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        server.tasks.add(task)
        peer = Peer(reader, writer)
        server.peers.append(peer)
        peer.send(first if greeting is None else greeting)
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

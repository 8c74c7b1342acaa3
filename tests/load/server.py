"""A small HTTP server on a real socket that can misbehave on demand, in a thread of its own."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tuner.load.profile import Endpoint

BODY = b'{"outputs":[]}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Exchange:
    """One request, and the means to answer it well or badly; `number` counts from 0.

    Its `connection` had carried `served` requests before.
    """

    def __init__(
        self, server: "Server", writer: asyncio.StreamWriter, connection: int, served: int
    ) -> None:
        self._server = server
        self._writer = writer
        self.number = len(server.bodies) - 1
        self.connection = connection
        self.served = served
        self.open = True
        self._answered = False
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)

    @property
    def elapsed_s(self) -> float:
        """Since the first request of all."""
        return time.monotonic() - self._server.arrivals_s[0]

    async def send(self, data: bytes) -> None:
        self.done()
        self._writer.write(data)
        with suppress(ConnectionError):
            await self._writer.drain()

    def done(self) -> None:
        if not self._answered:
            self._answered = True
            self._server.in_flight -= 1

    def close(self) -> None:
        self.open = False

    def stop_listening(self) -> None:
        self._server.stop_listening()

    def reset(self) -> None:
        reset_at_close(self._writer)
        self.close()


def reset_at_close(writer: asyncio.StreamWriter) -> None:
    """The peer meets an RST in place of a FIN."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Behaviour = Callable[[Exchange], Awaitable[None]]


@dataclass
class Server:
    """What the server saw; written by its thread only."""

    behaviour: Behaviour
    close_at_once: bool = False
    idle_limit_s: float | None = None
    unix_socket: Path | None = None
    endpoint: Endpoint = field(init=False)
    stop_listening: Callable[[], None] = field(init=False)
    bodies: list[bytes] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)
    connections: int = 0
    idle_closed: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    handlers: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self) -> None:
        if self.unix_socket is not None:
            start = asyncio.start_unix_server(self.accept, self.unix_socket, limit=1 << 22)
        else:
            start = asyncio.start_server(self.accept, "127.0.0.1", 0, limit=1 << 22, backlog=1024)
        listener = await start
        self.stop_listening = listener.close
        port = 0 if self.unix_socket else listener.sockets[0].getsockname()[1]
        self.endpoint = Endpoint("127.0.0.1", port, unix_socket=self.unix_socket)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        handler = asyncio.get_running_loop().create_task(
            self._handle(reader, writer, self.connections)
        )
        self.handlers.add(handler)
        # Also of a handler that is cancelled before it begins.
        handler.add_done_callback(lambda _: writer.close())
        handler.add_done_callback(self.handlers.discard)

    async def _handle(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        endings = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with suppress(*endings):
            try:
                if not self.close_at_once:
                    await self._serve(reader, writer, connection)
            except TimeoutError:
                self.idle_closed += 1

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        for served in count():
            async with asyncio.timeout(self.idle_limit_s):
                head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            self.arrivals_s.append(time.monotonic())
            self.bodies.append(body)
            exchange = Exchange(self, writer, connection, served)
            try:
                await self.behaviour(exchange)
            finally:
                exchange.done()
            if not exchange.open:
                return


@contextmanager
def serving(behaviour: Behaviour, **options: Any) -> Iterator[Server]:
    """The server listens until the block ends: on a free port of 127.0.0.1, or a Unix socket."""
    server = Server(behaviour, **options)
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def run() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
        await server.listen()
        ready.set()
        await stopped.wait()
        # What was accepted has its handler once the loop's own tasks are done.
        while others := asyncio.all_tasks() - server.handlers - {asyncio.current_task()}:
            await asyncio.wait(others)
        server.stop_listening()
        for handler in server.handlers:
            handler.cancel()
        await asyncio.gather(*server.handlers, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        stop[0]()
        thread.join()


def closed_port() -> Endpoint:
    """Where nothing listens."""
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return Endpoint("127.0.0.1", once.getsockname()[1])


def answer_after(delay_s: float) -> Behaviour:
    async def behaviour(exchange: Exchange) -> None:
        await asyncio.sleep(delay_s)
        await exchange.send(OK)

    return behaviour


def answer_with(*pieces: bytes, close: bool = False) -> Behaviour:
    """Send `pieces`, each in a segment of its own."""

    async def behaviour(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
            if len(pieces) > 1:
                await asyncio.sleep(0.002)
        if close:
            exchange.close()

    return behaviour


answer = answer_with(OK)


async def never_answer(exchange: Exchange) -> None:
    del exchange
    await asyncio.sleep(3600)


async def reset(exchange: Exchange) -> None:
    await exchange.send(OK[:10])
    exchange.reset()


def stall(*, begin_s: float, end_s: float) -> Behaviour:
    """Answer at once, but nothing between these moments after the first request."""

    async def behaviour(exchange: Exchange) -> None:
        if begin_s <= exchange.elapsed_s < end_s:
            await asyncio.sleep(end_s - exchange.elapsed_s)
        await exchange.send(OK)

    return behaviour


def one_at_a_time(service_s: float) -> Behaviour:
    """A single worker: answers in order, each after `service_s` of work."""
    worker = asyncio.Lock()

    async def behaviour(exchange: Exchange) -> None:
        async with worker:
            await asyncio.sleep(service_s)
        await exchange.send(OK)

    return behaviour


def leave_after(requests: int) -> Behaviour:
    """Answer this many, then close every connection and listen no more."""

    async def behaviour(exchange: Exchange) -> None:
        if exchange.number < requests:
            await exchange.send(OK)
            return
        exchange.stop_listening()
        exchange.reset()

    return behaviour

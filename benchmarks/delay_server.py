"""A server that delays each answer by a known time, and says what it really did.

It runs in a process of its own, with real-time priority where that is allowed, and waits with the
kernel's timer. A request has arrived when the kernel stamped its packet (SO_TIMESTAMPNS, see
socket(7)), however late the process came to read it; it is answered when the process writes.
"""

import heapq
import selectors
import socket
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from time import monotonic

import numpy as np

from benchmarks.own_process import in_own_process
from benchmarks.packet_clock import PacketClock
from tuner.load.profile import Endpoint
from tuner.load.timer import Timer
from tuner.numbers.arrays import FloatArray

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Freeze:
    """The server does nothing for `length_s`, time and again.

    For the first time `after_s` after its first request, and from then on every `every_s`.
    """

    after_s: float
    length_s: float
    every_s: float


@dataclass(frozen=True)
class Behaviour:
    """`delays_s` are taken in turn, in the order in which the requests come."""

    delays_s: FloatArray = field(default_factory=lambda: np.zeros(1))
    freeze: Freeze | None = None


@dataclass(frozen=True)
class Answers:
    """What the server did, an entry for each answer: the delay it meant to give, the one it gave.

    `priority` is that of its process: `real-time` or `normal`.
    """

    meant_s: FloatArray
    given_s: FloatArray
    priority: str


class DelayServer:
    """A running server; `answers` ends it."""

    def __init__(self, endpoint: Endpoint, pipe: Connection) -> None:
        self.endpoint = endpoint
        self._pipe = pipe

    def answers(self) -> Answers:
        """End the server, and hear what it did."""
        self._pipe.send(None)
        answers = self._pipe.recv()
        assert isinstance(answers, Answers)  # noqa: S101 - for the type checker
        return answers


@contextmanager
def delay_server(behaviour: Behaviour) -> Iterator[DelayServer]:
    """Listens on 127.0.0.1 until the `with` block is left."""
    with in_own_process(partial(_serve, behaviour)) as (endpoint, pipe, _):
        yield DelayServer(endpoint, pipe)


def _serve(
    behaviour: Behaviour, listening: socket.socket, pipe: Connection, priority: str
) -> None:
    """Say when it is ready, and, once it is asked, what it did."""
    with (
        Timer() as answer_timer,
        Timer() as freeze_timer,
        selectors.DefaultSelector() as selector,
    ):
        server = _Server(behaviour, selector, answer_timer, freeze_timer, PacketClock(listening))
        server.run(listening, pipe)
        pipe.recv()
        pipe.send(server.answers(priority))


class _Server:
    """One thread that waits for whatever comes next: a request, or the moment of an answer."""

    def __init__(
        self,
        behaviour: Behaviour,
        selector: selectors.BaseSelector,
        answer_timer: Timer,
        freeze_timer: Timer,
        clock: PacketClock,
    ) -> None:
        self._delays_s: list[float] = behaviour.delays_s.tolist()
        self._freeze = behaviour.freeze
        self._selector = selector
        self._answer_timer = answer_timer
        self._freeze_timer = freeze_timer
        self._clock = clock
        self._freeze_at_s = 0.0
        self._arrivals = 0
        # When each answer is due, its number, when its request arrived, and whose it is.
        self._pending: list[tuple[float, int, float, socket.socket]] = []
        self._meant_s, self._given_s = array("d"), array("d")

    def run(self, listening: socket.socket, pipe: Connection) -> None:
        """Serve until something can be read from the pipe."""
        listening.setblocking(False)
        self._watch(listening, partial(self._accept, listening))
        self._watch(self._answer_timer.fd, self._answer_due)
        self._watch(self._freeze_timer.fd, self._do_nothing)
        self._watch(pipe.fileno(), None)
        pipe.send(None)
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data()

    def answers(self, priority: str) -> Answers:
        return Answers(np.array(self._meant_s), np.array(self._given_s), priority)

    def _watch(self, file: socket.socket | int, react: Callable[[], None] | None) -> None:
        self._selector.register(file, selectors.EVENT_READ, react)

    def _accept(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch(connection, partial(self._read, connection))

    def _read(self, connection: socket.socket) -> None:
        """Take a request: they are small enough to come in one piece."""
        data, arrived_s = self._clock.read(connection)
        if not data:
            self._selector.unregister(connection)
            connection.close()
            return
        if not self._arrivals and self._freeze is not None:
            self._freeze_at(arrived_s + self._freeze.after_s)
        due_s = arrived_s + self._delays_s[self._arrivals % len(self._delays_s)]
        heapq.heappush(self._pending, (due_s, self._arrivals, arrived_s, connection))
        self._arrivals += 1
        if self._pending[0][0] == due_s:
            self._answer_timer.set(due_s)

    def _answer_due(self) -> None:
        self._answer_timer.clear()
        pending = self._pending
        while pending and pending[0][0] <= monotonic():
            due_s, _, arrived_s, connection = heapq.heappop(pending)
            self._meant_s.append(due_s - arrived_s)
            self._given_s.append(monotonic() - arrived_s)
            with suppress(OSError):  # the client has gone
                connection.send(_ANSWER)
        if pending:
            self._answer_timer.set(pending[0][0])

    def _freeze_at(self, moment_s: float) -> None:
        self._freeze_at_s = moment_s
        self._freeze_timer.set(moment_s)

    def _do_nothing(self) -> None:
        self._freeze_timer.clear()
        if self._freeze is not None:
            time.sleep(max(0.0, self._freeze_at_s + self._freeze.length_s - monotonic()))
            self._freeze_at(self._freeze_at_s + self._freeze.every_s)

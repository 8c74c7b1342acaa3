"""A server that streams output tokens by a known schedule, and says when it really sent them.

It is the stand-in of a language model behind an interface like OpenAI's: it thinks for a known
time, then sends packets at known intervals, whatever else is asked of it. It runs in a process of
its own, with real-time priority where that is allowed, and waits with the kernel's timer. A
request has arrived when the kernel stamped its last packet; a token is sent when the process
begins to write the packet that completes its event.
"""

import heapq
import re
import selectors
import socket
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from multiprocessing.connection import Connection
from time import monotonic

import numpy as np

from benchmarks.own_process import in_own_process
from benchmarks.packet_clock import PacketClock
from benchmarks.token_answers import ID, AnswerForm, missing, models
from tuner.load.profile import Endpoint
from tuner.load.timer import Timer
from tuner.numbers.arrays import FloatArray

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_COUNTED = re.compile(rb'"continuous_usage_stats": ?true')


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When packets are sent: `ttfts_s` after a request, then `gaps_s` after one another.

    Both are taken in turn, whichever answer it is for.
    """

    ttfts_s: FloatArray
    gaps_s: FloatArray
    form: AnswerForm = field(default_factory=AnswerForm)


@dataclass(frozen=True, kw_only=True)
class SentTokens:
    """What the server did; times in seconds.

    Attributes:
        ttfts_s: From a request to its first token, an entry for each answer.
        itls_s: The mean time between the tokens of an answer, an entry for each that is complete.
        gaps_s: From one token to the next, an entry for each but the first of an answer; tokens
            that were sent together share the time since the one before them.
        lags_s: How late each packet was sent, beside the schedule.
        priority: That of its process: `real-time` or `normal`.
    """

    ttfts_s: FloatArray
    itls_s: FloatArray
    gaps_s: FloatArray
    lags_s: FloatArray
    priority: str


class TokenServer:
    """A running server; `sent` ends it."""

    def __init__(self, endpoint: Endpoint, pipe: Connection, pid: int) -> None:
        self.endpoint = endpoint
        self.pid = pid
        self._pipe = pipe

    def sent(self) -> SentTokens:
        """End the server, and hear what it did."""
        self._pipe.send(None)
        sent = self._pipe.recv()
        assert isinstance(sent, SentTokens)  # noqa: S101 - for the type checker
        return sent


@contextmanager
def token_server(schedule: Schedule) -> Iterator[TokenServer]:
    """Listens on 127.0.0.1 until the `with` block is left."""
    with in_own_process(partial(_serve, schedule)) as (endpoint, pipe, pid):
        yield TokenServer(endpoint, pipe, pid)


def _serve(schedule: Schedule, listening: socket.socket, pipe: Connection, priority: str) -> None:
    """Say when it is ready, and, once it is asked, what it did."""
    with Timer() as timer, selectors.DefaultSelector() as selector:
        server = _Server(schedule, selector, timer, PacketClock(listening))
        server.run(listening, pipe)
        pipe.recv()
        pipe.send(server.sent(priority))


class _Answer:
    """One that is under way: its packets, and when they are due and were sent."""

    def __init__(self, peer: socket.socket, packets: list[bytes], id_: bytes, at_s: float) -> None:
        self.connection = peer
        self.packets = packets
        self.id = id_
        self.arrived_s = self.due_s = at_s
        self.first_s = self.last_s = 0.0
        self.next = 1  # the opening has been sent


class _Server:
    """One thread that waits for whatever comes next: a request, or the moment of a packet."""

    def __init__(
        self,
        schedule: Schedule,
        selector: selectors.BaseSelector,
        timer: Timer,
        clock: PacketClock,
    ) -> None:
        self._ttfts_s = cycle(schedule.ttfts_s.tolist())
        self._gaps_s = cycle(schedule.gaps_s.tolist())
        self._form = schedule.form
        self._packet_tokens = schedule.form.packet_tokens
        self._packets = {
            counted: schedule.form.packets(counted=counted) for counted in (True, False)
        }
        self._selector = selector
        self._timer = timer
        self._clock = clock
        self._received: dict[socket.socket, bytes] = {}
        self._due: list[tuple[float, int, _Answer]] = []
        self._answers = self._sends = 0
        self._sent_ttfts_s, self._sent_itls_s = array("d"), array("d")
        self._sent_gaps_s, self._lags_s = array("d"), array("d")
        self._gap_tokens = array("l")

    def run(self, listening: socket.socket, pipe: Connection) -> None:
        """Serve until something can be read from the pipe."""
        listening.setblocking(False)
        self._watch(listening, partial(self._accept, listening))
        self._watch(self._timer.fd, self._send_due)
        self._watch(pipe.fileno(), None)
        pipe.send(None)
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data()

    def sent(self, priority: str) -> SentTokens:
        gaps_s = np.array(self._sent_gaps_s)
        return SentTokens(
            ttfts_s=np.array(self._sent_ttfts_s),
            itls_s=np.array(self._sent_itls_s),
            gaps_s=np.repeat(gaps_s, np.array(self._gap_tokens)),
            lags_s=np.array(self._lags_s),
            priority=priority,
        )

    def _watch(self, file: socket.socket | int, react: Callable[[], None] | None) -> None:
        self._selector.register(file, selectors.EVENT_READ, react)

    def _accept(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received[connection] = b""
        self._watch(connection, partial(self._read, connection))

    def _read(self, connection: socket.socket) -> None:
        data, arrived_s = self._clock.read(connection)
        if not data:
            self._selector.unregister(connection)
            del self._received[connection]
            connection.close()
            return
        request = self._received[connection] + data
        head, found, body = request.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            self._received[connection] = request
            return
        self._received[connection] = b""
        self._answer(connection, head, body, arrived_s)

    def _answer(
        self, connection: socket.socket, head: bytes, body: bytes, arrived_s: float
    ) -> None:
        if not head.startswith(b"POST"):
            _write(connection, models())
        elif b"/v1/chat/completions " not in head:
            _write(connection, missing())
        elif not _STREAM.search(body):
            _write(connection, self._form.whole())
        else:
            self._begin(connection, counted=bool(_COUNTED.search(body)), arrived_s=arrived_s)

    def _begin(self, connection: socket.socket, *, counted: bool, arrived_s: float) -> None:
        id_ = b"chatcmpl-%032d" % self._answers
        answer = _Answer(connection, self._packets[counted], id_, arrived_s)
        answer.due_s += next(self._ttfts_s)
        self._answers += 1
        _write(connection, answer.packets[0].replace(ID, id_))
        self._put(answer)
        if self._due[0][2] is answer:
            self._timer.set(answer.due_s)

    def _put(self, answer: _Answer) -> None:
        heapq.heappush(self._due, (answer.due_s, self._sends, answer))
        self._sends += 1

    def _send_due(self) -> None:
        self._timer.clear()
        due = self._due
        while due and due[0][0] <= monotonic():
            self._send(heapq.heappop(due)[2])
        if due:
            self._timer.set(due[0][0])

    def _send(self, answer: _Answer) -> None:
        packet = answer.packets[answer.next].replace(ID, answer.id)
        now_s = monotonic()
        _write(answer.connection, packet)
        self._note(answer, now_s)
        answer.next += 1
        answer.last_s = now_s
        if answer.next == len(answer.packets):
            if self._form.tokens > 1:
                spent_s = now_s - answer.first_s
                self._sent_itls_s.append(spent_s / (self._form.tokens - 1))
            return
        answer.due_s += next(self._gaps_s)
        self._put(answer)

    def _note(self, answer: _Answer, now_s: float) -> None:
        self._lags_s.append(now_s - answer.due_s)
        if answer.next == 1:
            answer.first_s = now_s
            self._sent_ttfts_s.append(now_s - answer.arrived_s)
            return
        tokens = self._packet_tokens[answer.next - 1]
        self._sent_gaps_s.append((now_s - answer.last_s) / tokens)
        self._gap_tokens.append(tokens)


def _write(connection: socket.socket, data: bytes) -> None:
    """All of it, even where a client reads slowly: then everybody waits."""
    try:
        sent = connection.send(data)
    except BlockingIOError:
        sent = 0
    except OSError:  # the client has gone
        return
    if sent < len(data):
        connection.setblocking(True)
        connection.sendall(data[sent:])
        connection.setblocking(False)

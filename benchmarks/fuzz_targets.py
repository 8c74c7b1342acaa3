"""What the fuzzer runs: the response parsers, with what must hold whatever comes.

An input is one byte of choices, one byte that says in pieces of how many bytes the rest comes (0:
all at once), and the rest: what a server sent.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping

from benchmarks.token_answers import AnswerForm
from tuner.load.event_connection import EventConnection
from tuner.load.grpc import frames as http2
from tuner.load.grpc.connection import GrpcConnection
from tuner.load.http1 import ResponseError, ResponseParser
from tuner.load.lane import Lane
from tuner.load.requests import GrpcCall, RequestSet
from tuner.load.tokens import TokenCounter
from tuner.protocols import v2_grpc
from tuner.protocols.openai import OpenAiRule
from tuner.protocols.openai_task import Task
from tuner.protocols.v2 import V2Options

# Requests that a connection carries at a time.
_STREAMS = 3
# Requests that one input may answer.
_MOST_REQUESTS = 16
_SETTINGS = http2.settings({http2.MAX_CONCURRENT_STREAMS: 100})
_MESSAGE = b"\x0a\x04echo"
_STATUSES = range(200, 1000)


class BrokenPromiseError(Exception):
    """Something happened that must not, whatever a server sends."""


def http1(data: bytes) -> None:
    """The parser of HTTP/1.1: how a response is cut makes no difference; errors are declared."""
    keep = bool(data[0] & 1) if data else False
    parser, response = ResponseParser(keep=keep), b""
    for piece in _pieces(data):
        response += piece
        try:
            ended = parser.feed(piece)
        except ResponseError:
            return
        parser.end_of_connection()
        if ended:
            _compare_with_whole(parser, response, keep=keep)
            response = b""


def _compare_with_whole(parser: ResponseParser, response: bytes, *, keep: bool) -> None:
    whole = ResponseParser(keep=keep)
    if not whole.feed(response):
        raise BrokenPromiseError("in pieces it was a response, as a whole it is none")
    if parser.status not in _STATUSES:
        raise BrokenPromiseError(f"a response of status {parser.status}")
    seen, expected = (
        (each.status, each.keep_alive, each.head, each.body) for each in (parser, whole)
    )
    if seen != expected:
        raise BrokenPromiseError(f"{seen!r} in pieces, {expected!r} as a whole")


def grpc_unary(data: bytes) -> None:
    """A gRPC connection that calls a method for each request."""
    _LOOP.run_until_complete(_play(data, v2_grpc.call()))


def grpc_stream(data: bytes) -> None:
    """A gRPC connection that sends its requests on streams."""
    _LOOP.run_until_complete(_play(data, v2_grpc.call(V2Options(streaming=True))))


def events(data: bytes) -> None:
    """A connection whose answers are events: how they are cut makes no difference to tokens."""
    cut, taken = _heard(_pieces(data))
    whole, _ = _heard([taken])
    if whole != cut:
        raise BrokenPromiseError(f"{whole} in one piece, and {cut} in several")


def _heard(pieces: Iterable[bytes]) -> tuple[tuple[list[str], int], bytes]:
    """How a request ended, how many tokens its answer had, and what came of it until then."""
    owner, taken = _Listener(), b""
    rule = OpenAiRule(Task.CHAT)
    connection = EventConnection(owner, RequestSet((_MESSAGE,)), rule, owner.tokens)
    connection.connection_made(_Transport())
    connection.busy = True
    connection.send(_MESSAGE)
    for piece in filter(None, pieces):
        connection.data_received(piece)
        taken += piece
        if not connection.busy:
            break
    connection.connection_lost(None)
    if connection.busy:
        raise BrokenPromiseError("the connection is gone, and its request has not ended")
    return (owner.ends, owner.tokens.record().output), taken


class _Listener:
    """Sends one request, and notes how it ended."""

    def __init__(self) -> None:
        self.tokens = TokenCounter()
        self.ends: list[str] = []

    def answered(self, lane: Lane, fault: str) -> None:
        self._note(lane, fault)

    def lost(self, lane: Lane, kind: str) -> None:
        self._note(lane, kind)

    def _note(self, lane: Lane, end: str) -> None:
        if lane.busy:
            self.ends.append(end)
        lane.busy = False


async def _play(data: bytes, call: GrpcCall) -> None:
    """The server says `data`: each request ends once, and nothing is raised."""
    choices = data[0] if data else 0
    owner = _Owner()
    check = _AnyAnswer() if choices & 1 else None
    connection = GrpcConnection(owner, call, "127.0.0.1:1", "http", _STREAMS, check)
    connection.connection_made(_Transport())
    if choices & 2:
        connection.data_received(_SETTINGS)
    pieces = _frames(data) if choices & 4 else _pieces(data)
    owner.begin(connection.lanes)
    for number, piece in enumerate(pieces):
        connection.data_received(piece)
        owner.begin(connection.lanes)
        if choices & 8 and number == 1:
            connection.pause_writing()
        if choices & 16 and number == 2:
            connection.resume_writing()
    connection.connection_lost(None)
    connection.ready.cancel()
    if not connection.ready.cancelled():
        connection.ready.exception()
    if any(lane.busy for lane in connection.lanes):
        raise BrokenPromiseError("the connection is gone, and a request on it has not ended")


class _Owner:
    """Sends as a driver does: the next request on a lane as soon as the last has ended."""

    tokens = None

    def __init__(self) -> None:
        self._left = _MOST_REQUESTS
        self._lost: set[Lane] = set()

    def begin(self, lanes: tuple[Lane, ...]) -> None:
        for lane in lanes:
            if not lane.busy:
                self._send(lane)

    def answered(self, lane: Lane, fault: str) -> None:
        if not lane.busy or lane in self._lost:
            raise BrokenPromiseError(f"an answer to nothing, {fault!r}")
        lane.busy = False
        self._send(lane)

    def lost(self, lane: Lane, kind: str) -> None:
        if not kind:
            raise BrokenPromiseError("a lane is lost, and nobody knows why")
        self._lost.add(lane)
        lane.busy = False

    def _send(self, lane: Lane) -> None:
        if lane.usable and self._left and lane not in self._lost:
            self._left -= 1
            lane.busy = True
            lane.send(_MESSAGE)


class _AnyAnswer:
    """Implements ResponseCheck: looks at the answer, and is content."""

    def fault(self, payload: int, head: bytes, body: bytes) -> str:
        del payload, head, body
        return ""


class _Transport(asyncio.Transport):
    """Takes what is written, and drops it."""

    def __init__(self) -> None:
        super().__init__()
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not data:
            raise BrokenPromiseError("nothing was written")

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self._closing = True


def _pieces(data: bytes) -> Iterator[bytes]:
    size = data[1] if len(data) > 1 else 0
    rest = data[2:]
    if not size:
        yield rest
        return
    for begin in range(0, len(rest), size):
        yield rest[begin : begin + size]


def _frames(data: bytes) -> Iterator[bytes]:
    """Frames whose length is right, from the input's types, flags, streams, lengths, payloads."""
    at = 2
    while at + 4 <= len(data):
        kind, flags, stream, length = struct.unpack_from("4B", data, at)
        yield http2.frame(kind, flags, stream, data[at + 4 : at + 4 + length])
        at += 4 + length


def _http1_seeds() -> Iterator[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    chunks = b"5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
    responses = [
        head + b"Content-Length: 5\r\n\r\nhello",
        head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}",
    ]
    for response in responses:
        yield b"\1\0" + response
        yield b"\1\7" + response * 2


def _event_seeds() -> Iterator[bytes]:
    """Whole answers, streamed or at once, and one with an error."""
    form = AnswerForm(tokens=4)
    for counted in (False, True):
        for cut in (0, 5):
            yield bytes((0, cut)) + b"".join(form.packets(counted=counted))
            yield bytes((0, cut)) + form.whole()
    head, body = form.packets(counted=True)[0], b'data: {"error":{"message":"no"}}\n\n'
    yield b"\0\0" + head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def _grpc_seeds() -> Iterator[bytes]:
    """Answers to the requests of all streams, once as bytes and once as frames to be made."""
    begin = http2.literal_field(b":status", b"200")
    begin += http2.literal_field(b"content-type", b"application/grpc")
    end = http2.literal_field(b"grpc-status", b"0")
    answers = [
        [(http2.HEADERS, 4, begin), (http2.DATA, 0, b"\0\0\0\0\0"), (http2.HEADERS, 5, end)],
        [(http2.HEADERS, 4, begin), (http2.DATA, 0, b"\0\0\0\0\4abcd")],
        [(http2.HEADERS, 5, begin + http2.literal_field(b"grpc-status", b"14"))],
        [(http2.HEADERS, 0, begin[:9]), (http2.CONTINUATION, 4, begin[9:])],
        [(http2.DATA, 8, b"\3\0\0\0\0\0\0\0\0"), (http2.RST_STREAM, 0, b"\0\0\0\7")],
        [(http2.HEADERS, 0x2C, b"\2\0\0\0\0\7" + begin + b"\0\0")],
    ]
    others = [
        (http2.PING, 0, b"12345678"),
        (http2.WINDOW_UPDATE, 0, b"\0\0\1\0"),
        (http2.SETTINGS, 0, b"\0\4\0\0\0\1\0\5\0\0\x40\0\0\3\0\0\0\1"),
        (http2.GOAWAY, 0, b"\0\0\0\3\0\0\0\0bye"),
    ]
    scripts = [
        [(kind, flags, stream, payload) for stream in (1, 3, 5) for kind, flags, payload in answer]
        for answer in answers
    ]
    scripts += [[(kind, flags, 0, payload), *scripts[0]] for kind, flags, payload in others]
    for script in scripts:
        yield b"\3\0" + b"".join(http2.frame(*each) for each in script)
        yield b"\7\0" + b"".join(
            bytes((kind, flags, stream, len(payload))) + payload
            for kind, flags, stream, payload in script
        )


_LOOP = asyncio.new_event_loop()
TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "http1": http1,
    "events": events,
    "grpc_unary": grpc_unary,
    "grpc_stream": grpc_stream,
}
SEEDS: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "http1": _http1_seeds,
    "events": _event_seeds,
    "grpc_unary": _grpc_seeds,
    "grpc_stream": _grpc_seeds,
}

"""What an HTTP/2 server says, well or badly, has one outcome for each request."""

import pytest

from tests.load.grpc.grpc_owner import Owner, greeted, in_event_loop
from tests.load.grpc.http2_server import (
    OK_HEAD,
    block,
    data,
    head,
    message,
    pieces,
    response,
    trailers,
)
from tuner.load.grpc import frames as h2
from tuner.load.grpc.connection import GrpcConnection
from tuner.load.grpc.frames import frame, rst_stream, settings, window_update

PRIORITY_FRAME = 0x2
UNKNOWN_FRAME = 0xFA
OK_BLOCK = block(OK_HEAD)
# Indexed `:status: 200`, and `content-type` put into a dynamic table that has no room for it.
INSERTING_BLOCK = b"\x88\x5f\x10application/grpc"


def padded(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return frame(kind, flags | h2.PADDED, stream, b"\x07" + payload + bytes(7))


IN_CONTINUATIONS = (
    frame(h2.HEADERS, 0, 1, OK_BLOCK[:2])
    + frame(h2.CONTINUATION, 0, 1, b"")
    + frame(h2.CONTINUATION, h2.END_HEADERS, 1, OK_BLOCK[2:])
)
BODY_AND_END = data(1, message(b"fine")) + trailers(1)
GOOD = {
    "one piece": response(1),
    "an empty message": response(1, b""),
    "a message cut into bytes": head(1)
    + b"".join(data(1, part) for part in pieces(message(b"fine"), 1))
    + trailers(1),
    "empty data": head(1) + data(1, b"") + BODY_AND_END,
    "padding": (
        padded(h2.HEADERS, h2.END_HEADERS, 1, OK_BLOCK)
        + padded(h2.DATA, 0, 1, message(b"fine"))
        + trailers(1)
    ),
    "a priority": frame(h2.HEADERS, h2.END_HEADERS | h2.PRIORITY, 1, bytes(5) + OK_BLOCK)
    + BODY_AND_END,
    "continuations": IN_CONTINUATIONS + BODY_AND_END,
    "flags without a meaning": (head(1) + frame(h2.DATA, 0xF6, 1, message(b"fine")) + trailers(1)),
    "the reserved bit": (head(1) + frame(h2.DATA, 0, 1 | 1 << 31, message(b"fine")) + trailers(1)),
    "an insertion into no table": frame(h2.HEADERS, h2.END_HEADERS, 1, INSERTING_BLOCK)
    + BODY_AND_END,
    "bytes that are not UTF-8": frame(h2.HEADERS, h2.END_HEADERS, 1, OK_BLOCK + b"\0\x01x\x01\xff")
    + BODY_AND_END,
    "another codec": head(1, {**OK_HEAD, "content-type": "application/grpc+proto"}) + BODY_AND_END,
    "early hints": head(1, {":status": "103"}) * 2 + response(1),
    "frames to ignore": (
        frame(PRIORITY_FRAME, 0, 1, bytes(5))
        + frame(UNKNOWN_FRAME, 0xFF, 1, b"x")
        + frame(h2.PING, h2.ACK, 0, bytes(8))
        + settings({0xFE03: 1})
        + response(1)
    ),
    "frames of a stream that is over": (
        response(1)
        + head(1)
        + data(1, b"late")
        + frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff late and no header block")
        + rst_stream(1, 0)
        + window_update(1, 1)
    ),
}
IN_PIECES = pytest.mark.parametrize("size", [1 << 20, 3], ids=["whole", "drips"])


async def outcome(
    owner: Owner, connection: GrpcConnection, lane: int, said: bytes, size: int
) -> tuple[bool, str]:
    """What becomes of a request that is answered with `said`, in pieces of `size` bytes."""
    owner.send(connection.lanes[lane], b"")
    for piece in pieces(said, size):
        connection.data_received(piece)
    return await owner.next(connection.lanes[lane])


@IN_PIECES
@pytest.mark.parametrize("name", GOOD)
@in_event_loop
async def test_every_framing_is_understood(name: str, size: int) -> None:
    """A response may be framed in any way of RFC 9113, and come in any pieces."""
    owner, connection, _ = greeted()
    for said in (GOOD[name], response(3), response(5)):
        assert await outcome(owner, connection, 0, said, size) == (True, "")


@in_event_loop
async def test_a_message_may_come_in_large_frames() -> None:
    """A frame may be as large as the client says in its settings."""
    owner, connection, _ = greeted()
    parts = pieces(message(bytes(3_000_000)), h2.ACCEPTED_FRAME_SIZE)
    large = head(1) + b"".join(data(1, part) for part in parts) + trailers(1)
    assert await outcome(owner, connection, 0, large, 1 << 16) == (True, "")
    assert connection.bytes_received > 3_000_000


FAULTS = {
    "a status in the trailers": (
        head(1) + data(1, message(b"x")) + trailers(1, "14"),
        "grpc_unavailable",
    ),
    "a status without a message": (
        head(1) + trailers(1, "8"),
        "grpc_resource_exhausted",
    ),
    "a status in the head": (
        head(1, {**OK_HEAD, "grpc-status": "12"}, ends=True),
        "grpc_unimplemented",
    ),
    "a status in the head, and no content type": (
        head(1, {":status": "200", "grpc-status": "4"}, ends=True),
        "grpc_deadline_exceeded",
    ),
    "a status that nobody knows": (head(1) + trailers(1, "17"), "grpc_unknown"),
    "404": (head(1, {":status": "404"}, ends=True), "http_404"),
    "503 with a page": (
        head(1, {":status": "503"}) + data(1, b"<html>", ends=True),
        "http_503",
    ),
    "a reset": (rst_stream(1, 0), "stream_reset"),
    "a reset after the head": (head(1) + rst_stream(1, 7), "stream_reset"),
    "a reset within a message": (
        head(1) + data(1, message(b"long")[:-1]) + rst_stream(1, 2),
        "stream_reset",
    ),
}
BAD_RESPONSES = {
    "no status": head(1) + head(1, {"x": "y"}, ends=True),
    "an empty status": head(1) + trailers(1, ""),
    "a status in words": head(1) + trailers(1, "OK"),
    "a negative status": head(1) + trailers(1, "-1"),
    "well, in the head": head(1, {**OK_HEAD, "grpc-status": "0"}, ends=True),
    "well, without a message": head(1) + trailers(1),
    "two messages": head(1) + data(1, message(b"x") * 2) + trailers(1),
    "another message": head(1) + data(1, message(b"x")) * 2 + trailers(1),
    "a message shorter than announced": (head(1) + data(1, message(b"long")[:-1]) + trailers(1)),
    "a message longer than announced": (head(1) + data(1, message(b"long") + b"er") + trailers(1)),
    "half a prefix": head(1) + data(1, b"\0\0") + trailers(1),
    "a compressed message": head(1) + data(1, b"\1" + message(b"x")[1:]) + trailers(1),
    "a message before the head": data(1, message(b"x")) + head(1) + trailers(1),
    "no trailers": head(1) + data(1, message(b"x"), ends=True),
    "a head that ends it": head(1, ends=True),
    "trailers that do not end it": head(1)
    + data(1, message(b"x"))
    + head(1, {"grpc-status": "0"}),
    "a second head for trailers": head(1)
    + data(1, message(b"x"))
    + head(1, {**OK_HEAD, "grpc-status": "0"}, ends=True),
    "trailers for a head": head(1, {"grpc-status": "0"}),
    "early hints that end it": head(1, {":status": "103"}, ends=True),
    "a page": (head(1, {":status": "200", "content-type": "text/html"}) + data(1, b"<html>")),
    "a status of HTTP in words": head(1, {":status": "fine"}),
}
FAULTS |= {name: (said, "bad_response") for name, said in BAD_RESPONSES.items()}


@IN_PIECES
@pytest.mark.parametrize("name", FAULTS)
@in_event_loop
async def test_a_fault_of_a_stream_has_a_name(name: str, size: int) -> None:
    """One request has failed, once; its lane carries the next, and the connection lives on."""
    said, kind = FAULTS[name]
    owner, connection, _ = greeted()
    assert await outcome(owner, connection, 1, said, size) == (True, kind)
    assert await outcome(owner, connection, 1, response(3), size) == (True, "")
    assert await outcome(owner, connection, 0, response(5), size) == (True, "")
    assert owner.told.empty()
    assert connection.streams == {}


@in_event_loop
async def test_a_response_of_the_wrong_stream_is_not_taken() -> None:
    """Each response belongs to the request of its stream, whatever their order."""
    owner, connection, _ = greeted()
    first, second = connection.lanes
    for lane in connection.lanes:
        owner.send(lane, b"")
    connection.data_received(head(3, {":status": "404"}, ends=True) + response(1))
    assert await owner.next(second) == (True, "http_404")
    assert await owner.next(first) == (True, "")

"""What an HTTP/2 server says, well or badly, has one outcome for each request."""

from collections.abc import Callable

import pytest

from tests.load.grpc.grpc_owner import in_event_loop, talking
from tests.load.grpc.http2_server import (
    OK_HEAD,
    Behaviour,
    Peer,
    block,
    data,
    drip,
    head,
    message,
    reply,
    response,
    trailers,
)
from tuner.load.grpc import frames as h2
from tuner.load.grpc.frames import frame, rst_stream, settings, window_update

Reply = Callable[[int], bytes]
PRIORITY_FRAME = 0x2
UNKNOWN_FRAME = 0xFA
OK_BLOCK = block(OK_HEAD)
# Indexed `:status: 200`, and `content-type` put into a dynamic table that has no room for it.
INSERTING_BLOCK = b"\x88\x5f\x10application/grpc"


def padded(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return frame(kind, flags | h2.PADDED, stream, b"\x07" + payload + bytes(7))


def in_continuations(stream: int) -> bytes:
    first, second, third = OK_BLOCK[:2], OK_BLOCK[2:2], OK_BLOCK[2:]
    return (
        frame(h2.HEADERS, 0, stream, first)
        + frame(h2.CONTINUATION, 0, stream, second)
        + frame(h2.CONTINUATION, h2.END_HEADERS, stream, third)
    )


def body_and_end(stream: int) -> bytes:
    return data(stream, message(b"fine")) + trailers(stream)


GOOD: dict[str, Reply] = {
    "one piece": response,
    "an empty message": lambda s: response(s, b""),
    "a message cut into bytes": lambda s: (
        head(s) + b"".join(data(s, part) for part in cut(message(b"fine"), 1)) + trailers(s)
    ),
    "empty data": lambda s: head(s) + data(s, b"") + body_and_end(s),
    "padding": lambda s: (
        padded(h2.HEADERS, h2.END_HEADERS, s, OK_BLOCK)
        + padded(h2.DATA, 0, s, message(b"fine"))
        + trailers(s)
    ),
    "a priority": lambda s: (
        frame(h2.HEADERS, h2.END_HEADERS | h2.PRIORITY, s, bytes(5) + OK_BLOCK) + body_and_end(s)
    ),
    "continuations": lambda s: in_continuations(s) + body_and_end(s),
    "flags without a meaning": lambda s: (
        head(s) + frame(h2.DATA, 0xF6, s, message(b"fine")) + trailers(s)
    ),
    "the reserved bit": lambda s: (
        head(s) + frame(h2.DATA, 0, s | 1 << 31, message(b"fine")) + trailers(s)
    ),
    "an insertion into no table": lambda s: (
        frame(h2.HEADERS, h2.END_HEADERS, s, INSERTING_BLOCK) + body_and_end(s)
    ),
    "bytes that are not UTF-8": lambda s: (
        frame(h2.HEADERS, h2.END_HEADERS, s, OK_BLOCK + b"\0\x01x\x01\xff") + body_and_end(s)
    ),
    "another codec": lambda s: (
        head(s, {**OK_HEAD, "content-type": "application/grpc+proto"}) + body_and_end(s)
    ),
    "early hints": lambda s: head(s, {":status": "103"}) * 2 + response(s),
    "frames to ignore": lambda s: (
        frame(PRIORITY_FRAME, 0, s, bytes(5))
        + frame(UNKNOWN_FRAME, 0xFF, s, b"x")
        + frame(h2.PING, h2.ACK, 0, bytes(8))
        + settings({0xFE03: 1})
        + response(s)
    ),
    "frames of a stream that is over": lambda s: (
        response(s)
        + head(s)
        + data(s, b"late")
        + frame(h2.HEADERS, h2.END_HEADERS, s, b"\xff late and no header block")
        + rst_stream(s, 0)
        + window_update(s, 1)
    ),
}


def cut(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


@pytest.mark.parametrize("serve", [reply, drip])
@pytest.mark.parametrize("name", GOOD)
@in_event_loop
async def test_every_framing_is_understood(name: str, serve: Callable[[Reply], Behaviour]) -> None:
    """A response may be framed in any way of RFC 9113, and come in any pieces."""
    async with talking(serve(GOOD[name])) as (owner, client):
        for _ in range(3):
            assert await owner.outcome(client.lanes[0]) == (True, "")


@in_event_loop
async def test_a_message_may_come_in_large_frames() -> None:
    """A frame may be as large as the client says in its settings."""

    def large(stream: int) -> bytes:
        parts = cut(message(bytes(3_000_000)), h2.ACCEPTED_FRAME_SIZE)
        return head(stream) + b"".join(data(stream, part) for part in parts) + trailers(stream)

    async with talking(reply(large)) as (owner, client):
        assert await owner.outcome(client.lanes[0]) == (True, "")
        assert client.bytes_received > 3_000_000


FAULTS: dict[str, tuple[Reply, str]] = {
    "a status in the trailers": (
        lambda s: head(s) + data(s, message(b"x")) + trailers(s, "14"),
        "grpc_unavailable",
    ),
    "a status without a message": (
        lambda s: head(s) + trailers(s, "8"),
        "grpc_resource_exhausted",
    ),
    "a status in the head": (
        lambda s: head(s, {**OK_HEAD, "grpc-status": "12"}, ends=True),
        "grpc_unimplemented",
    ),
    "a status in the head, and no content type": (
        lambda s: head(s, {":status": "200", "grpc-status": "4"}, ends=True),
        "grpc_deadline_exceeded",
    ),
    "a status that nobody knows": (lambda s: head(s) + trailers(s, "17"), "grpc_unknown"),
    "404": (lambda s: head(s, {":status": "404"}, ends=True), "http_404"),
    "503 with a page": (
        lambda s: head(s, {":status": "503"}) + data(s, b"<html>", ends=True),
        "http_503",
    ),
    "a reset": (lambda s: rst_stream(s, 0), "stream_reset"),
    "a reset after the head": (lambda s: head(s) + rst_stream(s, 7), "stream_reset"),
    "a reset within a message": (
        lambda s: head(s) + data(s, message(b"long")[:-1]) + rst_stream(s, 2),
        "stream_reset",
    ),
}
BAD_RESPONSES: dict[str, Reply] = {
    "no status": lambda s: head(s) + head(s, {"x": "y"}, ends=True),
    "an empty status": lambda s: head(s) + trailers(s, ""),
    "a status in words": lambda s: head(s) + trailers(s, "OK"),
    "a negative status": lambda s: head(s) + trailers(s, "-1"),
    "well, in the head": lambda s: head(s, {**OK_HEAD, "grpc-status": "0"}, ends=True),
    "well, without a message": lambda s: head(s) + trailers(s),
    "two messages": lambda s: head(s) + data(s, message(b"x") * 2) + trailers(s),
    "another message": lambda s: head(s) + data(s, message(b"x")) * 2 + trailers(s),
    "a message shorter than announced": lambda s: (
        head(s) + data(s, message(b"long")[:-1]) + trailers(s)
    ),
    "a message longer than announced": lambda s: (
        head(s) + data(s, message(b"long") + b"er") + trailers(s)
    ),
    "half a prefix": lambda s: head(s) + data(s, b"\0\0") + trailers(s),
    "a compressed message": lambda s: head(s) + data(s, b"\1" + message(b"x")[1:]) + trailers(s),
    "a message before the head": lambda s: data(s, message(b"x")) + head(s) + trailers(s),
    "no trailers": lambda s: head(s) + data(s, message(b"x"), ends=True),
    "a head that ends it": lambda s: head(s, ends=True),
    "trailers that do not end it": lambda s: (
        head(s) + data(s, message(b"x")) + head(s, {"grpc-status": "0"})
    ),
    "a second head for trailers": lambda s: (
        head(s) + data(s, message(b"x")) + head(s, {**OK_HEAD, "grpc-status": "0"}, ends=True)
    ),
    "trailers for a head": lambda s: head(s, {"grpc-status": "0"}),
    "early hints that end it": lambda s: head(s, {":status": "103"}, ends=True),
    "a page": lambda s: (
        head(s, {":status": "200", "content-type": "text/html"}) + data(s, b"<html>")
    ),
    "a status of HTTP in words": lambda s: head(s, {":status": "fine"}),
}
FAULTS |= {name: (make, "bad_response") for name, make in BAD_RESPONSES.items()}


@pytest.mark.parametrize("serve", [reply, drip])
@pytest.mark.parametrize("name", FAULTS)
@in_event_loop
async def test_a_fault_of_a_stream_has_a_name(
    name: str, serve: Callable[[Reply], Behaviour]
) -> None:
    """One request has failed, once; its lane carries the next, and the connection lives on."""
    make, kind = FAULTS[name]
    async with talking(serve(make)) as (owner, client):
        assert await owner.outcome(client.lanes[1]) == (True, kind)
        assert await owner.outcome(client.lanes[1]) == (True, "")
        assert await owner.outcome(client.lanes[0]) == (True, "")
        assert owner.told.empty()
        assert client.streams == {}


@in_event_loop
async def test_a_response_of_the_wrong_stream_is_not_taken() -> None:
    """Each response belongs to the request of its stream, whatever their order."""

    async def behaviour(peer: Peer) -> None:
        first = await peer.request()
        second = await peer.request()
        peer.send(head(second.stream, {":status": "404"}, ends=True), response(first.stream))
        await peer.answer_the_rest()

    async with talking(behaviour) as (owner, client):
        for lane in client.lanes:
            owner.send(lane, b"")
        assert await owner.next(client.lanes[1]) == (True, "http_404")
        assert await owner.next(client.lanes[0]) == (True, "")

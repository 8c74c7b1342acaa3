"""A server that breaks HTTP/2, or ends the connection: every lane is lost once, by its name."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.load.grpc.grpc_owner import Owner, connected, in_event_loop, talking
from tests.load.grpc.http2_server import (
    OK_HEAD,
    Peer,
    block,
    data,
    head,
    message,
    response,
    serving_http2,
)
from tuner.load.grpc import frames as h2
from tuner.load.grpc.frames import frame, frame_header, rst_stream, settings, window_update

Reply = Callable[[int], bytes]
OK_BLOCK = block(OK_HEAD)


def long_block(stream: int) -> bytes:
    part = bytes(16_000)
    return frame(h2.HEADERS, 0, stream, part) + frame(h2.CONTINUATION, 0, stream, part) * 4


VIOLATIONS: dict[str, Reply] = {
    "data of no stream": lambda s: data(0, b"x"),
    "data of a stream that was not opened": lambda s: data(s + 2, b"x"),
    "a head of a stream that was not opened": lambda s: head(s + 2),
    "a reset of a stream that was not opened": lambda s: rst_stream(s + 2, 0),
    "a window of a stream that was not opened": lambda s: window_update(s + 2, 1),
    "a stream of the server's": lambda s: head(s + 1),
    "a push": lambda s: frame(h2.PUSH_PROMISE, h2.END_HEADERS, s, bytes(4) + OK_BLOCK),
    "a continuation of nothing": lambda s: frame(h2.CONTINUATION, h2.END_HEADERS, s, b""),
    "a ping within a header block": lambda s: (
        frame(h2.HEADERS, 0, s, OK_BLOCK) + frame(h2.PING, 0, 0, bytes(8))
    ),
    "data within a header block": lambda s: frame(h2.HEADERS, 0, s, OK_BLOCK) + data(s, b""),
    "a continuation of another stream": lambda s: (
        frame(h2.HEADERS, 0, s, OK_BLOCK) + frame(h2.CONTINUATION, h2.END_HEADERS, s + 2, b"")
    ),
    "a header block without end": long_block,
    "a large header block": lambda s: frame(
        h2.HEADERS, h2.END_HEADERS, s, bytes(h2.MAX_HEADER_BLOCK + 1)
    ),
    "a long list of headers": lambda s: frame(h2.HEADERS, h2.END_HEADERS, s, b"\x88" * 2000),
    "an index into no table": lambda s: frame(h2.HEADERS, h2.END_HEADERS, s, b"\xbe"),
    "a dynamic table": lambda s: frame(h2.HEADERS, h2.END_HEADERS, s, b"\x3f\xe1\x1f"),
    "a cut header block": lambda s: frame(h2.HEADERS, h2.END_HEADERS, s, b"\x88\0\x05ab"),
    "the window of the connection too large": lambda s: window_update(0, h2.LARGEST_WINDOW),
    "a window that grows by nothing": lambda s: window_update(0, 0),
    "an initial window too large": lambda s: settings({4: 1 << 31}),
    "a frame size too small": lambda s: settings({5: 16_383}),
    "a frame size too large": lambda s: settings({5: 1 << 24}),
    "pushing allowed by the server": lambda s: settings({2: 1}),
    "a frame larger than announced": lambda s: frame_header(
        h2.ACCEPTED_FRAME_SIZE + 1, h2.DATA, 0, s
    ),
    "settings cut short": lambda s: frame(h2.SETTINGS, 0, 0, bytes(5)),
    "settings of a stream": lambda s: frame(h2.SETTINGS, 0, s, b""),
    "an acknowledgement with settings": lambda s: frame(h2.SETTINGS, h2.ACK, 0, bytes(6)),
    "a ping cut short": lambda s: frame(h2.PING, 0, 0, bytes(7)),
    "a ping of a stream": lambda s: frame(h2.PING, 0, s, bytes(8)),
    "a reset cut short": lambda s: frame(h2.RST_STREAM, 0, s, bytes(3)),
    "a window cut short": lambda s: frame(h2.WINDOW_UPDATE, 0, 0, bytes(3)),
    "a goodbye cut short": lambda s: frame(h2.GOAWAY, 0, 0, bytes(7)),
    "a goodbye of a stream": lambda s: frame(h2.GOAWAY, 0, s, bytes(8)),
    "more padding than data": lambda s: frame(h2.DATA, h2.PADDED, s, b"\x02ab"[:2]),
    "padding without a length": lambda s: frame(h2.DATA, h2.PADDED, s, b""),
    "a priority cut short": lambda s: frame(h2.HEADERS, h2.END_HEADERS | h2.PRIORITY, s, bytes(4)),
    "another protocol": lambda s: b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("name", VIOLATIONS)
@in_event_loop
async def test_a_broken_protocol_ends_the_connection(name: str) -> None:
    """Every lane is lost once, and the server hears why in a GOAWAY."""
    goodbyes = []

    async def behaviour(peer: Peer) -> None:
        peer.send(VIOLATIONS[name]((await peer.request()).stream))
        goodbyes.append(await peer.next(h2.GOAWAY))

    async with talking(behaviour) as (owner, client):
        owner.send(client.lanes[0], b"")
        assert [await owner.next(lane) for lane in client.lanes] == [(False, "bad_response")] * 2
        assert client.is_closing()
        while not goodbyes:
            await asyncio.sleep(0.001)
    assert goodbyes[0].payload[4:] != bytes(4)
    assert owner.told.empty()


@dataclass(frozen=True)
class Ending:
    """How a server ends a connection in the middle of a response."""

    sent: Reply
    reset: bool = False


ENDINGS = {
    "nothing": Ending(lambda s: b""),
    "reset": Ending(lambda s: b"", reset=True),
    "half a frame": Ending(lambda s: response(s)[:-5]),
    "half a frame's head": Ending(lambda s: response(s)[:4]),
    "no trailers": Ending(lambda s: head(s) + data(s, message(b"x"))),
}


@pytest.mark.parametrize("name", ENDINGS)
@in_event_loop
async def test_a_connection_that_ends_is_lost(name: str) -> None:
    """What was in flight has failed as `connection_lost`, and idle lanes are gone as well."""
    ending = ENDINGS[name]

    async def behaviour(peer: Peer) -> None:
        peer.send(ending.sent((await peer.request()).stream))
        if ending.reset:
            connection: socket.socket = peer.writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            await peer.writer.drain()
            peer.writer.write_eof()
            await peer.next(h2.GOAWAY)

    async with talking(behaviour) as (owner, client):
        owner.send(client.lanes[0], b"")
        assert [await owner.next(lane) for lane in client.lanes] == [
            (False, "connection_lost")
        ] * 2
        client.lanes[0].cancel("timeout")
        client.close()
    assert owner.told.empty()


async def wait_for_the_end(peer: Peer) -> None:
    await peer.next(h2.GOAWAY)


UNREADY = {
    "no settings first": (
        frame(h2.PING, 0, 0, bytes(8)),
        "something else came before the settings",
    ),
    "an acknowledgement first": (
        frame(h2.SETTINGS, h2.ACK, 0, b""),
        "something else came before the settings",
    ),
    "HTTP/1.1": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a frame of over 1048576 bytes"),
    "odd settings": (settings({5: 1}), "a largest frame of 1 bytes"),
}


@pytest.mark.parametrize("name", UNREADY)
@in_event_loop
async def test_a_server_of_another_protocol_is_never_ready(name: str) -> None:
    """`ready` fails, and says what came."""
    greeting, reason = UNREADY[name]
    async with serving_http2(wait_for_the_end, greeting=greeting) as server:
        with pytest.raises(ConnectionError) as caught:
            async with connected(server.port, Owner()):
                pass
    assert str(caught.value) == f"the server does not speak HTTP/2: {reason}"


@in_event_loop
async def test_a_server_that_closes_at_once_is_never_ready() -> None:
    """`ready` fails when the connection ends before the settings came."""

    async def close(peer: Peer) -> None:
        pass

    async with serving_http2(close, greeting=b"") as server:
        with pytest.raises(ConnectionError, match="the server closed before it sent its settings"):
            async with connected(server.port, Owner()):
                pass


@in_event_loop
async def test_a_server_that_goes_away_at_once_is_never_ready() -> None:
    """`ready` fails when the server wants no streams before there is one."""
    greeting = settings({3: 0}) + frame(h2.GOAWAY, 0, 0, bytes(8))
    async with serving_http2(wait_for_the_end, greeting=greeting) as server:
        with pytest.raises(
            ConnectionError, match="the connection was closed before the server sent its settings"
        ):
            async with connected(server.port, Owner()):
                pass

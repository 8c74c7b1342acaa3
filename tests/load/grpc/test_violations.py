"""A server that breaks HTTP/2, or ends the connection: every lane is lost once, by its name."""

import pytest

from tests.load.grpc.grpc_owner import greeted, hand_fed, in_event_loop, talking
from tests.load.grpc.http2_server import (
    OK_HEAD,
    Peer,
    block,
    data,
    head,
    message,
    response,
)
from tests.load.server import reset_at_close
from tuner.load.grpc import frames as h2
from tuner.load.grpc.frames import frame, frame_header, rst_stream, settings, window_update

OK_BLOCK = block(OK_HEAD)
PART = bytes(16_000)
LONG_BLOCK = frame(h2.HEADERS, 0, 1, PART) + frame(h2.CONTINUATION, 0, 1, PART) * 4
VIOLATIONS = {
    "data of no stream": data(0, b"x"),
    "data of a stream that was not opened": data(3, b"x"),
    "a head of a stream that was not opened": head(3),
    "a reset of a stream that was not opened": rst_stream(3, 0),
    "a window of a stream that was not opened": window_update(3, 1),
    "a stream of the server's": head(2),
    "a push": frame(h2.PUSH_PROMISE, h2.END_HEADERS, 1, bytes(4) + OK_BLOCK),
    "a continuation of nothing": frame(h2.CONTINUATION, h2.END_HEADERS, 1, b""),
    "a ping within a header block": (
        frame(h2.HEADERS, 0, 1, OK_BLOCK) + frame(h2.PING, 0, 0, bytes(8))
    ),
    "data within a header block": frame(h2.HEADERS, 0, 1, OK_BLOCK) + data(1, b""),
    "a continuation of another stream": (
        frame(h2.HEADERS, 0, 1, OK_BLOCK) + frame(h2.CONTINUATION, h2.END_HEADERS, 3, b"")
    ),
    "a header block without end": LONG_BLOCK,
    "a large header block": frame(h2.HEADERS, h2.END_HEADERS, 1, bytes(h2.MAX_HEADER_BLOCK + 1)),
    "a long list of headers": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x88" * 2000),
    "an index into no table": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xbe"),
    "a dynamic table": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x3f\xe1\x1f"),
    "a cut header block": frame(h2.HEADERS, h2.END_HEADERS, 1, b"\x88\0\x05ab"),
    "the window of the connection too large": window_update(0, h2.LARGEST_WINDOW),
    "a window that grows by nothing": window_update(0, 0),
    "an initial window too large": settings({4: 1 << 31}),
    "a frame size too small": settings({5: 16_383}),
    "a frame size too large": settings({5: 1 << 24}),
    "pushing allowed by the server": settings({2: 1}),
    "a frame larger than announced": frame_header(h2.ACCEPTED_FRAME_SIZE + 1, h2.DATA, 0, 1),
    "settings cut short": frame(h2.SETTINGS, 0, 0, bytes(5)),
    "settings of a stream": frame(h2.SETTINGS, 0, 1, b""),
    "an acknowledgement with settings": frame(h2.SETTINGS, h2.ACK, 0, bytes(6)),
    "a ping cut short": frame(h2.PING, 0, 0, bytes(7)),
    "a ping of a stream": frame(h2.PING, 0, 1, bytes(8)),
    "a reset cut short": frame(h2.RST_STREAM, 0, 1, bytes(3)),
    "a window cut short": frame(h2.WINDOW_UPDATE, 0, 0, bytes(3)),
    "a goodbye cut short": frame(h2.GOAWAY, 0, 0, bytes(7)),
    "a goodbye of a stream": frame(h2.GOAWAY, 0, 1, bytes(8)),
    "more padding than data": frame(h2.DATA, h2.PADDED, 1, b"\x02ab"[:2]),
    "padding without a length": frame(h2.DATA, h2.PADDED, 1, b""),
    "a priority cut short": frame(h2.HEADERS, h2.END_HEADERS | h2.PRIORITY, 1, bytes(4)),
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("name", VIOLATIONS)
@in_event_loop
async def test_a_broken_protocol_ends_the_connection(name: str) -> None:
    """Every lane is lost once, and the server hears why in a GOAWAY."""
    owner, connection, transport = greeted()
    owner.send(connection.lanes[0], b"")
    connection.data_received(VIOLATIONS[name])
    assert [await owner.next(lane) for lane in connection.lanes] == [(False, "bad_response")] * 2
    assert transport.closed
    assert transport.written[-17 + 3] == h2.GOAWAY
    assert transport.written[-4:] != bytes(4)
    assert owner.told.empty()


# What a server has said when it ends the connection; None: nothing, and it resets it.
ENDINGS = {
    "nothing": b"",
    "reset": None,
    "half a frame": response(1)[:-5],
    "half a frame's head": response(1)[:4],
    "no trailers": head(1) + data(1, message(b"x")),
}


@pytest.mark.parametrize("name", ENDINGS)
@in_event_loop
async def test_a_connection_that_ends_is_lost(name: str) -> None:
    """What was in flight has failed as `connection_lost`, and idle lanes are gone as well."""
    said = ENDINGS[name]

    async def behaviour(peer: Peer) -> None:
        await peer.request()
        peer.send(said or b"")
        if said is None:
            reset_at_close(peer.writer)
        else:
            await peer.writer.drain()
            peer.writer.write_eof()
            await peer.next(h2.GOAWAY)

    async with talking(behaviour) as (owner, client):
        owner.send(client.lanes[0], b"")
        for lane in client.lanes:
            assert await owner.next(lane) == (False, "connection_lost")
        client.lanes[0].cancel("timeout")
        client.close()
    assert owner.told.empty()


NOT_HTTP2 = "the server does not speak HTTP/2: "
UNREADY = {
    "no settings first": (
        frame(h2.PING, 0, 0, bytes(8)),
        NOT_HTTP2 + "something else came before the settings",
    ),
    "an acknowledgement first": (
        frame(h2.SETTINGS, h2.ACK, 0, b""),
        NOT_HTTP2 + "something else came before the settings",
    ),
    "HTTP/1.1": (
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        NOT_HTTP2 + "a frame of over 1048576 bytes",
    ),
    "odd settings": (settings({5: 1}), NOT_HTTP2 + "a largest frame of 1 bytes"),
    "nothing": (b"", "the server closed before it sent its settings"),
    "a goodbye before any stream": (
        settings({3: 0}) + frame(h2.GOAWAY, 0, 0, bytes(8)),
        "the connection was closed before the server sent its settings",
    ),
}


@pytest.mark.parametrize("name", UNREADY)
@in_event_loop
async def test_a_server_that_offers_no_stream_is_never_ready(name: str) -> None:
    """`ready` fails, and says what came before the end."""
    said, reason = UNREADY[name]
    _, connection, _ = hand_fed()
    connection.data_received(said)
    connection.connection_lost(None)
    with pytest.raises(ConnectionError) as caught:
        await connection.ready
    assert str(caught.value) == reason

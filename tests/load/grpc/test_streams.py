"""Requests that share one stream of a gRPC connection: what a server may say there, and when."""

import asyncio

import pytest

from tests.load.grpc.grpc_owner import CALL, FakeTransport, Owner, greeted, in_event_loop
from tests.load.grpc.http2_server import OK_HEAD, data, head, message, trailers
from tuner.load.grpc import frames as h2
from tuner.load.grpc.connection import GrpcConnection
from tuner.load.grpc.frames import goaway, rst_stream, settings, window_update
from tuner.load.requests import GrpcCall


class UntilLast:
    """A request has ended with the answer that says so, or that it failed."""

    def ends(self, message: bytes) -> str | None:
        return {b"last": "", b"failed": "stream_error"}.get(message)


def streaming() -> tuple[Owner, GrpcConnection, FakeTransport]:
    return greeted(GrpcCall(CALL.path, stream=UntilLast()), streams=1)


@in_event_loop
async def test_a_request_is_a_message_on_the_stream() -> None:
    """HEADERS once, then a DATA frame for each request; none of them ends the stream."""
    owner, connection, transport = streaming()
    lane = connection.lanes[0]
    for number, request in enumerate((b"one", b"two")):
        transport.written.clear()
        owner.send(lane, request)
        assert transport.written.endswith(data(1, message(request)))
        assert (len(transport.written) == len(data(1, message(request)))) == (number > 0)
        if number == 0:
            connection.data_received(head(1))
        connection.data_received(data(1, message(b"more") * 2))
        connection.data_received(data(1, message(b"more") + message(b"last")))
        assert await owner.next(lane) == (True, "")
    assert owner.told.empty()


FAULTS = {
    "the end, though well": (head(1) + trailers(1), "bad_response"),
    "the end after a part": (head(1) + data(1, message(b"x")) + trailers(1), "bad_response"),
    "an error": (head(1) + trailers(1, "14"), "grpc_unavailable"),
    "an error at once": (
        head(1, {**OK_HEAD, "grpc-status": "12"}, ends=True),
        "grpc_unimplemented",
    ),
    "a status of HTTP": (head(1, {":status": "502"}), "http_502"),
    "a reset": (rst_stream(1, 7), "stream_reset"),
    "a compressed message": (head(1) + data(1, b"\1\0\0\0\0"), "bad_response"),
    "no trailers": (head(1) + data(1, b"", ends=True), "bad_response"),
    "an answer after the last": (head(1) + data(1, message(b"last") * 2), "bad_response"),
}


@pytest.mark.parametrize("name", FAULTS)
@in_event_loop
async def test_a_fault_of_the_stream_is_a_fault_of_its_request(name: str) -> None:
    """It is told once, and the next request opens a stream of its own."""
    said, kind = FAULTS[name]
    owner, connection, _ = streaming()
    lane = connection.lanes[0]
    owner.send(lane, b"")
    connection.data_received(said)
    assert await owner.next(lane) == (True, kind)
    assert connection.sender.unfinished == {}
    owner.send(lane, b"")
    connection.data_received(head(3) + data(3, message(b"last")))
    assert await owner.next(lane) == (True, "")
    assert owner.told.empty()


@in_event_loop
async def test_an_answer_to_nothing_costs_the_stream() -> None:
    """It would be taken for the answer to the next request."""
    owner, connection, transport = streaming()
    lane = connection.lanes[0]
    owner.send(lane, b"")
    connection.data_received(head(1) + data(1, message(b"last")))
    assert await owner.next(lane) == (True, "")
    connection.data_received(data(1, message(b"last")))
    assert owner.told.empty()
    assert transport.written.endswith(rst_stream(1, h2.CANCEL))
    assert connection.streams == {}


@in_event_loop
async def test_a_request_that_is_answered_too_early_costs_the_stream() -> None:
    """The rest of its message is not sent; the next one must not be taken for it."""
    owner, connection, transport = streaming()
    lane = connection.lanes[0]
    owner.send(lane, bytes(100_000))
    connection.data_received(head(1) + data(1, message(b"last")))
    assert await owner.next(lane) == (True, "")
    assert transport.written.endswith(rst_stream(1, h2.CANCEL))
    assert connection.sender.unfinished == {}


@in_event_loop
async def test_the_window_of_a_long_stream_is_opened_again() -> None:
    """A stream that carries many requests may bring more than 2 GiB of answers."""
    owner, connection, transport = streaming()
    owner.send(connection.lanes[0], b"")
    connection.data_received(head(1))
    transport.written.clear()
    piece = data(1, message(bytes(h2.ACCEPTED_FRAME_SIZE - 5)))
    for _ in range(1024):
        connection.data_received(piece)
    size = 1024 * h2.ACCEPTED_FRAME_SIZE
    assert transport.written == window_update(1, size) + window_update(0, size)


@in_event_loop
async def test_a_goodbye_spares_the_request_in_flight() -> None:
    """After it the lane is not usable, and the connection closes."""
    owner, connection, transport = streaming()
    lane = connection.lanes[0]
    owner.send(lane, b"")
    connection.data_received(goaway(1, 0) + head(1))
    connection.data_received(data(1, message(b"last")))
    assert await owner.next(lane) == (True, "")
    assert not lane.usable
    assert transport.closed


@in_event_loop
async def test_a_stream_without_a_request_is_idle() -> None:
    """A goodbye of the server's closes it at once."""
    owner, connection, transport = streaming()
    lane = connection.lanes[0]
    owner.send(lane, b"")
    connection.data_received(head(1) + data(1, message(b"last")))
    assert await owner.next(lane) == (True, "")
    connection.data_received(goaway(1, 0))
    assert await owner.next(lane) == (False, "goaway")
    assert transport.closed


async def idle() -> tuple[Owner, GrpcConnection, FakeTransport]:
    """A stream that has carried a request, and waits for the next."""
    owner, connection, transport = streaming()
    owner.send(connection.lanes[0], b"")
    connection.data_received(head(1) + data(1, message(b"last")))
    assert await owner.next(connection.lanes[0]) == (True, "")
    transport.written.clear()
    return owner, connection, transport


@in_event_loop
async def test_the_server_ends_idle_streams_before_the_connection_closes() -> None:
    """Triton can crash when they are cut: each is half-closed, and its end is waited for."""
    owner, connection, transport = await idle()
    finishing = asyncio.create_task(connection.finish())
    await asyncio.sleep(0)
    assert (bytes(transport.written), transport.closed) == (data(1, b"", ends=True), False)
    connection.data_received(trailers(1))
    await finishing
    assert transport.closed
    assert transport.written.endswith(goaway(0, 0))
    assert owner.told.empty()


@in_event_loop
async def test_the_server_ends_streams_with_an_unanswered_request_too() -> None:
    """Nobody waits for the answer any more; what is on its way is not cut all the same."""
    owner, connection, transport = streaming()
    owner.send(connection.lanes[0], b"")
    transport.written.clear()
    finishing = asyncio.create_task(connection.finish())
    await asyncio.sleep(0)
    assert (bytes(transport.written), transport.closed) == (data(1, b"", ends=True), False)
    connection.data_received(head(1) + data(1, message(b"last")) + trailers(1))
    await finishing
    assert transport.closed
    assert owner.told.empty()


@in_event_loop
async def test_a_request_that_is_half_sent_is_cut() -> None:
    """The server would wait for the rest of it."""
    owner, connection, transport = streaming()
    owner.send(connection.lanes[0], bytes(100_000))
    await connection.finish()
    assert transport.closed
    assert owner.told.empty()


@in_event_loop
async def test_a_stream_that_does_not_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never ends an idle stream holds nobody up for ever."""
    monkeypatch.setattr("tuner.load.grpc.connection._STREAMS_END_S", 0.01)
    owner, connection, transport = await idle()
    await connection.finish()
    assert transport.closed
    assert owner.told.empty()


@in_event_loop
async def test_the_server_ends_the_stream_of_a_failed_request() -> None:
    """Triton can crash when it is cut; what is still said on it is no answer to the next one."""
    owner, connection, transport = streaming()
    lane = connection.lanes[0]
    owner.send(lane, b"")
    transport.written.clear()
    connection.data_received(head(1) + data(1, message(b"failed")))
    assert await owner.next(lane) == (True, "stream_error")
    assert bytes(transport.written) == data(1, b"", ends=True)
    owner.send(lane, b"")
    connection.data_received(data(1, message(b"last")))
    assert owner.told.empty()
    connection.data_received(head(3) + data(3, message(b"last")))
    assert await owner.next(lane) == (True, "")
    finishing = asyncio.create_task(connection.finish())
    connection.data_received(trailers(3))
    await asyncio.sleep(0)
    assert not transport.closed
    connection.data_received(trailers(1))
    await finishing
    assert transport.closed


@in_event_loop
async def test_a_failed_request_where_no_second_stream_is_allowed() -> None:
    """The stream is cut, for the next request needs its place."""
    owner, connection, transport = streaming()
    connection.data_received(settings({h2.MAX_CONCURRENT_STREAMS: 1}))
    owner.send(connection.lanes[0], b"")
    connection.data_received(head(1) + data(1, message(b"failed")))
    assert await owner.next(connection.lanes[0]) == (True, "stream_error")
    assert transport.written.endswith(rst_stream(1, h2.CANCEL))

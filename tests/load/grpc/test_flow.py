"""Flow control and floods: what the server says is kept to, and it cannot fill our memory."""

import pytest

from tests.load.grpc.grpc_owner import greeted, hand_fed, in_event_loop, talking
from tests.load.grpc.http2_server import (
    Peer,
    data,
    head,
    message,
    pieces,
    response,
    trailers,
)
from tuner.load.grpc import frames as h2
from tuner.load.grpc.frames import frame, rst_stream, settings, window_update

SETTINGS_ONLY = settings({})


@in_event_loop
async def test_there_are_as_many_lanes_as_the_server_allows() -> None:
    """MAX_CONCURRENT_STREAMS is kept to, and never more lanes are offered than were asked for."""
    for limit, lanes in ((1, 1), (3, 3), (100, 4)):
        _, connection, _ = greeted(streams=4, said=settings({3: limit}))
        assert len(connection.lanes) == lanes


@in_event_loop
async def test_a_server_may_allow_streams_later() -> None:
    """A connection without any stream is not ready; settings that come later give it lanes."""
    _, connection, _ = hand_fed()
    connection.data_received(settings({3: 0}))
    assert not connection.ready.done()
    connection.data_received(settings({3: 1}))
    await connection.ready
    connection.data_received(settings({3: 100}))
    assert len(connection.lanes) == 1


@in_event_loop
async def test_settings_that_nobody_waits_for_do_no_harm() -> None:
    """They may come just after the owner gave up waiting."""
    _, connection, transport = hand_fed()
    connection.ready.cancel()
    connection.data_received(SETTINGS_ONLY)
    connection.close()
    assert transport.closed


@in_event_loop
async def test_settings_and_pings_are_answered() -> None:
    """RFC 9113 sections 6.5.3 and 6.7."""
    _, connection, transport = hand_fed()
    transport.written.clear()
    connection.data_received(SETTINGS_ONLY + frame(h2.PING, 0, 0, b"question"))
    assert transport.written == h2.SETTINGS_ACK + frame(h2.PING, h2.ACK, 0, b"question")


@pytest.mark.parametrize("limit", [16_384, 20_000])
@in_event_loop
async def test_a_message_is_cut_into_the_frames_that_the_server_takes(limit: int) -> None:
    """MAX_FRAME_SIZE is 16384 unless the server says more; the last frame ends the stream."""
    owner, connection, transport = greeted(said=settings({5: limit}))
    owner.send(connection.lanes[0], bytes(40_000))
    first, second, last = pieces(message(bytes(40_000)), limit)
    assert transport.written.endswith(data(1, first) + data(1, second) + data(1, last, ends=True))
    connection.data_received(response(1))
    assert await owner.next(connection.lanes[0]) == (True, "")


@in_event_loop
async def test_a_message_waits_for_the_windows() -> None:
    """Both the stream's and the connection's window must have room (RFC 9113 section 5.2.1)."""
    owner, connection, transport = greeted(said=settings({4: 10_000}))
    owner.send(connection.lanes[0], bytes(100_000))
    assert len(transport.data(1)) == 10_000  # the stream's initial window
    connection.data_received(window_update(1, 40_000))
    assert len(transport.data(1)) == 50_000
    connection.data_received(window_update(1, 100_000))
    assert len(transport.data(1)) == 65_535  # the connection's
    connection.data_received(window_update(0, 100_000))
    assert transport.data(1) == message(bytes(100_000))
    connection.data_received(response(1))
    assert await owner.next(connection.lanes[0]) == (True, "")


@in_event_loop
async def test_a_change_of_the_initial_window_applies_to_open_streams() -> None:
    """It may even become negative (RFC 9113 section 6.9.2)."""
    owner, connection, transport = greeted(said=settings({4: 10_000}))
    owner.send(connection.lanes[0], bytes(30_000))
    # The stream's window is now -6000, and then -1.
    connection.data_received(settings({4: 4_000}) + window_update(1, 5_999))
    assert len(transport.data(1)) == 10_000
    connection.data_received(window_update(1, 2))
    assert len(transport.data(1)) == 10_001
    connection.data_received(settings({4: 50_000}))
    assert transport.data(1) == message(bytes(30_000))
    connection.data_received(response(1))
    assert await owner.next(connection.lanes[0]) == (True, "")


@pytest.mark.parametrize(
    "widening", [window_update(1, 1), settings({4: 65_536})], ids=["update", "settings"]
)
@in_event_loop
async def test_the_window_of_a_stream_has_a_limit(widening: bytes) -> None:
    """More than 2^31 - 1 is an error (RFC 9113 section 6.9.1)."""
    owner, connection, transport = greeted()
    owner.send(connection.lanes[0], bytes(100_000))
    connection.data_received(window_update(1, 2**31 - 1))
    assert owner.told.empty()
    connection.data_received(widening)
    assert await owner.next(connection.lanes[0]) == (False, "bad_response")
    assert transport.closed


@in_event_loop
async def test_a_stream_without_room_does_not_hold_up_the_others() -> None:
    """Requests wait in turn for the connection's window, but each for its own stream's."""
    owner, connection, transport = greeted()
    large, small = connection.lanes
    owner.send(large, bytes(100_000))
    owner.send(small, bytes(10))
    assert (len(transport.data(1)), transport.data(3)) == (65_535, b"")
    connection.data_received(window_update(0, 1 << 20))
    assert (len(transport.data(1)), transport.data(3)) == (65_535, message(bytes(10)))
    connection.data_received(window_update(1, 1 << 20))
    assert transport.data(1) == message(bytes(100_000))
    connection.data_received(response(1) + response(3))
    assert [await owner.next(lane) for lane in (large, small)] == [(True, "")] * 2


@in_event_loop
async def test_an_answer_may_come_before_the_whole_request() -> None:
    """The rest of the message is not sent: the server hears of it by a reset."""
    owner, connection, transport = greeted()
    owner.send(connection.lanes[0], bytes(100_000))
    connection.data_received(head(1) + trailers(1, "8"))
    assert await owner.next(connection.lanes[0]) == (True, "grpc_resource_exhausted")
    assert transport.written.endswith(rst_stream(1, h2.CANCEL))
    connection.data_received(window_update(0, 1 << 20) + settings({4: 1 << 20}))
    owner.send(connection.lanes[0], bytes(100_000))
    assert (len(transport.data(1)), transport.data(3)) == (65_535, message(bytes(100_000)))
    connection.data_received(response(3))
    assert await owner.next(connection.lanes[0]) == (True, "")
    assert connection.sender.unfinished == {}


@in_event_loop
async def test_a_request_is_cancelled_alone() -> None:
    """The server hears of it by a reset; what it says of the stream later is ignored."""
    owner, connection, transport = greeted()
    first, second = connection.lanes
    owner.send(first, b"")
    owner.send(second, b"")
    first.cancel("timeout")
    assert await owner.next(first) == (True, "timeout")
    assert transport.written.endswith(rst_stream(1, h2.CANCEL))
    connection.data_received(response(1) + response(3))
    assert await owner.next(second) == (True, "")
    first.cancel("timeout")
    owner.send(first, b"")
    connection.data_received(response(5))
    assert await owner.next(first) == (True, "")
    assert owner.told.empty()


@in_event_loop
async def test_a_request_that_waits_can_be_cancelled() -> None:
    """It leaves the queue, and the next one goes on."""
    owner, connection, transport = greeted()
    first, second = connection.lanes
    owner.send(first, bytes(100_000))
    owner.send(second, bytes(10))
    first.cancel("timeout")
    assert await owner.next(first) == (True, "timeout")
    connection.data_received(window_update(0, 1 << 20))
    assert (len(transport.data(1)), transport.data(3)) == (65_535, message(bytes(10)))
    connection.data_received(response(3))
    assert await owner.next(second) == (True, "")


@in_event_loop
async def test_answers_beget_requests() -> None:
    """The owner sends again from within the answer; several requests make one write."""
    owner, connection, transport = greeted()
    for lane in connection.lanes:
        owner.send(lane, b"")
    owner.again = [b"again"] * 3
    transport.written.clear()
    connection.data_received(b"".join(response(stream) for stream in (1, 3, 5, 7, 9)))
    assert [owner.told.get_nowait().kind for _ in range(5)] == [""] * 5
    assert connection.sender.last_stream == 9
    assert transport.written.count(message(b"again")) == 3


@in_event_loop
async def test_the_windows_are_opened_again() -> None:
    """After half of the connection's window it is filled up, long before the server waits."""
    owner, connection, transport = greeted(streams=1)
    owner.send(connection.lanes[0], b"")
    transport.written.clear()
    piece = data(1, bytes(h2.ACCEPTED_FRAME_SIZE))
    size = 1100 * h2.ACCEPTED_FRAME_SIZE
    connection.data_received(head(1) + data(1, b"\0" + size.to_bytes(4, "big")))
    for _ in range(1100):
        connection.data_received(piece)
    assert transport.written == window_update(0, 1024 * h2.ACCEPTED_FRAME_SIZE + 5)
    connection.data_received(trailers(1))
    assert await owner.next(connection.lanes[0]) == (True, "")


@pytest.mark.parametrize(
    "question", [frame(h2.PING, 0, 0, bytes(8)), SETTINGS_ONLY], ids=["pings", "settings"]
)
@in_event_loop
async def test_a_flood_of_questions_ends_the_connection(question: bytes) -> None:
    """A server that asks without reading the answers cannot fill our memory."""

    async def behaviour(peer: Peer) -> None:
        while True:
            peer.send(question * 10_000)
            await peer.writer.drain()

    async with talking(behaviour) as (owner, client):
        assert await owner.next(client.lanes[0]) == (False, "bad_response")
        assert client._transport.get_write_buffer_size() < 1 << 20


@in_event_loop
async def test_a_flood_of_resets_is_a_row_of_answers() -> None:
    """While the server reads nothing, no further request is written: they wait in their lanes."""
    owner, connection, transport = greeted(streams=1)
    owner.again = [bytes(1000)] * 20_000
    owner.send(connection.lanes[0], bytes(1000))
    connection.pause_writing()
    transport.written.clear()
    for stream in range(1, 20_000, 2):
        connection.data_received(rst_stream(stream, 0))
    assert owner.told.qsize() == 10_000
    assert not transport.written
    connection.data_received(window_update(0, 1 << 20))
    connection.resume_writing()
    assert transport.written[3] == h2.HEADERS
    assert transport.written.count(bytes(1000)) == 1


@in_event_loop
async def test_a_request_that_was_not_written_is_not_reset() -> None:
    """The server knows nothing of a stream whose headers wait for room."""
    owner, connection, transport = greeted(streams=1)
    connection.pause_writing()
    owner.send(connection.lanes[0], b"")
    connection.lanes[0].cancel("timeout")
    connection.resume_writing()
    assert not transport.written
    owner.send(connection.lanes[0], b"")
    connection.lanes[0].cancel("timeout")
    assert transport.written[-13 + 3] == h2.RST_STREAM


@in_event_loop
async def test_a_server_that_does_not_read_is_left_at_once() -> None:
    """Closing does not wait for a full socket."""
    _, connection, transport = greeted()
    connection.pause_writing()
    connection.close()
    assert transport.closed
    assert not transport.written


@in_event_loop
async def test_large_requests_go_as_the_server_reads() -> None:
    """What the socket does not take stays in the lane: nothing piles up in between."""

    async def behaviour(peer: Peer) -> None:
        requests = [await peer.request() for _ in range(2)]
        assert {each.size for each in requests} == {20_000_005}
        peer.send(*(response(each.stream) for each in requests))

    wide = settings({4: 2**31 - 1}) + window_update(0, 2**30)
    async with talking(behaviour, greeting=wide) as (owner, client):
        for lane in client.lanes:
            owner.send(lane, bytes(20_000_000))
        assert client._transport.get_write_buffer_size() < 1 << 20
        assert {(await owner.told.get()).kind for _ in client.lanes} == {""}

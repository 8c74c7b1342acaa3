"""Connections that end politely: by the server, by the owner, or for want of stream ids."""

from tests.load.grpc.grpc_owner import greeted, in_event_loop
from tests.load.grpc.http2_server import response
from tuner.load.grpc.frames import LAST_STREAM, PING, frame, goaway


@in_event_loop
async def test_a_server_that_goes_away_finishes_what_it_began() -> None:
    """GOAWAY: later streams fail, earlier ones end, and then the connection closes."""
    owner, connection, transport = greeted(streams=4)
    first, second, third, idle = connection.lanes
    for lane in (first, second, third):
        owner.send(lane, b"")
    connection.data_received(goaway(LAST_STREAM, 0) + goaway(3, 0) + response(3) + response(1))
    assert await owner.next(idle) == (False, "goaway")
    assert await owner.next(third) == (False, "goaway")
    assert await owner.next(second) == (True, "")
    assert await owner.next(first) == (True, "")
    assert not any(lane.usable for lane in connection.lanes)
    assert transport.closed
    assert transport.written.endswith(goaway(0, 0))
    assert owner.told.empty()


@in_event_loop
async def test_the_last_answer_after_a_goodbye_may_be_given_up() -> None:
    """Nothing is in flight any more when it is cancelled: the connection closes."""
    owner, connection, transport = greeted(streams=1)
    owner.send(connection.lanes[0], b"")
    connection.data_received(goaway(1, 0))
    assert not transport.closed
    connection.lanes[0].cancel("timeout")
    assert await owner.next(connection.lanes[0]) == (True, "timeout")
    assert transport.closed


@in_event_loop
async def test_a_connection_ends_before_its_ids_do() -> None:
    """A stream's id has 31 bits; after 2^30 streams a new connection is needed."""
    owner, connection, transport = greeted()
    connection.sender.last_stream = last = LAST_STREAM - (1 << 20)
    busy, idle = connection.lanes
    owner.send(busy, b"")
    connection.data_received(response(last + 2)[:20])
    assert await owner.next(idle) == (False, "connection_lost")
    assert not transport.closed
    connection.data_received(response(last + 2)[20:])
    assert await owner.next(busy) == (True, "")
    assert transport.closed


@in_event_loop
async def test_closing_tells_nobody() -> None:
    """The owner that closes a connection knows it; the server hears a GOAWAY."""
    owner, connection, transport = greeted()
    owner.send(connection.lanes[0], bytes(100_000))
    connection.close()
    assert connection.is_closing()
    connection.lanes[0].cancel("timeout")
    assert transport.written.endswith(goaway(0, 0))
    assert owner.told.empty()


@in_event_loop
async def test_what_comes_after_closing_is_ignored() -> None:
    """An owner may close the connection from within an answer."""
    owner, connection, transport = greeted()
    for lane in connection.lanes:
        owner.send(lane, b"")
    owner.answered = lambda lane, fault: connection.close()  # type: ignore[method-assign]
    ping = frame(PING, 0, 0, bytes(8))
    connection.data_received(response(1) + response(3) + ping + b"\xff" * 99)
    connection.data_received(ping)
    connection.connection_lost(None)
    assert owner.told.empty()
    assert transport.written.endswith(goaway(0, 0))

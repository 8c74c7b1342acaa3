"""What a server does wrong is counted by name, and the run ends on time all the same."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.load.runs import ends_within, load_run, observe
from tests.load.server import (
    BODY,
    OK,
    Behaviour,
    Exchange,
    answer,
    answer_with,
    closed_port,
    leave_after,
    never_answer,
    reset,
    serving,
)
from tuner.load.client import LoadEngine
from tuner.load.profile import Arrivals, ClosedLoop, Endpoint, LoadProfile, OpenLoop

CLOSED = ClosedLoop(2)
OPEN = OpenLoop(100)

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

GOOD: dict[str, Behaviour] = {
    "content length": answer,
    "chunked": answer_with(CHUNKED + b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n"),
    "connection: close": answer_with(
        HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", close=True
    ),
    "until the connection ends": answer_with(HEAD + b"\r\n", BODY, close=True),
    "HTTP/1.0": answer_with(b"HTTP/1.0 200 OK\r\n\r\n" + BODY, close=True),
    "in drips": answer_with(*(OK[at : at + 7] for at in range(0, len(OK), 7))),
}

BAD: dict[str, tuple[Behaviour, str]] = {
    "503": (answer_with(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), "http_503"),
    "404 and close": (answer_with(b"HTTP/1.0 404 No\r\n\r\nno", close=True), "http_404"),
    "reset": (reset, "connection_lost"),
    "half a body": (answer_with(OK[:-5], close=True), "connection_lost"),
    "half a head": (answer_with(OK[:20], close=True), "connection_lost"),
    "no answer but the end": (answer_with(close=True), "connection_lost"),
    "garbage": (answer_with(b"\x16\x03\x01 this is not HTTP"), "bad_response"),
    "body shorter than announced": (
        answer_with(HEAD + b"Content-Length: 99\r\n\r\nhello"),
        "timeout",
    ),
    "silence": (never_answer, "timeout"),
}

# What else the parser understands and refuses is told by test_http1.py.


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("profile", [CLOSED, OPEN], ids=["closed", "open"])
def test_every_framing_is_understood(name: str, profile: LoadProfile, engine: LoadEngine) -> None:
    """A response may be framed in any way of RFC 9112, and come in any pieces."""
    with ends_within(0.7):
        measurement, _ = observe(engine, GOOD[name], profile)
    assert measurement.errors == {}
    assert measurement.unanswered == 0
    assert measurement.requests >= 5
    assert measurement.percentile(100) < 1.0


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("profile", [CLOSED, OPEN], ids=["closed", "open"])
def test_every_fault_is_counted_by_its_name(
    name: str, profile: LoadProfile, engine: LoadEngine
) -> None:
    """Each kind of failure has a name, and each request is counted once."""
    behaviour, kind = BAD[name]
    # Only what never comes is waited for in vain: a busy machine answers late.
    timeout_s = 0.1 if kind == "timeout" else 2.0
    with ends_within(1.0):
        measurement, _ = observe(engine, behaviour, profile, timeout_s=timeout_s, drain_s=2.0)
    assert set(measurement.errors) == {kind}
    assert measurement.failed == measurement.requests
    assert measurement.throughput == 0.0
    assert measurement.percentile(50) == float("inf")


def test_a_connection_that_is_closed_at_once_is_lost(engine: LoadEngine) -> None:
    """A server that accepts and hangs up is a server that loses requests."""
    with serving(answer, close_at_once=True) as server, ends_within(1.0):
        measurement = engine.measure(load_run(server.endpoint))
    assert set(measurement.errors) == {"connection_lost"}


def test_an_open_loop_meets_a_server_that_hangs_up(engine: LoadEngine) -> None:
    """Each request that found no lasting connection has failed, without a storm of attempts."""
    with serving(answer, close_at_once=True) as server, ends_within(1.0):
        measurement = engine.measure(load_run(server.endpoint, OpenLoop(120)))
    assert set(measurement.errors) == {"connection_lost"}
    assert measurement.failed == measurement.requests == 12
    assert server.connections <= 12 + 4 + 4


@pytest.mark.parametrize("profile", [CLOSED, OpenLoop(200)], ids=["closed", "open"])
def test_a_server_that_is_not_there_ends_the_run(profile: LoadProfile, engine: LoadEngine) -> None:
    """Where nothing listens there is nothing to measure: no need to wait for the end."""
    with ends_within(2.0):
        measurement = engine.measure(load_run(closed_port(), profile, duration_s=30.0))
    assert measurement.stopped_early == "unreachable"
    assert set(measurement.errors) == {"connection_refused"}
    assert measurement.failed == measurement.requests == 40
    assert measurement.duration_s < 10.0


@pytest.mark.parametrize("profile", [ClosedLoop(8), OpenLoop(400)], ids=["closed", "open"])
def test_a_server_that_leaves_ends_the_run(profile: LoadProfile, engine: LoadEngine) -> None:
    """A server that dies under load is noticed, and what it answered before stands."""
    with ends_within(3.0):
        measurement, _ = observe(engine, leave_after(50), profile, duration_s=30.0)
    assert measurement.stopped_early == "unreachable"
    assert set(measurement.errors) == {"connection_refused", "connection_lost"}
    assert measurement.requests - measurement.failed - measurement.unanswered == 50
    assert measurement.unanswered == 0


def test_rejections_are_answers(engine: LoadEngine) -> None:
    """A server that sheds load is there: a row of 503 does not end the run."""
    measurement, _ = observe(engine, BAD["503"][0])
    assert measurement.failed > 40
    assert measurement.stopped_early == ""


@contextmanager
def deaf_listener() -> Iterator[Endpoint]:
    """A socket that listens with a full backlog: the kernel drops further attempts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first, second = socket.socket(), socket.socket()
        with first, second:
            for each in (first, second):
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            yield Endpoint("127.0.0.1", listener.getsockname()[1])


@pytest.mark.parametrize("profile", [CLOSED, OPEN], ids=["closed", "open"])
def test_a_connection_that_never_comes_is_a_timeout(
    profile: LoadProfile, engine: LoadEngine
) -> None:
    """Connecting may take `timeout_s`, before the run and in it."""
    with deaf_listener() as endpoint, ends_within(2.0):
        measurement = engine.measure(load_run(endpoint, profile, timeout_s=0.1))
    assert set(measurement.errors) <= {"connect_timeout", "timeout"}
    assert measurement.failed == measurement.requests > 0


def test_an_address_that_cannot_be_reached_is_named(engine: LoadEngine) -> None:
    """What is neither refused nor late is still no connection."""
    with ends_within(1.0):
        measurement = engine.measure(load_run(Endpoint("255.255.255.255", 80)))
    assert set(measurement.errors) == {"connect_failed"}


def test_an_error_among_answers_is_one_error(engine: LoadEngine) -> None:
    """One 500 is counted once, and its connection carries the next request."""
    bad = b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)

    async def behaviour(exchange: Exchange) -> None:
        await exchange.send(bad if exchange.number == 5 else OK)

    measurement, server = observe(engine, behaviour)
    assert measurement.errors == {"http_500": 1}
    assert server.connections == 2


def test_an_idle_connection_that_the_server_closes_is_no_error(engine: LoadEngine) -> None:
    """Servers close idle connections; the next request takes another."""
    with serving(answer, idle_limit_s=0.05) as server:
        measurement = engine.measure(load_run(server.endpoint, OpenLoop(8), duration_s=1.0))
    assert measurement.errors == {}
    assert measurement.requests == 8
    assert server.connections > 4


def test_bytes_after_the_end_spoil_the_connection_only(engine: LoadEngine) -> None:
    """What comes while nothing is in flight answers nothing, even if it looks like an answer."""
    profile = OpenLoop(10, Arrivals.CONSTANT)
    measurement, server = observe(engine, answer_with(OK, OK), profile, duration_s=0.8)
    assert measurement.errors == {}
    assert measurement.requests == 8
    assert server.connections >= 8


def test_a_body_that_ends_after_its_timeout_stays_a_timeout(engine: LoadEngine) -> None:
    """A request has one outcome: the end of the connection does not undo a timeout."""

    async def behaviour(exchange: Exchange) -> None:
        await exchange.send(HEAD + b"\r\n")
        await asyncio.sleep(0.4)
        exchange.close()

    with ends_within(1.0):
        measurement, _ = observe(engine, behaviour, timeout_s=0.1)
    assert set(measurement.errors) == {"timeout"}
    assert measurement.failed == measurement.requests


@pytest.mark.parametrize("profile", [CLOSED, OpenLoop(60)], ids=["closed", "open"])
def test_a_run_leaves_nothing_behind(profile: LoadProfile, engine: LoadEngine) -> None:
    """When a run is over its connections are closed, and the next run knows nothing of it."""
    with serving(never_answer) as server:
        measurement = engine.measure(load_run(server.endpoint, profile, drain_s=0.0))
        connections = psutil.Process(engine.pids[0]).net_connections("inet")
    assert measurement.unanswered == measurement.requests > 0
    assert connections == []
    with serving(answer) as server:
        assert engine.measure(load_run(server.endpoint, profile)).errors == {}

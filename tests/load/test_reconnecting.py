"""Connections that the server closes as a request is sent: it goes on a new one, once."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from tests.load.runs import load_run, observe, request
from tests.load.server import OK, Behaviour, Exchange, answer, closed_port, serving
from tests.load.test_sequences import played, sequences
from tests.runner_tests.waiting import wait_until
from tuner.load.client import LoadEngine
from tuner.load.profile import (
    Arrivals,
    ClosedLoop,
    Endpoint,
    LoadProfile,
    OpenLoop,
    Replay,
)
from tuner.load.requests import RequestSet

PROFILES = pytest.mark.parametrize(
    "profile", [ClosedLoop(2), OpenLoop(200, Arrivals.CONSTANT)], ids=["closed", "open"]
)


def close_at(served: int, *, how: Callable[[Exchange], None] = Exchange.close) -> Behaviour:
    """Each connection carries so many requests; the next one closes it, without an answer."""

    async def behaviour(exchange: Exchange) -> None:
        if exchange.served == served:
            how(exchange)
        else:
            await exchange.send(OK)

    return behaviour


@PROFILES
@pytest.mark.parametrize("how", [Exchange.close, Exchange.reset], ids=["closed", "reset"])
def test_a_request_is_sent_again(
    profile: LoadProfile, how: Callable[[Exchange], None], engine: LoadEngine
) -> None:
    """No error: each request is answered, on a new connection, and counted apart."""
    measurement, server = observe(engine, close_at(2, how=how), profile, duration_s=0.3)

    assert measurement.errors == {}
    assert measurement.unanswered == 0
    assert measurement.reconnected > 5
    assert len(server.bodies) == measurement.requests + measurement.reconnected
    assert measurement.histogram.failures == 0


def test_it_is_the_same_request(engine: LoadEngine) -> None:
    """What was lost is sent again, not the next of the payloads."""
    engine.prepare(RequestSet(tuple(request(b"%d" % number) for number in range(7))))
    lost: list[int] = []

    async def behaviour(exchange: Exchange) -> None:
        if exchange.served == 1:
            lost.append(exchange.number)
            exchange.close()
        else:
            await exchange.send(OK)

    measurement, server = observe(engine, behaviour, ClosedLoop(1), max_requests=20)

    assert measurement.requests == 20
    assert measurement.reconnected == len(lost) == 19
    answered = [body for number, body in enumerate(server.bodies) if number not in lost]
    assert answered == [b"%d" % (number % 7) for number in range(20)]
    assert all(server.bodies[number] == server.bodies[number + 1] for number in lost)


def test_the_time_that_was_lost_is_in_the_latency(engine: LoadEngine) -> None:
    """It counts from the first send, not from the second."""

    async def behaviour(exchange: Exchange) -> None:
        if exchange.served == 1:
            await asyncio.sleep(0.05)
            exchange.close()
        else:
            await exchange.send(OK)

    measurement, _ = observe(engine, behaviour, ClosedLoop(1), max_requests=2, duration_s=2.0)

    assert (measurement.requests, measurement.reconnected) == (2, 1)
    assert max(measurement.latencies_s) >= 0.05


@PROFILES
def test_a_second_end_is_an_error(profile: LoadProfile, engine: LoadEngine) -> None:
    """A server that closes the new connection as well has lost the request."""

    async def behaviour(exchange: Exchange) -> None:
        if exchange.served == 0 and exchange.number < 2:
            await exchange.send(OK)
        else:
            exchange.close()

    measurement, server = observe(engine, behaviour, profile)

    assert set(measurement.errors) == {"connection_lost"}
    assert 1 <= measurement.requests - measurement.failed <= 2
    assert 1 <= measurement.reconnected <= 2
    assert len(server.bodies) == measurement.requests + measurement.reconnected


@PROFILES
def test_a_new_connection_that_is_closed_is_an_error(
    profile: LoadProfile, engine: LoadEngine
) -> None:
    """It was not idle: the server closed it because of the request."""
    measurement, _ = observe(engine, close_at(0), profile)

    assert set(measurement.errors) == {"connection_lost"}
    assert measurement.failed == measurement.requests
    assert measurement.reconnected == 0


@PROFILES
@pytest.mark.parametrize(
    "begin", [OK[:5], OK[:-3], b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["head", "body", "interim"]
)
def test_an_end_in_the_middle_of_an_answer_is_an_error(
    profile: LoadProfile, begin: bytes, engine: LoadEngine
) -> None:
    """The server had begun to answer: what it did with the request is not known."""

    async def behaviour(exchange: Exchange) -> None:
        if exchange.served == 2:
            await exchange.send(begin)
            await asyncio.sleep(0.02)
            exchange.close()
        else:
            await exchange.send(OK)

    measurement, _ = observe(engine, behaviour, profile, duration_s=0.3)

    assert set(measurement.errors) == {"connection_lost"}
    assert measurement.reconnected == 0


def test_where_no_connection_is_to_be_had_it_is_lost(engine: LoadEngine) -> None:
    """A server that is gone is no server with a short keep-alive time."""

    async def behaviour(exchange: Exchange) -> None:
        if exchange.number < 4:
            await exchange.send(OK)
        else:
            exchange.stop_listening()
            exchange.close()

    measurement, _ = observe(engine, behaviour, ClosedLoop(2), max_requests=6, duration_s=5.0)

    assert measurement.requests == 6
    assert measurement.requests - measurement.failed == 4
    assert 1 <= measurement.errors["connection_lost"] <= 2
    assert measurement.reconnected == 0


def test_idle_connections_are_closed_together(engine: LoadEngine) -> None:
    """A request is not sent again on another one that is closed as well."""
    old: set[int] = set()

    async def behaviour(exchange: Exchange) -> None:
        if exchange.number < 8:  # a burst, each on a connection of its own
            old.add(exchange.connection)
            await asyncio.sleep(0.1)
            await exchange.send(OK)
        elif exchange.connection in old:
            exchange.close()
        else:
            await exchange.send(OK)

    bursts = Replay((*[0.0] * 7, 0.6))
    measurement, _ = observe(engine, behaviour, bursts, duration_s=1.0, connections=8)

    assert measurement.errors == {}
    assert measurement.requests >= 15
    assert 1 <= measurement.reconnected <= 8


def test_a_request_in_the_last_moment_is_sent_again(engine: LoadEngine) -> None:
    """Nothing new is sent after the end, but what is on its way still has its time to drain."""

    async def behaviour(exchange: Exchange) -> None:
        if exchange.served == 1:
            await asyncio.sleep(0.3)
            exchange.close()
        else:
            await exchange.send(OK)

    for profile in (ClosedLoop(1), OpenLoop(40, Arrivals.CONSTANT)):
        measurement, _ = observe(engine, behaviour, profile, duration_s=0.1, drain_s=3.0)
        assert measurement.errors == {}
        assert measurement.unanswered == 0
        assert measurement.reconnected >= 1


def test_a_step_of_a_sequence_is_not_sent_again(engine: LoadEngine) -> None:
    """The server may have taken it: the sequence is given up, as after any failure."""
    engine.prepare(sequences())

    measurement, server = observe(engine, close_at(3), ClosedLoop(1), duration_s=0.3)

    assert set(measurement.errors) == {"connection_lost"}
    assert measurement.reconnected == 0
    assert all(len(set(steps)) == len(steps) for steps in played(server.bodies).values())


def test_several_runs_count_together(engine: LoadEngine) -> None:
    """Two engine processes, and each their own."""
    with serving(close_at(1)) as server, LoadEngine(workers=2) as two:
        two.prepare(RequestSet((request(b"{}"),)))
        measurement = two.measure(load_run(server.endpoint, ClosedLoop(2), max_requests=8))

    assert measurement.errors == {}
    assert (measurement.requests, measurement.reconnected) == (8, 6)


async def application(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    """Takes a request and answers it, as FastAPI would."""
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


@contextmanager
def uvicorn_serving(keep_alive_s: int) -> Iterator[Endpoint]:
    port = closed_port().port
    config = uvicorn.Config(
        application, port=port, timeout_keep_alive=keep_alive_s, log_level="error", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield Endpoint("127.0.0.1", port)
    finally:
        server.should_exit = True
        thread.join()


def test_a_uvicorn_with_a_short_keep_alive_time(engine: LoadEngine) -> None:
    """Bursts come just as it closes what has been idle for a second: that is no error."""
    bursts = Replay((*[0.0] * 49, 1.002, *[0.0] * 49, 1.01))
    with uvicorn_serving(1) as endpoint:
        measurement = engine.measure(
            load_run(endpoint, bursts, duration_s=5.5, connections=50, drain_s=5.0, timeout_s=10.0)
        )

    assert measurement.errors == {}
    assert measurement.unanswered == 0
    assert measurement.requests >= 250


def test_nothing_is_counted_where_nothing_was_closed(engine: LoadEngine) -> None:
    """A server that keeps its connections reconnects nobody."""
    measurement, server = observe(engine, answer)

    assert measurement.reconnected == 0
    assert server.connections == 2

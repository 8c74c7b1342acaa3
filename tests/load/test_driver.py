"""A driver's life, step by step: what may happen between its steps."""

import asyncio
from time import monotonic

import pytest

from tests.load.grpc.grpc_owner import CALL
from tests.load.grpc.http2_server import Behaviour, Peer, response, serving_http2
from tests.load.runs import REQUESTS, load_run
from tests.load.server import answer, serving
from tests.runner_tests.waiting import wait_until
from tuner.load.driver import Driver
from tuner.load.grpc.frames import goaway
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, Endpoint, LoadProfile, LoadRun, OpenLoop
from tuner.load.requests import RequestSet


async def driven(driver: Driver, run: LoadRun) -> Measurement:
    """What a connected driver measures."""
    await driver.drive(monotonic())
    record = driver.record(priority="", engine_cpu_s=0.0, engine_wall_s=1.0)
    await driver.close()
    return Measurement.of(run, [record], 1)


def test_connections_lost_before_the_start_are_replaced() -> None:
    """A server may close an idle connection before the first request is sent on it."""

    async def scenario() -> Measurement:
        driver = Driver(run, REQUESTS)
        await driver.connect()
        await asyncio.to_thread(wait_until, lambda: server.idle_closed == 3)
        await asyncio.sleep(0.01)
        return await driven(driver, run)

    with serving(answer, idle_limit_s=0.03) as server:
        run = load_run(server.endpoint, ClosedLoop(3))
        measurement = asyncio.run(scenario())
    assert measurement.errors == {}
    assert measurement.unanswered == 0
    assert measurement.requests > 3
    assert server.connections == 6


def measured(behaviour: Behaviour, profile: LoadProfile) -> tuple[Measurement, int]:
    """Over gRPC, two requests to a connection; and how many connections there were."""

    async def scenario() -> tuple[Measurement, int]:
        async with serving_http2(behaviour) as server:
            endpoint = Endpoint("127.0.0.1", server.port)
            run = load_run(endpoint, profile, duration_s=0.3, connections=1, streams=2)
            driver = Driver(run, RequestSet((b"request",), call=CALL))
            await driver.connect()
            return await driven(driver, run), len(server.peers)

    return asyncio.run(scenario())


PROFILES = pytest.mark.parametrize(
    "profile", [ClosedLoop(2), OpenLoop(200)], ids=["closed", "open"]
)


@PROFILES
def test_a_refused_request_is_sent_again(profile: LoadProfile) -> None:
    """What a server says that it did not begin has not failed; it goes on another connection."""
    first_peers: list[Peer] = []

    async def behaviour(peer: Peer) -> None:
        if not first_peers:
            first_peers.append(peer)
            first = await peer.request()
            await peer.request()
            peer.send(goaway(first.stream, 0), response(first.stream))
        await peer.answer_the_rest()

    measurement, connections = measured(behaviour, profile)
    assert measurement.errors == {}
    assert measurement.unanswered == 0
    assert measurement.requests > 5
    assert measurement.reconnected >= 1
    assert connections >= 2


@PROFILES
def test_a_request_is_sent_twice_at_most(profile: LoadProfile) -> None:
    """A server that refuses it again has failed it."""

    async def behaviour(peer: Peer) -> None:
        await peer.request()
        peer.send(goaway(0, 0))
        await peer.answer_the_rest()

    measurement, connections = measured(behaviour, profile)
    assert set(measurement.errors) == {"goaway"}
    assert measurement.failed == measurement.requests > 1
    assert connections > 2

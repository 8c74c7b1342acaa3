"""A driver's life, step by step: what may happen between its steps."""

import asyncio
from time import monotonic

from tests.load.runs import REQUESTS, load_run
from tests.load.server import answer, serving
from tests.runner_tests.waiting import wait_until
from tuner.load.driver import Driver
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop


def test_connections_lost_before_the_start_are_replaced() -> None:
    """A server may close an idle connection before the first request is sent on it."""
    profile = ClosedLoop(3)

    async def scenario() -> Measurement:
        driver = Driver(run, REQUESTS)
        await driver.connect()
        await asyncio.to_thread(wait_until, lambda: server.idle_closed == 3)
        await asyncio.sleep(0.01)
        await driver.drive(monotonic())
        record = driver.record(priority="", engine_cpu_s=0.0, engine_wall_s=1.0)
        await driver.close()
        return Measurement.of(run, [record], 1)

    with serving(answer, idle_limit_s=0.03) as server:
        run = load_run(server.endpoint, profile)
        measurement = asyncio.run(scenario())
    assert measurement.errors == {}
    assert measurement.unanswered == 0
    assert measurement.requests > 3
    assert server.connections == 6

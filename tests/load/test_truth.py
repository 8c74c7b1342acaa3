"""Latencies beside a server that knows its own; `benchmarks/truth.py` is the long form."""

import numpy as np
import pytest

from benchmarks.delay_server import Answers, Behaviour, Freeze, delay_server
from tests.load.runs import load_run
from tuner.load.client import LoadEngine
from tuner.load.histogram import percentile
from tuner.load.measurement import Measurement
from tuner.load.profile import Arrivals, ClosedLoop, LoadProfile, OpenLoop

# Seconds by which the two clocks may differ; they agree far better.
CLOCKS_S = 0.005
# Seconds that a busy machine may add to a latency.
MACHINE_S = 0.1
FREEZE = Freeze(after_s=0.3, length_s=0.4, every_s=10.0)


def observe(
    engine: LoadEngine, behaviour: Behaviour, profile: LoadProfile, duration_s: float
) -> tuple[Measurement, Answers]:
    """What the engine saw, on four connections, and what the server did."""
    with delay_server(behaviour) as server:
        run = load_run(
            server.endpoint, profile, duration_s=duration_s, drain_s=9.0, max_connections=4
        )
        measurement = engine.measure(run)
        answers = server.answers()
    assert measurement.errors == {}
    assert measurement.requests == len(answers.given_s)
    return measurement, answers


@pytest.mark.parametrize("profile", [ClosedLoop(4), OpenLoop(100)], ids=["closed", "open"])
def test_a_latency_is_what_the_server_took_and_hardly_more(
    profile: LoadProfile, engine: LoadEngine
) -> None:
    """From before the request reached the server until after its answer: never less than that."""
    delays_s = np.array([0.005] * 9 + [0.05])
    measurement, answers = observe(engine, Behaviour(delays_s), profile, 0.4)
    given_s = np.sort(answers.given_s)
    for q in (50, 95, 99, 99.9):
        assert measurement.percentile(q) >= percentile(given_s, q) - CLOCKS_S
    assert measurement.percentile(50) < percentile(given_s, 50) + MACHINE_S


def test_the_server_gives_the_delays_that_it_was_told(engine: LoadEngine) -> None:
    """What the engine is compared with: in turn, never too short, and told in full."""
    delays_s = np.array([0.004, 0.02, 0.0])
    _, answers = observe(engine, Behaviour(delays_s), ClosedLoop(1), 0.1)
    meant_s = np.resize(delays_s, len(answers.meant_s))
    np.testing.assert_allclose(answers.meant_s, meant_s, atol=1e-6)
    assert np.all(answers.given_s >= answers.meant_s)


def test_the_open_loop_shows_a_freeze_that_the_closed_loop_hides(engine: LoadEngine) -> None:
    """40 of 100 requests are due during a freeze of 0.4 s; of a closed loop of 4, 4 meet it."""
    behaviour = Behaviour(np.array([0.001]), FREEZE)
    seen, _ = observe(engine, behaviour, OpenLoop(100, Arrivals.CONSTANT), 1.0)
    # Ten of those 40 wait for 0.3 s or more, even if there is no connection to send them on.
    assert seen.percentile(90) > 0.28
    naive, _ = observe(engine, behaviour, ClosedLoop(4), 1.0)
    assert naive.percentile(90) < 0.28

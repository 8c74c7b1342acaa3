"""Several engine processes are one engine: the same schedule, one start, one result."""

import numpy as np
import pytest

from tests.load.runs import REQUESTS, load_run
from tests.load.server import answer, answer_after, closed_port, never_answer, serving
from tuner.load.client import LoadEngine
from tuner.load.profile import Arrivals, ClosedLoop, OpenLoop


def test_an_open_loop_keeps_its_schedule() -> None:
    """The arrivals are split by their index: together they are those of one process."""
    profile = OpenLoop(200, seed=3)
    with serving(answer) as server:
        dues = []
        for workers in (1, 3):
            with LoadEngine(workers=workers) as engine:
                engine.prepare(REQUESTS)
                measurement = engine.measure(load_run(server.endpoint, profile, duration_s=0.3))
            assert measurement.workers == workers
            assert measurement.errors == {}
            assert measurement.requests == 60
            dues.append(measurement.due_s)
    np.testing.assert_allclose(dues[0], dues[1], atol=1e-6)


def test_a_closed_loop_divides_its_concurrency() -> None:
    """Five in flight are three and two; a process without work is left out."""
    with serving(answer_after(0.01)) as server, LoadEngine(workers=2) as engine:
        engine.prepare(REQUESTS)
        assert engine.measure(load_run(server.endpoint, ClosedLoop(5))).workers == 2
        assert server.most_in_flight == 5
        assert engine.measure(load_run(server.endpoint, ClosedLoop(1))).workers == 1


def test_errors_and_silence_are_added_up() -> None:
    """The result counts what each of the processes saw."""
    with LoadEngine(workers=2) as engine:
        engine.prepare(REQUESTS)
        profile = OpenLoop(40, Arrivals.CONSTANT)
        refused = engine.measure(load_run(closed_port(), profile))
        assert refused.errors == {"connection_refused": 4}
        assert refused.failed == refused.requests == 4
        with serving(never_answer) as server:
            silent = engine.measure(load_run(server.endpoint, profile, drain_s=0.1))
    assert silent.unanswered == silent.requests == 4
    assert silent.percentile(50) == pytest.approx(0.15, abs=0.1)


def test_a_process_may_join_between_runs() -> None:
    """It sends what the others send."""
    with serving(answer_after(0.01)) as server, LoadEngine() as engine:
        engine.prepare(REQUESTS)
        engine.add_worker()
        measurement = engine.measure(load_run(server.endpoint, ClosedLoop(4)))
    assert (engine.workers, measurement.workers, measurement.errors) == (2, 2, {})
    assert server.most_in_flight == 4


def test_fewer_requests_than_processes() -> None:
    """A process whose share of `max_requests` is none sends nothing."""
    with serving(answer_after(0.01)) as server, LoadEngine(workers=2) as engine:
        engine.prepare(REQUESTS)
        measurement = engine.measure(
            load_run(server.endpoint, ClosedLoop(2), duration_s=5.0, max_requests=1)
        )
    assert measurement.requests == len(server.bodies) == 1
    assert measurement.duration_s < 5.0

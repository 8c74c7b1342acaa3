"""The closed and the open loop against a real server: what is sent when, and what it is worth."""

import random
from pathlib import Path

import numpy as np
import pytest

from tests.load.runs import REQUESTS, ends_within, load_run, observe, request
from tests.load.server import (
    OK,
    Exchange,
    answer,
    answer_after,
    answer_with,
    never_answer,
    one_at_a_time,
    serving,
    stall,
)
from tuner.load.arrivals import schedule
from tuner.load.client import LoadEngine
from tuner.load.measurement import LATE
from tuner.load.profile import Arrivals, ClosedLoop, LoadProfile, OpenLoop, Overload
from tuner.load.requests import RequestSet


@pytest.mark.parametrize("concurrency", [1, 7])
def test_the_closed_loop_keeps_its_concurrency(concurrency: int, engine: LoadEngine) -> None:
    """Each answer sends the next request: never more in flight, and hardly ever less."""
    measurement, server = observe(
        engine, answer_after(0.02), ClosedLoop(concurrency), duration_s=0.4
    )
    assert server.most_in_flight == server.connections == concurrency
    assert measurement.errors == {}
    assert measurement.unanswered == 0
    # 20 rounds fit; a machine under load may lose half of them.
    assert 10 * concurrency <= measurement.requests <= 20 * concurrency
    assert measurement.requests == len(server.bodies)


def test_the_closed_loop_waits_for_its_last_answers(engine: LoadEngine) -> None:
    """What is in flight at the end is awaited, and counts for latency but not for throughput."""
    with ends_within(0.3):
        measurement, _ = observe(
            engine, answer_after(0.1), ClosedLoop(3), duration_s=0.05, drain_s=5.0
        )
    assert measurement.requests == 3
    assert measurement.unanswered == 0
    assert measurement.throughput == 0.0
    assert measurement.percentile(100) >= 0.1


@pytest.mark.parametrize("profile", [ClosedLoop(3), OpenLoop(30)], ids=["closed", "open"])
def test_an_unanswered_request_counts_with_its_age(
    profile: LoadProfile, engine: LoadEngine
) -> None:
    """A request that was given up has been slow for as long as it was watched."""
    with ends_within(0.4):
        measurement, _ = observe(engine, never_answer, profile, timeout_s=9.0)
    assert measurement.requests == measurement.unanswered == 3
    assert measurement.errors == {}
    ages_s = measurement.due_s + measurement.latencies_s
    assert np.ptp(ages_s) < 1e-6
    assert ages_s[0] >= 0.4


@pytest.mark.parametrize("arrivals", Arrivals)
def test_the_open_loop_sends_every_request_when_it_is_due(
    arrivals: Arrivals, engine: LoadEngine
) -> None:
    """Whatever the server does, `rate * duration` requests arrive, at their moments."""
    profile = OpenLoop(150, arrivals, seed=3)
    measurement, server = observe(engine, stall(begin_s=0.1, end_s=0.5), profile, duration_s=0.8)
    assert measurement.requests == len(server.arrivals_s) == 120
    assert measurement.duration_s == pytest.approx(0.8)
    np.testing.assert_allclose(measurement.due_s, schedule(profile, 0.8), atol=1e-6)
    late_s = np.sort(server.arrivals_s) - measurement.due_s
    # The server's clock begins somewhere else; a loop that waited would be late by 0.4 s.
    assert np.ptp(late_s) < 0.2


@pytest.mark.parametrize("max_connections", [1024, 4], ids=["any", "four"])
def test_a_stall_is_seen_from_the_intended_moment(
    max_connections: int, engine: LoadEngine
) -> None:
    """A server that stalls for 0.5 s is late by 0.5 s, with as many connections as one likes."""
    profile = OpenLoop(200, Arrivals.CONSTANT)
    options = {"duration_s": 1.0, "max_connections": max_connections}
    measurement, server = observe(engine, stall(begin_s=0.2, end_s=0.7), profile, **options)
    assert measurement.requests == 200
    assert measurement.errors == {}
    assert 0.45 < measurement.percentile(99) < 0.8
    assert server.connections <= max_connections


def test_waiting_for_a_connection_counts(engine: LoadEngine) -> None:
    """Where no connection is free the request waits, and that is latency, not send lag."""
    profile = OpenLoop(100, Arrivals.CONSTANT)
    measurement, server = observe(
        engine, answer_after(0.04), profile, duration_s=0.2, drain_s=9.0, max_connections=1
    )
    assert measurement.requests == 20
    assert server.connections == 1
    waits_s = measurement.latencies_s - 0.03 * np.arange(20)
    assert waits_s.min() >= 0.03
    assert measurement.percentile(100) >= 0.6
    assert measurement.send_lag_p99_s < 0.3


def test_a_request_that_never_gets_a_connection_times_out(engine: LoadEngine) -> None:
    """The wait for a connection is part of `timeout_s`."""
    profile = OpenLoop(100, Arrivals.CONSTANT)
    measurement, _ = observe(
        engine, never_answer, profile, timeout_s=0.2, drain_s=2.0, max_connections=1
    )
    assert measurement.errors == {"timeout": 10}


def test_the_send_lag_is_reported(engine: LoadEngine) -> None:
    """How late the engine itself was can be told from how late the server was."""
    measurement, _ = observe(engine, answer_after(0.05), OpenLoop(200))
    assert 0.0 < measurement.send_lag_p99_s < 0.05 <= measurement.percentile(1)
    assert measurement.engine_cpu_s > 0.0
    assert measurement.engine_wall_s >= 0.1
    assert measurement.priority


def test_overload_ends_the_run(engine: LoadEngine) -> None:
    """A queue that only grows has one end; no need to watch it."""
    overload, service = Overload(outstanding=20, blocks=2), one_at_a_time(0.02)
    with ends_within(3.0):
        measurement, _ = observe(
            engine, service, OpenLoop(500), duration_s=30.0, overload=overload
        )
    assert measurement.stopped_early == "overload"
    assert 0.2 <= measurement.duration_s < 5.0
    assert 20 < measurement.unanswered < measurement.requests < 2500


def test_a_queue_that_clears_is_no_overload(engine: LoadEngine) -> None:
    """More in flight than the limit is not enough: it must not fall either."""
    overload, pause = Overload(outstanding=5, blocks=4), stall(begin_s=0.0, end_s=0.25)
    measurement, _ = observe(engine, pause, OpenLoop(200), duration_s=0.6, overload=overload)
    assert measurement.stopped_early == ""
    assert measurement.requests == 120


def test_a_limit_that_is_lost_ends_the_run(engine: LoadEngine) -> None:
    """More late answers than all of the run may have: what is still to come changes nothing."""
    overload = Overload(outstanding=1000, slow_s=0.02, forgiven=10, after_s=0.3)
    with ends_within(3.0):
        measurement, _ = observe(
            engine, answer_after(0.05), OpenLoop(200), duration_s=30.0, overload=overload
        )
    assert measurement.stopped_early == LATE
    assert 0.3 <= measurement.duration_s < 5.0
    assert measurement.failed == 0
    assert measurement.percentile(50) >= 0.05


@pytest.mark.parametrize(("slow_s", "forgiven"), [(5.0, 0), (0.02, 120)])
def test_what_is_forgiven_ends_no_run(engine: LoadEngine, slow_s: float, forgiven: int) -> None:
    """Answers within the limit, and no more late ones than the run may have."""
    overload = Overload(outstanding=1000, slow_s=slow_s, forgiven=forgiven)
    measurement, _ = observe(
        engine, answer_after(0.05), OpenLoop(200), duration_s=0.6, overload=overload
    )
    assert measurement.stopped_early == ""
    assert measurement.requests == 120


def test_requests_are_sent_in_turn(engine: LoadEngine) -> None:
    """The first request follows the last."""
    engine.prepare(RequestSet(tuple(request(b"%d" % number) for number in range(3))))
    _, server = observe(engine, answer, ClosedLoop(1))
    assert server.bodies == [b"%d" % (n % 3) for n in range(len(server.bodies))]
    assert len(server.bodies) > 3


def test_bytes_of_any_kind_and_size_arrive(engine: LoadEngine) -> None:
    """A payload is bytes; nothing reads it, and nothing changes it."""
    make = random.Random(5)
    bodies = [make.randbytes(size) for size in (0, 1, 1000, 65_536, 1 << 20)]
    engine.prepare(RequestSet(tuple(request(body) for body in bodies)))
    measurement, server = observe(engine, answer, ClosedLoop(1), duration_s=0.3)
    assert measurement.errors == {}
    assert len(server.bodies) >= 5
    assert all(body == bodies[n % 5] for n, body in enumerate(server.bodies))


def test_a_batch_counts_its_inferences(engine: LoadEngine) -> None:
    """Throughput is inferences per second; requests stay requests."""
    engine.prepare(RequestSet(REQUESTS.payloads, inferences=8))
    measurement, _ = observe(engine, answer_after(0.01), ClosedLoop(1))
    assert measurement.inferences_per_request == 8
    assert measurement.throughput <= 8 * measurement.requests / measurement.duration_s


def test_the_open_loop_reuses_connections(engine: LoadEngine) -> None:
    """Connections that are open already are enough for a fast server."""
    measurement, server = observe(engine, answer, OpenLoop(50, Arrivals.CONSTANT))
    assert measurement.errors == {}
    assert server.connections == 4


def test_connections_that_the_server_ends_are_replaced_at_once(engine: LoadEngine) -> None:
    """`Connection: close` costs a connection for each request, not a pause."""

    async def behaviour(exchange: Exchange) -> None:
        await exchange.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        exchange.close()

    measurement, _ = observe(engine, behaviour, ClosedLoop(1), duration_s=0.5)
    assert measurement.errors == {}
    # With a pause of 50 ms there would be 10.
    assert measurement.requests > 20


def test_a_request_in_flight_may_time_out_after_the_end(engine: LoadEngine) -> None:
    """While the run waits for its last answers, timeouts still hold."""
    with ends_within(0.5):
        measurement, _ = observe(engine, never_answer, timeout_s=0.2, drain_s=30.0)
    assert measurement.errors == {"timeout": 2}
    assert measurement.stopped_early == ""


def test_nothing_is_sent_after_the_end(engine: LoadEngine) -> None:
    """While the run waits for its last answers, each is the last of its connection."""
    measurement, server = observe(engine, one_at_a_time(0.05), ClosedLoop(4), drain_s=9.0)
    assert measurement.unanswered == 0
    assert 4 <= measurement.requests <= 7
    assert measurement.requests == len(server.bodies)


@pytest.mark.parametrize(
    "profile", [ClosedLoop(3), OpenLoop(500, Arrivals.CONSTANT)], ids=["closed", "open"]
)
def test_a_run_may_end_after_so_many_requests(profile: LoadProfile, engine: LoadEngine) -> None:
    """Throughput is then that of the time they took, not of the time there was."""
    with ends_within(1.0):
        measurement, server = observe(
            engine, answer_after(0.005), profile, duration_s=60.0, max_requests=20
        )
    assert measurement.requests == len(server.bodies) == 20
    assert measurement.duration_s < 6.0
    assert measurement.throughput == pytest.approx(20 / measurement.duration_s)


def test_bytes_and_the_clients_own_time_are_counted(engine: LoadEngine) -> None:
    """What went over the wire, and what of a latency was spent in writing and reading."""
    measurement, _ = observe(engine, answer_with(OK[:20], OK[20:]), duration_s=0.3)
    assert measurement.bytes_sent == measurement.requests * len(REQUESTS.payloads[0])
    assert measurement.bytes_received == measurement.requests * len(OK)
    assert 0 < measurement.client_send_s < measurement.mean_s
    assert 1e-3 < measurement.client_receive_s < measurement.mean_s


def test_a_server_may_listen_on_a_unix_socket(engine: LoadEngine, tmp_path: Path) -> None:
    """The same protocol over another kind of socket."""
    with serving(answer, unix_socket=tmp_path / "socket") as server:
        measurement = engine.measure(load_run(server.endpoint, ClosedLoop(2)))
    assert measurement.errors == {}
    assert measurement.requests == len(server.bodies) > 5
    gone = engine.measure(load_run(server.endpoint, ClosedLoop(2)))
    assert set(gone.errors) == {"connection_refused"}

"""Sweeps: the order of load points, when a point is measured again, and when a range ends.

The engine stands in for the real one: it has its answers ready, and notes what it was told.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from tests.refusals import refused
from tests.report.sweep_points import measured
from tuner.errors import ServerError
from tuner.goals import AnswerLimits
from tuner.load.client import LoadEngine
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, Endpoint, LoadRun, OpenLoop, Ramp, Replay
from tuner.load.requests import RequestSet, SequenceSet, SequenceStep
from tuner.records import ServerStatistics
from tuner.sweep.point import SweepPoint
from tuner.sweep.service import PlainService
from tuner.sweep.sweep import Sweep, SweepPlan
from tuner.watch.collectors import Collectors
from tuner.watch.process_usage import ServerProcess

ENDPOINT = Endpoint("127.0.0.1", 9)
STEP = SequenceStep({})
UNKNOWN = "check URL, protocol and model, and see the server's log"
Answer = Callable[[LoadRun, int], Measurement]


def well(run: LoadRun, workers: int) -> Measurement:
    """Each request took 10 ms."""
    return replace(measured([0.01] * 10, run.profile, throughput=100.0), workers=workers)


def always(latencies_s: Sequence[float], **facts: Any) -> Answer:
    """Whatever is asked, requests took these."""
    return lambda run, workers: measured(latencies_s, run.profile, **facts)


class Engine(LoadEngine):
    """Answers as it is told."""

    def __init__(self, answer: Answer, workers: int = 1) -> None:
        super().__init__()
        self._answer = answer
        self._count = workers
        self.runs: list[LoadRun] = []

    @property
    def workers(self) -> int:
        return self._count

    def add_worker(self) -> None:
        self._count += 1

    def measure(self, run: LoadRun) -> Measurement:
        self.runs.append(run)
        return self._answer(run, self._count)


class Counting(PlainService):
    """A service that has answered ten requests more each time it is asked."""

    def __init__(self, requests: RequestSet) -> None:
        super().__init__(ENDPOINT, requests)
        self._asked = 0

    def statistics(self) -> ServerStatistics:
        self._asked += 1
        return ServerStatistics(requests=10 * self._asked)


@dataclass
class Swept:
    """A sweep that was run to its end or its failure."""

    engine: Engine
    points: list[SweepPoint] = field(default_factory=list)
    announced: list[tuple[str, float]] = field(default_factory=list)

    @property
    def loads(self) -> list[Any]:
        return [point.measurement.profile for point in self.points]


def plan(profiles: Sequence[Any] = (ClosedLoop(1),), **values: Any) -> SweepPlan:
    durations: dict[str, float] = {"duration_s": 2.0, "warm_up_s": 0.5, "timeout_s": 3.0}
    return SweepPlan(profiles=profiles, **{**durations, **values})


def sweep(
    planned: SweepPlan,
    answer: Answer = well,
    *,
    requests: RequestSet | None = None,
    collectors: Collectors | None = None,
    holds_server: bool = False,
) -> Swept:
    swept = Swept(Engine(answer))

    @contextmanager
    def announce(what: str, length_s: float) -> Iterator[None]:
        swept.announced.append((what, length_s))
        yield

    service = Counting(requests or RequestSet((b"x",)))
    service.engine = swept.engine if holds_server else None
    watching = collectors or Collectors()
    swept.points.extend(Sweep(service, swept.engine, planned, watching, announce).points())
    return swept


def closed(*concurrencies: int) -> list[ClosedLoop]:
    return [ClosedLoop(each) for each in concurrencies]


def test_the_order() -> None:
    """A warm-up of one request at a time, then every load in its turn."""
    profiles = [*closed(1, 8), OpenLoop(50.0), Ramp((10.0, 20.0, 30.0), 2.0), Replay((0.1,))]
    swept = sweep(plan(profiles, max_requests=7))
    assert [run.profile for run in swept.engine.runs] == [ClosedLoop(1), *profiles]
    assert [run.max_requests for run in swept.engine.runs] == [0, 7, 7, 7, 7, 7]
    assert [run.duration_s for run in swept.engine.runs] == [0.5, 2, 2, 2, 6, 2]
    assert {(run.timeout_s, run.drain_s) for run in swept.engine.runs} == {(3.0, 3.0)}
    assert swept.announced == [
        ("warm-up", 0.5),
        ("concurrency 1", 2),
        ("concurrency 8", 2),
        ("50 requests/s (poisson)", 2),
        ("ramp from 10 to 30 requests/s, 2 s each", 6),
        ("replay of 1 intervals", 2),
    ]


def test_the_time_to_drain() -> None:
    """The first answer is waited for until its timeout, the others as it lets expect."""
    [warm_up, run] = sweep(plan(timeout_s=60.0)).engine.runs
    assert (warm_up.drain_s, run.drain_s) == (60.0, 5.0)
    slow = always([12.0])
    assert sweep(plan(timeout_s=60.0), slow).engine.runs[1].drain_s == 24.0
    assert sweep(plan(timeout_s=20.0), slow).engine.runs[1].drain_s == 20.0


def test_a_load_point_shorter_than_its_answers() -> None:
    """Where less than four fit in, it is said that it says little."""
    [point] = sweep(plan(), always([1.5] * 5)).points
    assert point.doubts == ["an answer takes 1.5 s, so that 5 s say little: raise `--duration`"]
    assert sweep(plan(), always([1.2] * 5)).points[0].doubts == []


def test_answers_that_take_longer_than_the_timeout() -> None:
    """Where nothing but timeouts came back, the hint names the option."""
    late = always([math.inf], errors={"timeout": 1})
    message = "no request of the warm-up was answered well: timeout (1)"
    hint = "if its answers take longer, raise `--timeout`; else see the server's log"
    with pytest.raises(ServerError) as caught:
        sweep(plan(), late)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_statistics() -> None:
    """The server's counters are those of the load point alone, the warm-up left out."""
    points = sweep(plan(closed(1, 2))).points
    assert [point.statistics for point in points] == [ServerStatistics(requests=10)] * 2


def test_a_ramp_has_a_point_for_each_step() -> None:
    """The steps of a ramp are cut out of the run, each with the requests that were due in it."""

    def climbing(run: LoadRun, workers: int) -> Measurement:
        due_s = np.array([0.0, 1.0, 2.0 - 1e-9, 2.5, 3.0, 3.5])  # the third a hair too early
        late_s = np.zeros(6)
        return replace(
            well(run, workers), due_s=due_s, latencies_s=np.full(6, 0.01), lags_s=late_s
        )

    swept = sweep(plan([Ramp((1.0, 2.0), 2.0, seed=5)]), climbing)
    assert swept.loads == [OpenLoop(1.0, seed=5), OpenLoop(2.0, seed=6)]
    assert [point.measurement.requests for point in swept.points] == [2, 4]
    assert [point.measurement.duration_s for point in swept.points] == [pytest.approx(2)] * 2
    assert [point.statistics for point in swept.points] == [ServerStatistics(requests=10)] * 2


class TestLimit:
    @pytest.mark.parametrize(
        ("percentile", "limit_s", "last"),
        [(None, 0.025, 2), (50.0, 0.025, 3), (None, 0.01, 1), (None, math.inf, 4)],
        ids=["p99", "median", "at once", "none"],
    )
    def test_the_first_point_beyond_is_the_last(
        self, percentile: float | None, limit_s: float, last: int
    ) -> None:
        """It is judged by the 99th percentile, or by that which was asked for."""

        def slower(run: LoadRun, workers: int) -> Measurement:
            assert isinstance(run.profile, ClosedLoop)
            latency_s = 0.01 * run.profile.concurrency
            return measured([latency_s] * 3 + [latency_s + 0.01], run.profile)

        limits = AnswerLimits(whole_s=limit_s)
        swept = sweep(plan(closed(1, 2, 3, 4), percentile=percentile, limits=limits), slower)
        assert swept.loads == closed(1, 2, 3, 4)[:last]

    def test_failures_are_beyond_any_limit(self) -> None:
        """Too many failed requests have an infinite percentile."""
        failing = always([0.01] * 3 + [math.inf], errors={"http_503": 1})
        limits = AnswerLimits(whole_s=60.0)
        assert sweep(plan(closed(1, 2), limits=limits), failing).loads == closed(1)

    def test_a_client_that_was_overloaded(self) -> None:
        """Latencies that are the client's own end nothing."""
        late = always([1.0], send_lag_p99_s=0.9)
        profiles = [OpenLoop(1.0), OpenLoop(2.0)]
        limits = AnswerLimits(whole_s=0.1)
        assert sweep(plan(profiles, limits=limits), late).loads == profiles


class TestStability:
    def test_the_last_three_windows_are_the_point(self) -> None:
        """They are pooled: their requests, and the server's counters over all of them."""
        throughputs = iter([1.0, 50.0, 99.0, 100.0, 101.0])

        def settling(run: LoadRun, workers: int) -> Measurement:
            return measured([0.01] * 10, run.profile, throughput=next(throughputs))

        swept = sweep(plan(tolerance=0.1), settling)
        [point] = swept.points
        assert len(swept.engine.runs) == 5
        assert point.measurement.requests == 30
        assert point.measurement.throughput == pytest.approx(100)
        assert point.statistics == ServerStatistics(requests=50)  # asked 6 times since the first
        assert point.stability is not None
        assert point.stability.stable
        assert [each.throughput for each in point.stability.windows] == [50, 99, 100, 101]

    @pytest.mark.parametrize(("percentile", "latency_s"), [(None, 0.0225), (90.0, 0.06)])
    def test_what_has_to_be_stable(self, percentile: float | None, latency_s: float) -> None:
        """Beside throughput it is the mean, or the percentile that was asked for."""
        answer = always([0.01, 0.01, 0.01, 0.06], throughput=5.0)
        [point] = sweep(plan(tolerance=0.1, percentile=percentile), answer).points
        assert point.stability is not None
        assert {each.throughput for each in point.stability.windows} == {5.0}
        latencies_s = [each.latency_s for each in point.stability.windows]
        assert latencies_s == [pytest.approx(latency_s)] * 3

    def test_a_point_that_is_never_stable(self) -> None:
        """After ten windows it is kept, and says so."""
        throughputs = iter(float(2**n) for n in range(20))

        def restless(run: LoadRun, workers: int) -> Measurement:
            return measured([0.01], run.profile, throughput=next(throughputs))

        [point] = sweep(plan(tolerance=0.1), restless).points
        assert point.measurement.requests == 3
        assert len(point.doubts) == 1
        assert point.doubts[0].startswith("not stable within 10 % after 10 windows: ")


class TestWorkers:
    @staticmethod
    def full_below(workers: int) -> Answer:
        """An engine of fewer processes uses all of its core."""

        def answer(run: LoadRun, count: int) -> Measurement:
            spent_s = 5.0 * count if count < workers else 1.0
            return replace(well(run, count), engine_cpu_s=spent_s)

        return answer

    def test_an_engine_that_is_full_gets_another_process(self) -> None:
        """The point is measured again, and what was measured before is left out."""
        swept = sweep(plan(closed(8, 9), most_workers=4), self.full_below(3))
        assert [point.measurement.workers for point in swept.points] == [3, 3]
        assert [point.statistics for point in swept.points] == [ServerStatistics(requests=10)] * 2
        assert [run.profile for run in swept.engine.runs[1:]] == closed(8, 8, 8, 9)

    def test_but_not_more_than_were_allowed(self) -> None:
        """Then the point stays, and says that the client was overloaded."""
        [point] = sweep(plan(most_workers=2), self.full_below(3)).points
        assert point.measurement.workers == 2
        assert point.doubts == ["the client was overloaded: the load engine used 100% of its core"]

    def test_an_engine_that_holds_the_server(self) -> None:
        """It stays one process: another one would have no server in it."""
        [point] = sweep(plan(most_workers=4), self.full_below(3), holds_server=True).points
        assert point.measurement.workers == 1


@pytest.mark.parametrize(
    ("errors", "message", "hint"),
    [
        ({"http_500": 2, "timeout": 1}, "http_500 (2), timeout (1)", UNKNOWN),
        (
            {"tls_failed": 3},
            "tls_failed (3)",
            "check the CA file, and whether the server wants a certificate of the client",
        ),
        (
            {"wrong_output": 3},
            "wrong_output (3)",
            "compare the server's answers with the validation data, or the JSON path",
        ),
        ({}, "none could be sent", UNKNOWN),
    ],
    ids=["many", "TLS", "wrong", "none"],
)
def test_a_warm_up_that_fails(errors: dict[str, int], message: str, hint: str) -> None:
    """Without a good answer in the warm-up, nothing is measured."""
    failing = always([math.inf] * sum(errors.values()), errors=errors)
    with pytest.raises(ServerError) as caught:
        sweep(plan(), failing)
    assert caught.value.message == f"no request of the warm-up was answered well: {message}"
    assert caught.value.hint == hint


def test_a_warm_up_with_some_failures() -> None:
    """One good answer is enough to begin."""
    failing_once = always([0.01, math.inf], errors={"http_503": 1})
    assert len(sweep(plan(), failing_once).points) == 1


@pytest.mark.parametrize(
    ("profile", "most"), [(ClosedLoop(3), 3), (OpenLoop(1.0), 4)], ids=["closed", "open"]
)
def test_correlation_ids(profile: ClosedLoop | OpenLoop, most: int) -> None:
    """Each of the sequences under way has an id of its own, or nothing is measured."""
    for ids in (most, most - 1):
        sequences = SequenceSet(streams=((STEP,),), encode_id=str.encode, count=4, ids=ids)  # type: ignore[arg-type]
        requests = RequestSet((), sequences=sequences)
        if ids == most:
            assert len(sweep(plan([ClosedLoop(1), profile]), requests=requests).points) == 2
            continue
        message = (
            f"{most} sequences at once need as many correlation ids, but "
            f"`--sequence-id-range` has {ids}"
        )
        with refused(message, "widen it, or put less load on the server"):
            sweep(plan([ClosedLoop(1), profile]), requests=requests)


def test_collectors() -> None:
    """Who watches a process does so over each load point; the others are not there."""
    process = ServerProcess.of(os.getpid())
    [point] = sweep(plan(tolerance=10.0), collectors=Collectors(process=process)).points
    assert point.process is not None
    assert point.process.pid == os.getpid()
    assert point.process.resident_bytes > 0
    assert (point.metrics, point.driver_gpus) == (None, {})
    [unwatched] = sweep(plan()).points
    assert (unwatched.process, unwatched.metrics, unwatched.driver_gpus) == (None, None, {})

"""What limits a configuration, from what its trial stored."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.report import studies
from tests.report.studies import BUDGET, point
from tuner.analysis.bottleneck import Bottleneck, diagnose, latency_split, processors
from tuner.records import PointRecord, ServerStatistics, TrialRecord, Usage

CORES = 2


def statistics(
    *, queue_ms: float = 2.0, infer_ms: float = 6.0, requests: int = 1000
) -> ServerStatistics:
    """Counters of requests that took these milliseconds each."""
    return ServerStatistics(
        requests=requests,
        inferences=requests,
        executions=requests,
        queue_s=requests * queue_ms / 1e3,
        compute_input_s=requests * 0.25e-3,
        compute_infer_s=requests * infer_ms / 1e3,
        compute_output_s=requests * 0.75e-3,
    )


def measured(**wishes: Any) -> PointRecord:
    """Two seconds of a load within the budget, of which the mean is 10 ms."""
    facts: dict[str, Any] = {"duration_s": 2.0, "mean_s": 0.010, "requests": 400}
    return point(200.0, 0.04, **(facts | {"usage": Usage(cpu_s=1.0)} | wishes))


def trial(told: ServerStatistics, *points: PointRecord) -> TrialRecord:
    return studies.trial(1, 200.0, statistics=told, points=points or (measured(),))


def found(record: TrialRecord, cores: float = CORES) -> Bottleneck:
    return diagnose(record, BUDGET, cores).bottleneck


def test_splits_the_mean_latency() -> None:
    """Queue and compute are the server's, of each request; the rest is what the client adds."""
    split = latency_split(trial(statistics()))

    assert split is not None
    assert split.mean_s == pytest.approx(0.010)
    assert split.queue_s == pytest.approx(0.002)
    assert split.compute_s == pytest.approx(0.007)
    assert split.other_s == pytest.approx(0.001)
    assert math.fsum(split.parts_s.values()) == pytest.approx(split.mean_s)


def test_the_mean_is_over_all_requests() -> None:
    """A load point counts by its requests; one in which nothing was answered does not."""
    few = measured(mean_s=0.030, requests=100)
    lost = measured(mean_s=math.inf)

    split = latency_split(trial(statistics(), measured(), few, lost))

    assert split is not None
    assert split.mean_s == pytest.approx((400 * 0.010 + 100 * 0.030) / 500)


def test_the_server_may_tell_of_more_than_the_client_saw() -> None:
    """The two measure apart: no part is less than nothing."""
    split = latency_split(trial(statistics(queue_ms=9.0)))

    assert split is not None
    assert split.other_s == 0.0


@pytest.mark.parametrize(
    ("told", "bottleneck"),
    [
        (statistics(queue_ms=1.0, infer_ms=7.0), Bottleneck.COMPUTE),
        (statistics(queue_ms=6.0, infer_ms=2.0), Bottleneck.QUEUE),
        (statistics(queue_ms=1.0, infer_ms=1.0), Bottleneck.FRONT_END),
        (ServerStatistics(), Bottleneck.UNKNOWN),
        (ServerStatistics(requests=1000, inferences=1000), Bottleneck.UNKNOWN),
    ],
    ids=["compute", "queue", "front end", "nothing stored", "no durations stored"],
)
def test_the_largest_part_is_the_bottleneck(
    told: ServerStatistics, bottleneck: Bottleneck
) -> None:
    """Where a request spends most of its time; unknown where the server does not say."""
    assert found(trial(told)) == bottleneck


def test_a_queue_before_full_processors() -> None:
    """What waits because all processors are busy waits for compute."""
    busy = measured(usage=Usage(cpu_s=0.95 * 2.0 * CORES))
    queues = statistics(queue_ms=6.0, infer_ms=2.0)

    assert found(trial(queues, busy)) == Bottleneck.COMPUTE
    assert found(trial(queues, busy), cores=2 * CORES) == Bottleneck.QUEUE
    assert found(trial(queues, busy), cores=math.nan) == Bottleneck.QUEUE


def test_the_load_engine_shares_the_processors() -> None:
    """What it takes of them the server cannot have, unless each has its own."""
    busy = measured(usage=Usage(cpu_s=0.6 * 2.0 * CORES), engine_cpu_s=0.35 * 2.0 * CORES)
    record = trial(statistics(queue_ms=6.0, infer_ms=2.0), busy)
    shared, apart = (diagnose(record, BUDGET, CORES, shared=each) for each in (True, False))

    assert (shared.bottleneck, apart.bottleneck) == (Bottleneck.COMPUTE, Bottleneck.QUEUE)
    assert shared.processors_busy == pytest.approx(0.95)
    assert apart.processors_busy == pytest.approx(0.6)


@pytest.mark.parametrize(
    "own",
    [{"engine_cpu_s": 1.7}, {"send_lag_p99_s": 0.006}],
    ids=["an engine that is busy", "an engine that is late"],
)
def test_a_client_that_cannot_keep_up(own: dict[str, float]) -> None:
    """Then the load engine is what limits, whatever the server says of itself."""
    assert found(trial(statistics(), measured(**own))) == Bottleneck.CLIENT
    assert found(trial(ServerStatistics(), measured(**own))) == Bottleneck.CLIENT


def test_nothing_within_the_budget() -> None:
    """Without a load that meets the budget there is nothing to be limited."""
    record = replace(trial(statistics()), points=())

    assert diagnose(record, BUDGET, CORES).bottleneck == Bottleneck.UNKNOWN


@pytest.mark.parametrize(
    ("wishes", "known"),
    [
        ({}, (2, True)),
        ({"options": {"server_cpus": "0,1"}}, (2, False)),
        ({"place": {"runner": "docker", "cpu_quota": 2.5}}, (2.5, False)),
        ({"place": {"runner": "docker", "cpu_quota": 8.0}}, (2, False)),
        ({"place": {"runner": "docker", "cpu_quota": 0.0}}, (2, True)),
    ],
)
def test_the_processors_of_the_server(wishes: dict[str, Any], known: tuple[float, bool]) -> None:
    """A quota counts to its fraction; who has processors of its own shares none."""
    assert processors(studies.study(**wishes)) == known

"""Load points as JSON: with all that is known, and without what JSON does not have."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest

from tests.report.sweep_points import PROCESS, generated, measured, metrics, point, statistics
from tuner import __version__
from tuner.goals import AnswerLimits
from tuner.load.profile import Arrivals, ClosedLoop, LoadProfile, OpenLoop, Ramp, Replay
from tuner.report import sweep_json
from tuner.report.json_text import json_text
from tuner.sweep.point import SweepPoint
from tuner.sweep.stability import Stability, Window

STARTED = datetime(2026, 3, 7, 22, 0, tzinfo=UTC)


def read(content: object) -> Any:
    """What another program reads, one that takes the standard seriously."""

    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    return json.loads(json_text(content), parse_constant=refuse)


def full_point() -> SweepPoint:
    windows = (Window(60.0, 0.010), Window(70.0, 0.011), Window(71.0, 0.012), Window(72.0, 0.012))
    latencies_s = [0.010, 0.020, 0.030, math.inf]
    measurement = measured(latencies_s, errors={"http_503": 1}, firsts_s=[0.125])
    return replace(
        point(measurement, statistics()),
        metrics=metrics(),
        process=PROCESS,
        stability=Stability(windows),
    )


SERVER: dict[str, Any] = {
    "inferences": 100,
    "executions": 100,
    "queue_ms": pytest.approx(0.064),
    "compute_input_ms": pytest.approx(0.206),
    "compute_infer_ms": pytest.approx(11.781),
    "compute_output_ms": pytest.approx(0.019),
    "batches": {"1": 100},
    "process": {
        "pid": 7,
        "name": "tritonserver",
        "cpu_s": 2.5,
        "cores": 0.5,
        "resident_bytes": 2**30,
        "processes": 3,
    },
    "gpus": {
        "gpu_uuid_0": {
            "utilization": 0.33,
            "power_w": 55.3,
            "memory_used_bytes": 10_000,
            "memory_total_bytes": 50_000,
        },
        "gpu_uuid_1": {
            "utilization": 0.5,
            "power_w": 56.9,
            "memory_used_bytes": 11_000,
            "memory_total_bytes": 75_000,
        },
    },
    "scheduling": None,
    "metrics": {
        "scrapes": 5,
        "counters": {'nv_inference_count{model="m"}': 348.0},
        "totals": {},
        "gauges": {"nv_cpu_utilization": {"mean": 0.25, "largest": 0.75}},
    },
}


def test_everything() -> None:
    """All that is known of a load point is there, with its unit in its name."""
    limits = AnswerLimits(whole_s=0.025)
    content = read(sweep_json.point_document(full_point(), 75, limits=limits))

    engine_cpu_us = content.pop("engine_cpu_us_per_request")
    assert engine_cpu_us == pytest.approx(125_000)
    assert content == {
        "concurrency": 1,
        "throughput": 69.2,
        "requests": 4,
        "duration_s": 5.0,
        "avg_ms": pytest.approx(20.0),
        "std_ms": pytest.approx(8.164966),
        "p50_ms": pytest.approx(20.0),
        "p75_ms": pytest.approx(30.0),
        "p90_ms": None,
        "p95_ms": None,
        "p99_ms": None,
        "p99.9_ms": None,
        "first_response": {
            f"p{q}_ms": pytest.approx(125.0, rel=0.01)
            for q in ("50", "75", "90", "95", "99", "99.9")
        },
        "limit_ms": 25.0,
        "goodput": 0.4,
        "tokens": None,
        "errors": {"http_503": 1},
        "unanswered": 0,
        "reconnected": 0,
        "stopped_early": None,
        "client_overloaded": None,
        "stability": {
            "stable": True,
            "tolerance": 0.1,
            "windows": [
                {"throughput": 60.0, "latency_ms": 10.0},
                {"throughput": 70.0, "latency_ms": 11.0},
                {"throughput": 71.0, "latency_ms": 12.0},
                {"throughput": 72.0, "latency_ms": 12.0},
            ],
        },
        "send_lag_p99_ms": 0.0,
        "client_send_ms": pytest.approx(0.225),
        "client_receive_ms": pytest.approx(0.003),
        "bytes_sent": 1000,
        "bytes_received": 2000,
        "engine_priority": "real-time",
        "workers": 1,
        "server": SERVER,
    }


def test_what_is_not_known() -> None:
    """Null stands for what was not asked for or not told; goodput is only there with a limit."""
    measurement = replace(measured([math.inf]), client_send_s=math.nan, client_receive_s=math.nan)
    content = read(sweep_json.point_document(point(measurement), 99))

    assert {name for name, value in content.items() if value is None} == {
        "avg_ms",
        "std_ms",
        "p50_ms",
        "p90_ms",
        "p95_ms",
        "p99_ms",
        "p99.9_ms",
        "first_response",
        "tokens",
        "stopped_early",
        "client_overloaded",
        "stability",
        "client_send_ms",
        "client_receive_ms",
    }
    assert "goodput" not in content
    gpus = content["server"].pop("gpus")
    assert gpus == {}
    assert set(content["server"].values()) == {None}
    assert "queue_ms" in content["server"]


def test_doubts() -> None:
    """What the client spoiled is said, and that a result was not stable, and kept all the same."""
    measurement = measured([0.01], OpenLoop(100), send_lag_p99_s=0.5, stopped_early="overloaded")
    unstable = Stability((Window(1, 1), Window(2, 1), Window(3, 1)))
    doubtful = point(measurement, stability=unstable)
    content = read(sweep_json.point_document(doubtful, 99))

    assert content["client_overloaded"] == "requests left 500.0 ms late (p99)"
    assert content["stopped_early"] == "overloaded"
    assert content["stability"]["stable"] is False
    assert content["throughput"] == 69.2
    assert doubtful.doubts == [
        "the client was overloaded: requests left 500.0 ms late (p99)",
        "stopped early: overloaded",
        str(unstable),
    ]
    assert full_point().doubts == []


@pytest.mark.parametrize(
    ("profile", "load"),
    [
        (ClosedLoop(8), {"concurrency": 8}),
        (
            OpenLoop(200, Arrivals.CONSTANT, 7),
            {"rate": 200, "arrivals": "constant", "seed": 7},
        ),
        (
            Ramp((100.0, 300.0), 2.0, seed=3),
            {"rate": 200, "rates": [100, 300], "step_s": 2, "arrivals": "poisson", "seed": 3},
        ),
        (Replay((0.1, 0.3)), {"rate": 5, "arrivals": "replay", "intervals": 2}),
    ],
)
def test_loads(profile: LoadProfile, load: dict[str, object]) -> None:
    """Each kind of load says what it was, before anything else."""
    content = read(sweep_json.point_document(point(measured([0.01], profile)), 99))

    assert list(content.items())[: len(load)] == list(load.items())


def test_export() -> None:
    """The export says whence it is, and has every point with its histogram and its requests."""
    content = read(
        sweep_json.export(
            [full_point(), point(measured([0.01] * 3, ClosedLoop(2)))],
            99,
            endpoint="http://127.0.0.1:8000",
            model="m",
            started_at=STARTED,
            limits=AnswerLimits(whole_s=0.025),
        )
    )

    first, second = content.pop("points")
    assert content == {
        "tool": "serving-tuner",
        "version": __version__,
        "endpoint": "http://127.0.0.1:8000",
        "model": "m",
        "started_at": "2026-03-07T22:00:00+00:00",
    }
    assert first["goodput"] == 0.4
    assert first["server"]["queue_ms"] == pytest.approx(0.064)
    assert first["samples"] == {
        "stride": 1,
        "due_s": [0.0, 1.25, 2.5, 3.75],
        "latency_s": [0.01, 0.02, 0.03, None],
    }
    assert first["histogram"]["counts"] == [1, 1, 1]
    assert first["histogram"]["failures"] == 1
    bounds = dict(zip(first["histogram"]["upper_s"], (0.01, 0.02, 0.03), strict=True))
    assert all(latency <= bound <= 1.006 * latency for bound, latency in bounds.items())
    assert second["histogram"]["counts"] == [3]


def test_a_sample_of_the_requests() -> None:
    """Where only a sample was kept, its stride is told; the times are those of clocks."""
    measurement = replace(measured([0.0123456789]), sample_stride=4)
    [exported] = sweep_json.export(
        [point(measurement)], 99, endpoint="e", model="m", started_at=STARTED
    )["points"]

    assert exported["samples"] == {"stride": 4, "due_s": [0.0], "latency_s": [0.0123457]}


def test_json_text() -> None:
    """What JSON does not have becomes null wherever it is, and names become text."""
    content = {1: [math.nan, (math.inf, -math.inf)], "a": "NaN", "b": STARTED}

    assert json_text(content, indent=None) == (
        '{"1": [null, [null, null]], "a": "NaN", "b": "2026-03-07 22:00:00+00:00"}\n'
    )
    assert json_text({"a": 1}) == '{\n  "a": 1\n}\n'


def test_times_of_tokens_are_among_the_samples() -> None:
    """Of each request the time to its first token, and between its tokens; null where unknown."""
    measurement = generated([0.1, 0.2], [0.02, math.nan])
    [exported] = read(
        sweep_json.export([point(measurement)], 99, endpoint="e", model="m", started_at=STARTED)
    )["points"]

    assert exported["samples"]["ttft_s"] == [0.1, 0.2]
    assert exported["samples"]["itl_s"] == [0.02, None]
    assert exported["tokens"]["ttft"]["p99_ms"] == pytest.approx(200)

"""Builds load points of `tuner measure` without measuring; the same ones every time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tuner.load.histogram import Histogram
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadProfile
from tuner.load.tokens import Tokens
from tuner.records import ServerStatistics
from tuner.sweep.point import SweepPoint
from tuner.sweep.stability import Stability
from tuner.watch.gpu_usage import GpuUsage
from tuner.watch.metrics import Gauge, ServerMetrics
from tuner.watch.process_usage import ProcessUsage

GPUS = {
    "gpu_uuid_0": GpuUsage(0.33, 55.3, 10_000, 50_000),
    "gpu_uuid_1": GpuUsage(0.5, 56.9, 11_000, 75_000),
}
PROCESS = ProcessUsage(7, "tritonserver", cpu_s=2.5, cores=0.5, resident_bytes=2**30, processes=3)


def metrics(gpus: Mapping[str, GpuUsage] = GPUS) -> ServerMetrics:
    return ServerMetrics(
        scrapes=5,
        gpus=gpus,
        counters={'nv_inference_count{model="m"}': 348.0},
        totals={},
        gauges={"nv_cpu_utilization": Gauge(mean=0.25, largest=0.75)},
    )


def statistics(
    *, requests: int = 100, queue_us: float = 64, infer_us: float = 11781
) -> ServerStatistics:
    """perf_analyzer's manual in microseconds per request."""
    return ServerStatistics(
        inferences=requests,
        executions=requests,
        requests=requests,
        queue_s=queue_us * requests / 1e6,
        compute_input_s=206 * requests / 1e6,
        compute_infer_s=infer_us * requests / 1e6,
        compute_output_s=19 * requests / 1e6,
        batches={1: requests},
    )


def measured(
    latencies_s: Sequence[float],
    profile: LoadProfile = ClosedLoop(1),  # noqa: B008 - a frozen value
    *,
    throughput: float = 69.2,
    errors: Mapping[str, int] | None = None,
    stopped_early: str = "",
    send_lag_p99_s: float = 0.0,
    reconnected: int = 0,
    firsts_s: Sequence[float] = (),
) -> Measurement:
    """One request after the other of 5 s; those that failed have the latency infinity."""
    latencies = np.array(latencies_s)
    answered = latencies[np.isfinite(latencies)]
    return Measurement(
        profile=profile,
        start_s=0.0,
        duration_s=5.0,
        inferences_per_request=1,
        throughput=throughput,
        requests=len(latencies),
        errors=errors or {},
        unanswered=0,
        send_lag_p99_s=send_lag_p99_s,
        engine_cpu_s=0.5,
        engine_wall_s=5.0,
        priority="real-time",
        stopped_early=stopped_early,
        due_s=np.linspace(0, 5, len(latencies), endpoint=False),
        latencies_s=latencies,
        lags_s=np.full(len(latencies), send_lag_p99_s),
        ttfts_s=np.array(firsts_s),
        itls_s=np.full(len(firsts_s), np.nan),
        wholes_s=latencies if firsts_s else np.empty(0),
        sample_stride=1,
        tokens=None,
        histogram=Histogram.of(latencies),
        first_response=Histogram.of(np.array(firsts_s)) if firsts_s else None,
        mean_s=float(answered.mean()) if len(answered) else math.nan,
        std_s=float(answered.std()) if len(answered) else math.nan,
        client_send_s=225e-6,
        client_receive_s=3e-6,
        bytes_sent=1000,
        bytes_received=2000,
        reconnected=reconnected,
        workers=1,
    )


def generated(
    ttfts_s: Sequence[float],
    itls_s: Sequence[float],
    profile: LoadProfile = ClosedLoop(1),  # noqa: B008 - a frozen value
    *,
    together: int = 0,
    **wishes: Any,
) -> Measurement:
    """Answers of eleven output tokens each, which the server counted."""
    firsts, gaps = np.array(ttfts_s), np.array(itls_s)
    wholes = firsts + 10 * gaps
    count = len(firsts)
    tokens = Tokens(
        output=11 * count,
        in_time=11 * count,
        together=together,
        prompt=20 * count,
        cached=0,
        answers=count,
        told=count,
        gaps=Histogram.of(gaps),
        duration_s=5.0,
    )
    return replace(
        measured(wholes.tolist(), profile, firsts_s=ttfts_s, **wishes), itls_s=gaps, tokens=tokens
    )


def point(
    measurement: Measurement,
    statistics: ServerStatistics | None = None,
    *,
    metrics: ServerMetrics | None = None,
    stability: Stability | None = None,
) -> SweepPoint:
    return SweepPoint(
        measurement=measurement, statistics=statistics, metrics=metrics, stability=stability
    )

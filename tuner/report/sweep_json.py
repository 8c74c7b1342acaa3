"""Load points as JSON: one for `tuner measure --json`, or all with their requests, to keep."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from math import inf, nan
from typing import Any

import numpy as np

from tuner import __version__
from tuner.goals import AnswerLimits
from tuner.load.histogram import Histogram
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadProfile, OpenLoop, Ramp
from tuner.records import ServerStatistics
from tuner.sweep.point import SweepPoint, server_parts_s

_PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
_NO_LIMITS = AnswerLimits()
# Decimals of a second: beyond is no clock's.
_DECIMALS = 7


def point_document(
    point: SweepPoint, percentile: float, *, limits: AnswerLimits = _NO_LIMITS
) -> dict[str, Any]:
    """One load point as plain data: latencies in milliseconds, null for what is not known.

    A point that the client itself spoiled has no latencies: they would not be the server's. A
    `server` without statistics has null in their place. With limits there is the goodput:
    inferences per second that were answered within all of them.
    """
    measurement = point.measurement
    return {
        **_load(measurement.profile, point.rate),
        "throughput": measurement.throughput,
        "requests": measurement.requests,
        "duration_s": measurement.duration_s,
        **_latencies(measurement, percentile),
        "first_response": _first_response(measurement, percentile),
        **_goodput(measurement, limits),
        "tokens": _tokens(measurement, percentile),
        "errors": dict(measurement.errors),
        "unanswered": measurement.unanswered,
        "reconnected": measurement.reconnected,
        "stopped_early": measurement.stopped_early or None,
        "client_overloaded": measurement.client_overloaded or None,
        "stability": _stability(point),
        "send_lag_p99_ms": measurement.send_lag_p99_s * 1e3,
        "client_send_ms": measurement.client_send_s * 1e3,
        "client_receive_ms": measurement.client_receive_s * 1e3,
        "bytes_sent": measurement.bytes_sent,
        "bytes_received": measurement.bytes_received,
        "engine_cpu_us_per_request": measurement.engine_cpu_per_request_s * 1e6,
        "engine_priority": measurement.priority,
        "workers": measurement.workers,
        "server": {
            **_statistics(point.statistics),
            "process": asdict(point.process) if point.process else None,
            "gpus": {uuid: asdict(usage) for uuid, usage in point.gpus.items()},
            "scheduling": asdict(point.scheduling) if point.scheduling else None,
            "metrics": _metrics(point),
        },
    }


def export(
    points: Sequence[SweepPoint],
    percentile: float,
    *,
    endpoint: str,
    model: str,
    started_at: datetime,
    limits: AnswerLimits = _NO_LIMITS,
) -> dict[str, Any]:
    """All load points with the histogram of their latencies and their single requests."""
    return {
        "tool": "serving-tuner",
        "version": __version__,
        "endpoint": endpoint,
        "model": model,
        "started_at": started_at.isoformat(timespec="seconds"),
        "points": [
            {
                **point_document(point, percentile, limits=limits),
                **_requests(point.measurement),
            }
            for point in points
        ],
    }


def _load(profile: LoadProfile, rate: float | None) -> dict[str, Any]:
    match profile:
        case ClosedLoop(concurrency):
            return {"concurrency": concurrency}
        case OpenLoop():
            return {"rate": rate, "arrivals": profile.arrivals.value, "seed": profile.seed}
        case Ramp(rates, step_s):
            steps = {"rates": list(rates), "step_s": step_s}
            arrivals = {"arrivals": profile.arrivals.value, "seed": profile.seed}
            return {"rate": rate, **steps, **arrivals}
        case replay:
            return {"rate": rate, "arrivals": "replay", "intervals": len(replay.intervals_s)}


def _latencies(measurement: Measurement, percentile: float) -> dict[str, float]:
    shown = sorted({*_PERCENTILES, percentile})
    latencies = {
        "avg_ms": measurement.mean_s * 1e3,
        "std_ms": measurement.std_s * 1e3,
        **{f"p{q:g}_ms": measurement.percentile(q) * 1e3 for q in shown},
    }
    return dict.fromkeys(latencies, nan) if measurement.client_overloaded else latencies


def _first_response(measurement: Measurement, percentile: float) -> dict[str, float] | None:
    """The times to the first of several responses."""
    firsts = measurement.first_response
    if firsts is None or measurement.client_overloaded:
        return None
    return _percentiles(firsts.percentile, percentile)


def _percentiles(of: Callable[[float], float], percentile: float) -> dict[str, float]:
    return {f"p{q:g}_ms": of(q) * 1e3 for q in sorted({*_PERCENTILES, percentile})}


def _tokens(measurement: Measurement, percentile: float) -> dict[str, Any] | None:
    """Of answers that are made of output tokens: how many, and when they came."""
    tokens = measurement.tokens
    if tokens is None:
        return None
    counts = {
        "output_per_s": tokens.throughput,
        "output": tokens.output,
        "prompt": tokens.prompt,
        "cached": tokens.cached,
        "answers": tokens.answers,
        "counted_by": tokens.counted_by,
        "together_share": tokens.together_share,
    }
    if measurement.client_overloaded or not tokens.output:
        return counts | {"ttft": None, "itl": None, "gap": None}
    times = {"ttft": measurement.ttft, "itl": measurement.itl, "gap": tokens.gaps.percentile}
    return counts | {name: _percentiles(of, percentile) for name, of in times.items()}


def _goodput(measurement: Measurement, limits: AnswerLimits) -> dict[str, float]:
    if not limits.any:
        return {}
    known = not measurement.client_overloaded
    named = {
        "limit_ms": limits.whole_s,
        "ttft_limit_ms": limits.ttft_s,
        "itl_limit_ms": limits.itl_s,
    }
    said = {name: each_s * 1e3 for name, each_s in named.items() if each_s < inf}
    return {**said, "goodput": measurement.goodput(limits) if known else nan}


def _stability(point: SweepPoint) -> dict[str, Any] | None:
    stability = point.stability
    if stability is None:
        return None
    known = not point.measurement.client_overloaded
    windows = [
        {"throughput": each.throughput, "latency_ms": each.latency_s * 1e3 if known else nan}
        for each in stability.windows
    ]
    return {"stable": stability.stable, "tolerance": stability.tolerance, "windows": windows}


def _statistics(statistics: ServerStatistics | None) -> dict[str, Any]:
    known = statistics or ServerStatistics()
    content = {
        "inferences": known.inferences,
        "executions": known.executions,
        **{f"{part}_ms": each_s * 1e3 for part, each_s in server_parts_s(known).items()},
        "batches": dict(known.batches),
    }
    return content if statistics else dict.fromkeys(content)


def _metrics(point: SweepPoint) -> dict[str, Any] | None:
    if point.metrics is None:
        return None
    content = asdict(point.metrics)
    del content["gpus"]  # they stand beside
    return content


def _requests(measurement: Measurement) -> dict[str, Any]:
    if measurement.client_overloaded:
        return {"histogram": None, "samples": None}
    return {"histogram": _histogram(measurement.histogram), "samples": _samples(measurement)}


def _histogram(histogram: Histogram) -> dict[str, Any]:
    """How many latencies were up to each bound, and above the one before; in seconds."""
    bins = sorted(histogram.counts)
    return {
        "upper_s": [Histogram({each: 1}, 0).percentile(100) for each in bins],
        "counts": [histogram.counts[each] for each in bins],
        "failures": histogram.failures,
    }


def _samples(measurement: Measurement) -> dict[str, Any]:
    """Every `stride`-th request: when it was due since the start, and its latency.

    Of answers that are made of tokens also the times to the first one, and between them.
    """
    columns = {"due_s": measurement.due_s, "latency_s": measurement.latencies_s}
    if measurement.tokens and measurement.tokens.output:
        columns |= {"ttft_s": measurement.ttfts_s, "itl_s": measurement.itls_s}
    content = {name: np.round(each, _DECIMALS).tolist() for name, each in columns.items()}
    return {"stride": measurement.sample_stride, **content}

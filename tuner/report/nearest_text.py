"""What comes closest to a latency budget that nothing meets, in words and as plain data."""

import math
from typing import Any

from tuner.analysis.nearest import Nearest
from tuner.report import formats


def found(nearest: Nearest) -> str:
    """`p99 = 61 ms without load, 11 ms over the limit (1.22x)`."""
    latency = milliseconds(nearest.latency_s)
    over = excess(nearest.latency_s, nearest.budget.limit_s)
    return f"p{nearest.budget.percentile:g} = {latency} {_place(nearest)}{over}"


def excess(latency_s: float, limit_s: float) -> str:
    """How far a latency is over the limit, after a comma; empty where it is not, or endless."""
    over_s = latency_s - limit_s
    if over_s <= 0 or math.isinf(latency_s):
        return ""
    return f", {milliseconds(over_s)} over the limit ({formats.times(latency_s / limit_s)})"


def milliseconds(latency_s: float) -> str:
    """Three significant digits."""
    return "infinite" if math.isinf(latency_s) else f"{latency_s * 1e3:.3g} ms"


def nearest_document(nearest: Nearest | None) -> dict[str, Any] | None:
    """With the load it was measured at: none in either form where it was one request at a time."""
    if nearest is None:
        return None
    return {
        "trial": nearest.trial.number,
        "configuration": dict(nearest.trial.configuration),
        "latency_ms": nearest.latency_s * 1e3,
        "over_ms": nearest.over_s * 1e3,
        "factor": nearest.factor,
        "throughput": nearest.throughput,
        "concurrency": nearest.concurrency,
    }


def _place(nearest: Nearest) -> str:
    if nearest.concurrency is not None:
        return f"at concurrency {nearest.concurrency}"
    if nearest.throughput is not None:
        return f"at {formats.rate(nearest.throughput)} inferences/s"
    return "without load"

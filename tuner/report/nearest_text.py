"""What comes closest to a latency budget that nothing meets, in words and as plain data."""

import math
from collections.abc import Mapping
from typing import Any

from tuner.analysis.nearest import Nearest
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.token_figures import limited_times
from tuner.report import formats


def found(nearest: Nearest) -> str:
    """`p99 = 61 ms without load, 11 ms over the limit (1.22x)`."""
    return told(_document(nearest), nearest.budget.percentile)


def told(document: Mapping[str, Any], percentile: float) -> str:
    """The same of its document; a latency of null is infinite.

    Of several limits, `p99 = 1.22x the limit of TTFT or ITL without load`.
    """
    times = document.get("times") or []
    if len(times) > 1:
        factor = math.inf if document["factor"] is None else document["factor"]
        far = formats.times(factor) if factor < math.inf else "infinitely beyond"
        return f"p{percentile:g} = {far} the limit of {' or '.join(times)} {_place(document)}"
    latency_s = math.inf if document["latency_ms"] is None else document["latency_ms"] / 1e3
    limit_s = latency_s - (document["over_ms"] or 0.0) / 1e3
    latency, over = milliseconds(latency_s), excess(latency_s, limit_s)
    time = "".join(f" {name}" for name in times)
    return f"p{percentile:g}{time} = {latency} {_place(document)}{over}"


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
    return None if nearest is None else _document(nearest)


def _document(nearest: Nearest) -> dict[str, Any]:
    return {
        "trial": nearest.trial.number,
        "configuration": dict(nearest.trial.configuration),
        "latency_ms": nearest.latency_s * 1e3,
        "over_ms": nearest.over_s * 1e3,
        "factor": nearest.factor,
        "throughput": nearest.throughput,
        "unit": nearest.unit.value,
        "concurrency": nearest.concurrency,
        **({"times": limited_times(nearest.budget)} if nearest.budget.answers else {}),
    }


def _place(document: Mapping[str, Any]) -> str:
    if document["concurrency"] is not None:
        return f"at concurrency {document['concurrency']}"
    if document["throughput"] is not None:
        unit = document.get("unit") or RateUnit.INFERENCES
        return f"at {formats.rate(document['throughput'])} {unit}"
    return "without load"

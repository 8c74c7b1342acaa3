"""Load points as a CSV file with perf_analyzer's columns, for its spreadsheet and scripts.

Source: perf_analyzer's manual, "Visualizing Latency vs. Throughput" and "Server-side Prometheus
metrics"; `report_writer.cc`. Durations are whole microseconds, rounded down. Where it cannot be
otherwise the file differs from perf_analyzer's: a percentile is `inf` where too many requests
failed, the mean is `nan` where none was answered, and a server without statistics has 0 in its
columns, not fewer columns.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence

from tuner.load.profile import ClosedLoop
from tuner.sweep.point import SweepPoint, known_s, latency_parts_s
from tuner.watch.gpu_usage import GpuUsage

_PERCENTILES = (50.0, 90.0, 95.0, 99.0)
_GPU_COLUMNS: dict[str, Callable[[GpuUsage], float | None]] = {
    "Avg GPU Utilization": lambda usage: usage.utilization,
    "Avg GPU Power Usage": lambda usage: usage.power_w,
    "Max GPU Memory Usage": lambda usage: usage.memory_used_bytes,
    "Total GPU Memory": lambda usage: usage.memory_total_bytes,
}


def text(points: Sequence[SweepPoint], percentile: float, *, verbose: bool = False) -> str:
    """A header, and one line for each load point in the order of throughput.

    The stabilising `percentile` has a column if it is none of the usual ones. `verbose` adds:

    - `Avg latency`: the mean latency;
    - `request/response`: the client's time to send the request and to receive the answer;
    - `response wait`: the rest of the mean latency;
    - utilization (0 to 1), power (W), used and total memory (bytes), as `UUID:VALUE;...;`.

    All points are of closed loops, or all of open ones.
    """
    ordered = sorted(points, key=lambda point: point.measurement.throughput)
    file = io.StringIO()
    rows = [dict(_cells(point, percentile, verbose=verbose)) for point in ordered]
    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _cells(point: SweepPoint, percentile: float, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """The columns of one line: name and content."""
    measurement = point.measurement
    if isinstance(measurement.profile, ClosedLoop):
        yield "Concurrency", str(measurement.profile.concurrency)
    else:
        yield "Request Rate", f"{point.rate:g}"
    yield "Inferences/Second", f"{measurement.throughput:g}"
    for name, part_s in latency_parts_s(point).items():
        yield name, _microseconds(part_s)
    for q in sorted({*_PERCENTILES, percentile}):
        yield f"p{q:g} latency", _microseconds(measurement.percentile(q))
    if verbose:
        yield from _verbose_cells(point)


def _verbose_cells(point: SweepPoint) -> Iterator[tuple[str, str]]:
    measurement = point.measurement
    moved_s = known_s(measurement.client_send_s) + known_s(measurement.client_receive_s)
    yield "Avg latency", _microseconds(measurement.mean_s)
    yield "request/response", _microseconds(moved_s)
    yield "response wait", _microseconds(max(0.0, known_s(measurement.mean_s) - moved_s))
    for name, value_of in _GPU_COLUMNS.items():
        values = {uuid: value_of(usage) for uuid, usage in sorted(point.gpus.items())}
        pairs = (f"{uuid}:{_number(v)};" for uuid, v in values.items() if v is not None)
        yield name, "".join(pairs)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _microseconds(duration_s: float) -> str:
    return str(round(duration_s * 1e9) // 1000) if math.isfinite(duration_s) else str(duration_s)

"""Load points as a CSV file with perf_analyzer's columns, for its spreadsheet and scripts.

Source: perf_analyzer's manual, "Visualizing Latency vs. Throughput" and "Server-side Prometheus
metrics"; `report_writer.cc`. Durations are whole microseconds, rounded down. Where it cannot be
otherwise the file differs from perf_analyzer's: a percentile is `inf` where too many requests
failed, the mean is `nan` where none was answered, and a server without statistics has 0 in its
columns, not fewer columns. Of answers that are made of tokens it has columns of its own.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence

from tuner.load.measurement import Measurement
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

    The stabilising `percentile` has a column if it is none of the usual ones. Where answers are
    made of tokens, there are output tokens per second, and percentiles of the time to the first
    token (TTFT) and of the mean time between the tokens of an answer (ITL). `verbose` adds:

    - `Avg latency`: the mean latency;
    - `request/response`: the client's time to send the request and to receive the answer;
    - `response wait`: the rest of the mean latency;
    - utilization (0 to 1), power (W), used and total memory (bytes), as `UUID:VALUE;...;`.

    All points are of closed loops, or all of open ones.
    """
    ordered = sorted(points, key=lambda point: point.measurement.throughput)
    file = io.StringIO()
    generated = any(point.generated for point in points)
    rows = [
        dict(_cells(point, percentile, verbose=verbose, generated=generated)) for point in ordered
    ]
    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _cells(
    point: SweepPoint, percentile: float, *, verbose: bool, generated: bool
) -> Iterator[tuple[str, str]]:
    """The columns of one line: name and content; those of tokens if some were `generated`."""
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
    if generated:
        yield from _token_cells(measurement, percentile)
    if verbose:
        yield from _verbose_cells(point)


def _token_cells(measurement: Measurement, percentile: float) -> Iterator[tuple[str, str]]:
    per_s = measurement.tokens.throughput if measurement.tokens else math.nan
    yield "Output Tokens/Second", f"{per_s:g}"
    for name, of in (("TTFT", measurement.ttft), ("ITL", measurement.itl)):
        for q in sorted({*_PERCENTILES, percentile}):
            yield f"p{q:g} {name}", _microseconds(of(q))


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

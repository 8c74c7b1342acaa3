"""The highest throughput within a latency budget, as perf_analyzer measures it.

Every concurrency is a run of its own. perf_analyzer 2.41 has a search too (`--binary-search`), but
it does not lower the number of requests in flight: after the first concurrency that is too high,
all others look too high as well. Its stability rule is off: it would call a steady server's p99
unstable.
"""

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.perf_analyzer import PerfAnalyzer
from tuner.goals import LatencyBudget

# The highest concurrency that is tried.
_LARGEST = 1024
# A latency of this many limits ends the search.
_HOPELESS = 2.0
# perf_analyzer's window, and how many of them must agree.
_WINDOW_MS = 2000
_WINDOWS = 3
# No load point takes longer.
_LIMIT_S = 60.0


@dataclass(frozen=True)
class Point:
    """Inferences per second, and the latency percentile in seconds."""

    throughput: float
    latency_s: float


def capacity(
    perf_analyzer: PerfAnalyzer, model: str, url: str, budget: LatencyBudget
) -> float | None:
    """In inferences per second, over gRPC; 0 if no load is within the budget.

    None, and a word on the error output, if perf_analyzer gives no answer at all.
    """

    def measure(concurrency: int) -> Point | None:
        return _measure(perf_analyzer, ["-m", model, "-u", url], budget, concurrency)

    return highest(measure, budget.limit_s)


def highest(measure: Callable[[int], Point | None], limit_s: float) -> float | None:
    """The highest throughput within the limit; `measure` takes a concurrency.

    The concurrency is doubled until the latency is far over the limit, so that one slow point
    decides nothing; then the step above the last one within is halved.
    """
    points: dict[int, Point] = {}
    concurrency = 1
    while concurrency <= _LARGEST and (point := measure(concurrency)):
        points[concurrency] = point
        if point.latency_s > _HOPELESS * limit_s:
            break
        concurrency *= 2
    low = max((each for each, p in points.items() if p.latency_s <= limit_s), default=0)
    if low == 0:
        return 0.0 if points else None
    best, over = points[low].throughput, 2 * low
    while over - low > max(1, low // 16):
        middle = (low + over) // 2
        point = measure(middle)
        if point and point.latency_s <= limit_s:
            low, best = middle, max(best, point.throughput)
        else:
            over = middle
    return best


def read_point(report: str, percentile: float) -> Point | None:
    """The only row of perf_analyzer's CSV; None if there is none."""
    for row in csv.DictReader(report.splitlines()):
        latency_s = float(row[f"p{percentile:.0f} latency"]) / 1e6
        return Point(float(row["Inferences/Second"]), latency_s)
    return None


def _measure(
    perf_analyzer: PerfAnalyzer, server: list[str], budget: LatencyBudget, concurrency: int
) -> Point | None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        report = Path(folder) / "report.csv"
        options = ["-i", "grpc", "-f", str(report), "--concurrency-range", str(concurrency)]
        options += [f"--percentile={budget.percentile:.0f}", "-p", str(_WINDOW_MS)]
        options += ["-r", str(_WINDOWS), "-s", "999"]
        words = _run(perf_analyzer, [*server, *options])
        point = read_point(report.read_text(), budget.percentile) if report.exists() else None
    if point is None:
        print("perf_analyzer gave no answer:", *words[-3:], sep="\n  ", file=sys.stderr)
    return point


def _run(perf_analyzer: PerfAnalyzer, arguments: list[str]) -> list[str]:
    """What it said, line by line."""
    path = perf_analyzer.library_path
    try:
        done = subprocess.run(
            [str(perf_analyzer.program), *arguments],
            env=os.environ | ({"LD_LIBRARY_PATH": path} if path else {}),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [f"it was not done after {_LIMIT_S:g} s"]
    return (done.stdout + done.stderr).strip().splitlines()

"""perf_analyzer's rule for when a measurement is stable.

Source: perf_analyzer, `inference_profiler.cc`. Windows follow one another until neither throughput
nor the stabilising latency (the mean or a percentile) varies by more than the stability percentage
over the last three, or until there were ten. perf_analyzer throws an unstable result away; here it
is a result as any other, and says that it is not stable.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONSECUTIVE = 3
_MOST_WINDOWS = 10


@dataclass(frozen=True)
class Window:
    """Throughput (per second) and stabilising latency (in seconds) of one window."""

    throughput: float
    latency_s: float


@dataclass(frozen=True)
class Stability:
    """All windows that were measured, in their order, and how much the last three may vary."""

    windows: tuple[Window, ...]
    tolerance: float = 0.10

    @property
    def stable(self) -> bool:
        limit = 1 + self.tolerance
        enough = len(self.windows) >= CONSECUTIVE
        return enough and self.throughput_ratio <= limit and self.latency_ratio <= limit

    @property
    def throughput_ratio(self) -> float:
        """The largest throughput of the last three windows over the smallest."""
        return _ratio([window.throughput for window in self.windows[-CONSECUTIVE:]])

    @property
    def latency_ratio(self) -> float:
        """The largest stabilising latency of the last three windows over the smallest."""
        return _ratio([window.latency_s for window in self.windows[-CONSECUTIVE:]])

    def __str__(self) -> str:
        within = f"within {_percent(1 + self.tolerance)} after {len(self.windows)} windows"
        if self.stable:
            return f"stable {within}"
        return (
            f"not stable {within}: in the last {CONSECUTIVE}, throughput varied by "
            f"{_percent(self.throughput_ratio)} and latency by {_percent(self.latency_ratio)}"
        )


def until_stable(measure_window: Callable[[], Window], tolerance: float = 0.10) -> Stability:
    """Measure windows until the last three are stable, or ten were measured.

    The result rests on the last `CONSECUTIVE` windows; to pool them is the caller's part.
    """
    stability = Stability((), tolerance)
    while not stability.stable and len(stability.windows) < _MOST_WINDOWS:
        stability = Stability((*stability.windows, measure_window()), tolerance)
    return stability


def _ratio(values: Sequence[float]) -> float:
    """Infinite where it would say nothing: nothing was answered, or too many requests failed."""
    usable = values and all(0 < value < math.inf for value in values)
    return max(values) / min(values) if usable else math.inf


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):.0f} %" if math.isfinite(ratio) else "∞"

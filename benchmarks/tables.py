"""What every benchmark prints: what it ran on, and Markdown tables."""

import math
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from tuner.numbers.distributions import Z

_PROCESSORS = Path("/proc/cpuinfo")


def machine() -> str:
    """The machine in one line."""
    models = [
        line.partition(":")[2].strip()
        for line in _PROCESSORS.read_text().splitlines()
        if line.startswith("model name")
    ]
    model = models[0] if models else platform.machine()
    cores = len(os.sched_getaffinity(0))
    return f"{cores} x {model}, Linux {platform.release()}, Python {platform.python_version()}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(_line(cells) for cells in (headings, ["---"] * len(headings), *rows))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def median(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and the range in brackets."""
    return f"{median(values, digits)} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def share(number: int, of: int) -> str:
    """A share and its 95 % interval, in percent."""
    low, high = share_interval(number, of)
    return f"{100 * number / of:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def share_interval(number: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    middle = (number + Z**2 / 2) / (of + Z**2)
    half = Z / (of + Z**2) * math.sqrt(number * (of - number) / of + Z**2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)

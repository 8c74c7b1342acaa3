"""What every benchmark prints: what it ran on, and Markdown tables."""

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

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

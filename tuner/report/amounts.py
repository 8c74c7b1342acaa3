"""A value of an objective, with its unit."""

import math

from tuner.goals import Objective
from tuner.report import formats, rates


def amount(objective: Objective, value: float, unit: str) -> str:
    """A value of `objective` with its unit; a dash for what is not known.

    `unit` is that of throughputs, as `rates` has it.
    """
    texts = {
        Objective.THROUGHPUT: f"{formats.rate(value)} {unit}",
        Objective.LATENCY: formats.latency(value),
        Objective.MEMORY: f"{value / 1e6:,.0f} MB",
        Objective.CPU: f"{formats.latency(value)} of processor time {rates.one(unit)}",
        Objective.ENERGY: f"{value:.3g} J {rates.one(unit)}",
    }
    return texts[objective] if math.isfinite(value) else formats.NOTHING

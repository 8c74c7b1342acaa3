"""A value of an objective, with its unit."""

import math

from tuner.goals import Objective
from tuner.report import formats


def amount(objective: Objective, value: float) -> str:
    """A value of `objective` with its unit; a dash for what is not known."""
    texts = {
        Objective.THROUGHPUT: f"{formats.rate(value)} inferences/s",
        Objective.LATENCY: formats.latency(value),
        Objective.MEMORY: f"{value / 1e6:,.0f} MB",
        Objective.CPU: f"{formats.latency(value)} of processor time an inference",
        Objective.ENERGY: f"{value:.3g} J an inference",
    }
    return texts[objective] if math.isfinite(value) else formats.NOTHING

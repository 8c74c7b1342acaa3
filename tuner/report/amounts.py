"""A value of an objective, with its unit."""

import math

from tuner.analysis.rate_unit import RateUnit
from tuner.goals import Objective
from tuner.report import formats


def amount(objective: Objective, value: float, unit: RateUnit) -> str:
    """A value of `objective` with its unit, that of throughputs is `unit`; a dash if unknown."""
    one = f"{'an' if unit is RateUnit.INFERENCES else 'a'} {unit.noun}"
    texts = {
        Objective.THROUGHPUT: f"{formats.rate(value)} {unit}",
        Objective.LATENCY: formats.latency(value),
        Objective.MEMORY: f"{value / 1e6:,.0f} MB",
        Objective.CPU: f"{formats.latency(value)} of processor time {one}",
        Objective.ENERGY: f"{value:.3g} J {one}",
    }
    return texts[objective] if math.isfinite(value) else formats.NOTHING

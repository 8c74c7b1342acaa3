"""How many replicas carry a load within the latency budget.

A load balancer that picks at random splits Poisson arrivals into Poisson arrivals (Kingman,
Poisson Processes, 1993, section 5.1): each of n replicas then meets what one replica alone was
measured with, at one n-th of the rate, and n of them carry n times its capacity. One that takes
turns, or the replica with the fewest requests, makes the arrivals at each replica more even, so
that they carry somewhat more. When replicas do not add up: docs/capacity_planning.md.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from tuner.records import Interval

# How sure it is that the stated replicas keep the budget if every one of them is as fast as the
# starts were on average: their mean is below its 95 % interval in one case of forty.
CONFIDENCE = 0.975
# What rounding of floating point may add to a quotient that is a whole number.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Reserve:
    """What is kept beside a demand.

    The highest load within a period is `peak_factor` times the demand that is stated for it;
    `headroom` is the share of each replica's capacity that stays free, below 1; `spare` replicas
    may fail.
    """

    peak_factor: float = 1.0
    headroom: float = 0.0
    spare: int = 0


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Replicas for a `demand`; `capacity` is that of one of them, both in inferences per second.

    The interval of the capacity has a low end above 0; its high end may be infinite.
    """

    demand: float
    capacity: Interval
    reserve: Reserve

    @property
    def load(self) -> float:
        """The highest one that is planned for, in inferences per second."""
        return self.reserve.peak_factor * self.demand

    @cached_property
    def counts(self) -> Interval:
        """As many as are needed if one replica has the capacity of each end of its interval."""
        return Interval(
            self._needed(self.capacity.high),
            self._needed(self.capacity.estimate),
            self._needed(self.capacity.low),
        )

    @property
    def count(self) -> int:
        """As many as the low end of the capacity needs, and the spare ones."""
        return int(self.counts.high)

    @property
    def utilisation(self) -> Interval:
        """The share of the capacity of all `count` replicas that the load takes."""
        low, estimate, high = (
            self.load / (self.count * each)
            for each in (self.capacity.high, self.capacity.estimate, self.capacity.low)
        )
        return Interval(low, estimate, high)

    def _needed(self, capacity: float) -> int:
        usable = (1 - self.reserve.headroom) * capacity
        return max(1, math.ceil(self.load / usable * (1 - _ROUNDING))) + self.reserve.spare

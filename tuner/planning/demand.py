"""What is asked of a service: one rate, or rates that change over a day."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Self

# A rate without a day is billed by the hour.
HOUR_S = 3600.0
# Per second; what is more is a slip of the pen.
HIGHEST_RATE = 1e12


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A row of a day: `rate` is asked at `at_s`, which is called `name`."""

    name: str
    at_s: float
    rate: float


@dataclass(frozen=True, kw_only=True)
class Period:
    """A part of a day, between two moments that are called `begins` and `ends`.

    What is asked between them is not known: `highest` is the higher rate of the two, which
    replicas are planned for, and `mean` lies in the middle, which is what they answer.
    """

    begins: str
    ends: str
    length_s: float
    highest: float
    mean: float


@dataclass(frozen=True)
class Demand:
    """Periods that follow one another; their rates are all per second, and of one thing."""

    periods: tuple[Period, ...]

    @classmethod
    def constant(cls, rate: float) -> Self:
        """The same rate for an hour."""
        return cls((Period(begins="", ends="", length_s=HOUR_S, highest=rate, mean=rate),))

    @classmethod
    def between(cls, moments: Sequence[Moment]) -> Self:
        """The periods between two or more moments, which rise."""
        return cls(tuple(_period(begin, end) for begin, end in pairwise(moments)))

    def __mul__(self, factor: float) -> "Demand":
        """The same periods with `factor` times the rates."""
        return Demand(
            tuple(
                replace(each, highest=factor * each.highest, mean=factor * each.mean)
                for each in self.periods
            )
        )

    @cached_property
    def highest(self) -> float:
        return max(each.highest for each in self.periods)

    @cached_property
    def length_s(self) -> float:
        return math.fsum(each.length_s for each in self.periods)

    @cached_property
    def total(self) -> float:
        """All that is asked, in requests or inferences."""
        return math.fsum(each.length_s * each.mean for each in self.periods)

    @property
    def mean(self) -> float:
        return self.total / self.length_s


def _period(begin: Moment, end: Moment) -> Period:
    return Period(
        begins=begin.name,
        ends=end.name,
        length_s=end.at_s - begin.at_s,
        highest=max(begin.rate, end.rate),
        mean=(begin.rate + end.rate) / 2,
    )

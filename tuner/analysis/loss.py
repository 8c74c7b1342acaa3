"""Whether a configuration still carries what a study says of it (pure).

The study measured the capacity of its winner on some fresh starts; a check measures it on some
more, as the study's finals did: load points as long, with the same arrivals. Both are logarithms,
so that their difference is a ratio, now over then.

How sure the ratio is, the starts themselves tell: what requests within a start leave open, and
what one start differs from the next, are both in how they scatter. The two groups are compared by
Student's t with the variance of both together (Montgomery, Design and Analysis of Experiments,
chapter 2). The errors that single measurements state are not added: they are wide (`drift`), and
would count twice.

The configuration is worse where its ratio is proved below `1 - tolerance`, and as good where it is
proved to be no less. It is looked at twice, after three rounds and, unless that was enough, at the
end: each look has half of the 5 % that a verdict may be wrong by chance (Bonferroni). So a loss as
large as the tolerance is called worse in one check of twenty at most. The tolerance is for what no
start shows: that a machine is not the same each day, and that a winner is also the luckiest of
several equals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from tuner.analysis.comparison import LEVEL, START_LOG_ERROR, Estimate
from tuner.numbers.distributions import t_quantile
from tuner.records import Interval

# It is looked at after this many rounds, and at the end.
FIRST_LOOK = 3
# Starts that happen to agree do not make a capacity surer than this (standard deviation of the
# log): it is the capacity search's own error.
_LEAST_LOG_ERROR = 0.01
# This many starts that met the latency budget under no load, or failed, are no accident.
_FAILURES = 2


class LossVerdict(StrEnum):
    """What is proved of a capacity that was measured again."""

    AS_GOOD = "as good"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Change:
    """A capacity now and then, in inferences per second, of each fresh start.

    `failures` are those of now that carried nothing within the latency budget.
    """

    then: Sequence[float]
    now: Sequence[float]
    failures: int = 0

    @property
    def fails(self) -> bool:
        """Whether it fails so often that this is no accident."""
        return self.failures >= _FAILURES

    @property
    def difference(self) -> Estimate | None:
        """The logarithm of now over then; None where one of them is not known."""
        if not self.then or not self.now:
            return None
        logs = [[math.log(each) for each in group] for group in (self.now, self.then)]
        value = fmean(logs[0]) - fmean(logs[1])
        degrees = len(self.now) + len(self.then) - 2
        share = math.sqrt(1 / len(self.now) + 1 / len(self.then))
        if degrees == 0:  # two starts do not tell how much starts scatter
            return Estimate(value, share * START_LOG_ERROR)
        squares = sum((each - fmean(group)) ** 2 for group in logs for each in group)
        deviation = max(math.sqrt(squares / degrees), _LEAST_LOG_ERROR)
        return Estimate(value, share * deviation, degrees)

    @property
    def ratio(self) -> Interval | None:
        """Now over then, with its 95 % interval."""
        found = self.difference
        if found is None:
            return None
        ends = (math.exp(found.value + side * found.margin) for side in (-1, 0, 1))
        return Interval(*ends)

    def over(self, other: "Change") -> Interval | None:
        """This ratio over another one: what has changed about the first alone."""
        own, others = self.difference, other.difference
        if own is None or others is None:
            return None
        value = own.value - others.value
        margin = math.hypot(own.margin, others.margin)
        return Interval(*(math.exp(value + side * margin) for side in (-1, 0, 1)))

    def smallest_loss(self, tolerance: float, looks: int = 1) -> float:
        """The share that would have to be lost for a proof, if starts scatter as they do here."""
        found = self.difference
        if found is None:
            return 1.0
        return -math.expm1(math.log1p(-tolerance) - _margin(found, looks))

    def verdict(self, tolerance: float, looks: int = 1) -> LossVerdict:
        """At one of so many looks, for a share that may be lost."""
        if self.fails:
            return LossVerdict.WORSE
        found = self.difference
        if found is None:
            return LossVerdict.UNDECIDED
        allowed, margin = math.log1p(-tolerance), _margin(found, looks)
        if found.value + margin < allowed:
            return LossVerdict.WORSE
        as_good = found.value - margin >= allowed and not self.failures
        return LossVerdict.AS_GOOD if as_good else LossVerdict.UNDECIDED


def looks(rounds: int) -> int:
    """How often a check of at most so many rounds is looked at."""
    return 1 if rounds <= FIRST_LOOK else 2


def _margin(difference: Estimate, looks: int) -> float:
    """One-sided, at the level of one look."""
    return t_quantile(1 - LEVEL / looks, difference.degrees) * difference.scatter

"""What the hosts of a fleet are compared with (pure)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Self

from tuner.analysis.stretches import Stretch

# It takes so many canaries to put a host aside, or another beside it: one may have been disturbed.
CANARIES_TO_PUT_ASIDE = 2


@dataclass(frozen=True)
class Centre:
    """What hosts are compared with: the median, or the first of two, which nobody outvotes.

    `variance` is in squares of a canary's error; `part` is the covariance of a host with it, as a
    share of the host's own variance. It `is_sure` if no single canary made it.
    """

    mean: float
    variance: float
    part: float
    is_sure: bool = True

    @classmethod
    def of(cls, present: Sequence[Stretch]) -> Self:
        if len(present) <= 2:
            first = present[0]
            is_sure = first.count >= CANARIES_TO_PUT_ASIDE
            return cls(first.mean, 1 / first.count, 0.0, is_sure)
        part = 1 / len(present)
        # That of a median is pi / 2 times that of the mean.
        variance = math.pi / 2 * part * fmean(1 / each.count for each in present)
        return cls(median(each.mean for each in present), variance, part)

    def variance_beside(self, host: Stretch) -> float:
        """Of the host's mean less that of the centre, in squares of a canary's error."""
        return self.variance + (1 - 2 * self.part) / host.count

"""Which differences between repeated measurements are more than chance (pure).

The values are logarithms of capacities: a difference is then a ratio, and an hour in which the
machine is slow takes the same amount off all configurations that are measured in it.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from tuner.numbers.arrays import FloatArray
from tuner.numbers.distributions import Z, t_cdf, t_quantile

# What is called sure is wrong in one case of twenty.
LEVEL = 0.05
# Fresh starts of one configuration differ more than the requests within one start tell. Where
# there are too few to see by how much, this is the standard deviation of a log capacity: on two
# shared cores it was about 5 %.
START_LOG_ERROR = 0.05


@dataclass(frozen=True)
class Start:
    """What one fresh start of a finalist showed in one round: a logarithm, with its own error."""

    finalist: int
    round: int
    value: float
    error: float


@dataclass(frozen=True)
class Estimate:
    """A value and how sure it is.

    `scatter` is its standard error as the repetitions show it, with `degrees` of freedom; `floor`
    is the one that the errors of the single measurements imply. A few repetitions that happen to
    agree do not make a value surer than that. Of a difference of two finalists, `rounds` had both.
    """

    value: float
    scatter: float
    degrees: float = math.inf
    floor: float = 0.0
    rounds: int = 0

    @property
    def margin(self) -> float:
        """Half its 95 % confidence interval."""
        return max(t_quantile(1 - LEVEL / 2, self.degrees) * self.scatter, Z * self.floor)

    @property
    def p_value(self) -> float:
        """How often chance alone brings it as far from zero, on either side."""
        return max(
            _p_value(self.value, self.scatter, self.degrees),
            _p_value(self.value, self.floor, math.inf),
        )


def mean(values: Sequence[float], errors: Sequence[float]) -> Estimate:
    """Of two or more repetitions, from how they scatter (Student's t)."""
    count = len(values)
    return Estimate(
        fmean(values), stdev(values) / math.sqrt(count), count - 1, math.hypot(*errors) / count
    )


def weighted_mean(values: Sequence[float], errors: Sequence[float]) -> Estimate:
    """Of measurements whose standard errors are known: the surer ones count for more."""
    weights = [error**-2 for error in errors]
    total = sum(weights)
    value = sum(w * v for w, v in zip(weights, values, strict=True)) / total
    return Estimate(value, 1 / math.sqrt(total))


def adjusted_means(starts: Sequence[Start]) -> dict[int, float]:
    """What each finalist shows in the average round, in the order of the finalists.

    With nothing missing that is its mean; else it is the least-squares mean, so that nobody gains
    by having missed a slow round. Nothing where rounds and finalists are not all connected.
    """
    fit = _BlockFit(starts)
    connected = fit.rank == len(fit.design[0]) - 1
    return dict(zip(_rounds(starts), fit.means.tolist(), strict=True)) if connected else {}


def differences(starts: Sequence[Start]) -> dict[tuple[int, int], Estimate]:
    """Of every pair of finalists (the smaller number first) that share a round.

    The analysis of a randomised block design: value = finalist + round + error, fitted by least
    squares, which with nothing missing gives the differences of means (Montgomery, Design and
    Analysis of Experiments, chapter 4). The variance of the errors is that of all finalists
    together: three rounds of four of them have six degrees of freedom, of a pair alone two.
    Nothing where no start is left to tell that variance.
    """
    fit = _BlockFit(starts)
    degrees = len(starts) - fit.rank
    if degrees == 0:
        return {}
    deviation = float(np.linalg.norm(fit.residuals)) / math.sqrt(degrees)
    errors = np.array([each.error for each in starts])
    rounds = _rounds(starts)
    found = {}
    for (row, a), (other, b) in itertools.combinations(enumerate(rounds), 2):
        if common := rounds[a] & rounds[b]:
            weights = fit.weights[row] - fit.weights[other]
            found[a, b] = Estimate(
                value=float(fit.means[row] - fit.means[other]),
                scatter=deviation * float(np.linalg.norm(weights)),
                degrees=degrees,
                floor=float(np.linalg.norm(weights * errors)),
                rounds=len(common),
            )
    return found


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values of a family, corrected for its size (Holm, Scand. J. Statist. 6, 1979).

    Calling those up to 0.05 proved is wrong anywhere in the family in one case of twenty.
    """
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def _p_value(value: float, error: float, degrees: float) -> float:
    if value == 0:
        return 1.0
    return 2 * t_cdf(-abs(value) / error, degrees) if error > 0 else 0.0


class _BlockFit:
    """Least squares of value = finalist + round: `weights` of the starts in each one's mean."""

    def __init__(self, starts: Sequence[Start]) -> None:
        values = np.array([each.value for each in starts])
        finalists = _indicators([each.finalist for each in starts])
        rounds = _indicators([each.round for each in starts])
        self.design = np.hstack([finalists, rounds])
        self.rank = int(np.linalg.matrix_rank(self.design))
        effects = np.linalg.pinv(self.design)
        count = finalists.shape[1]
        self.weights = effects[:count] + effects[count:].mean(axis=0)
        self.means = self.weights @ values
        self.residuals = values - self.design @ (effects @ values)


def _indicators(labels: Sequence[int]) -> FloatArray:
    """One column for each label: 1 where a start has it."""
    return np.equal.outer(labels, np.unique(labels)).astype(np.float64)


def _rounds(starts: Sequence[Start]) -> dict[int, set[int]]:
    """The rounds that each finalist was in, in the order of the finalists."""
    found = defaultdict(set)
    for start in sorted(starts, key=lambda each: each.finalist):
        found[start.finalist].add(start.round)
    return found

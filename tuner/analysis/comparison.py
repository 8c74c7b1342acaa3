"""Which differences between repeated measurements are more than chance (pure).

The values are logarithms of capacities: a difference is then a ratio, and an hour in which the
machine is slow takes the same amount off all configurations that are measured in it.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

# What is called sure is wrong in one case of twenty.
LEVEL = 0.05
Z = NormalDist().inv_cdf(1 - LEVEL / 2)
_PRECISION = 1e-14
_MOST_TERMS = 10_000


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
    agree do not make a value surer than that.
    """

    value: float
    scatter: float
    degrees: float = math.inf
    floor: float = 0.0

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


@dataclass(frozen=True, kw_only=True)
class Difference(Estimate):
    """The logarithm of one finalist minus that of another; `rounds` had both of them."""

    rounds: int = 0


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
    fit = _Fit(starts)
    connected = fit.rank == len(fit.design[0]) - 1
    return dict(zip(_rounds(starts), fit.means.tolist(), strict=True)) if connected else {}


def differences(starts: Sequence[Start]) -> dict[tuple[int, int], Difference]:
    """Every pair of finalists (the smaller number first) that share a round.

    The analysis of a randomised block design: value = finalist + round + error, fitted by least
    squares, which with nothing missing gives the differences of means (Montgomery, Design and
    Analysis of Experiments, chapter 4). The variance of the errors is that of all finalists
    together: three rounds of four of them have six degrees of freedom, of a pair alone two.
    Nothing where no start is left to tell that variance.
    """
    fit = _Fit(starts)
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
            found[a, b] = Difference(
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


def t_cdf(t: float, degrees: float) -> float:
    """Student's t distribution, the normal one with infinite `degrees` of freedom.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1.
    """
    if math.isinf(degrees):
        return math.erfc(-t / math.sqrt(2)) / 2
    tail = incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t)) / 2
    return tail if t < 0 else 1 - tail


@lru_cache(maxsize=256)
def t_quantile(share: float, degrees: float) -> float:
    """What Student's t stays below with the probability `share`, between 0 and 1."""
    if share < 0.5:
        return -t_quantile(1 - share, degrees)
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < share:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, degrees) < share else (low, middle)
    return high


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for `x` from 0 to 1.

    By its continued fraction (Abramowitz and Stegun, 26.5.8), from the side on which that
    converges fast (Press et al., Numerical Recipes, 6.4).
    """
    if x <= 0 or x >= 1:
        return float(x > 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """The denominator 1 + d1 / (1 + d2 / (1 + ...)) of 26.5.8, by Lentz's method."""
    value = ahead = 1.0
    behind = 0.0
    for number in range(1, _MOST_TERMS):
        m = number // 2
        if number % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        behind = 1 / (1 + term * behind)
        ahead = 1 + term / ahead
        value *= ahead * behind
        if abs(ahead * behind - 1) < _PRECISION:
            break
    return value


def _p_value(value: float, error: float, degrees: float) -> float:
    if value == 0:
        return 1.0
    return 2 * t_cdf(-abs(value) / error, degrees) if error > 0 else 0.0


class _Fit:
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


def _indicators(labels: Sequence[int]) -> NDArray[np.float64]:
    """One column for each label: 1 where a start has it."""
    return np.equal.outer(labels, np.unique(labels)).astype(np.float64)


def _rounds(starts: Sequence[Start]) -> dict[int, set[int]]:
    """The rounds that each finalist was in, in the order of the finalists."""
    found = defaultdict(set)
    for start in sorted(starts, key=lambda each: each.finalist):
        found[start.finalist].add(start.round)
    return found

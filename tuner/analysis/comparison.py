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
    """What one fresh start of a finalist showed in one round: a logarithm, with its own error.

    In a fleet `host` measured it, and its factor is taken off `value`: what is uncertain of that,
    `host_error`, is shared by all starts of the host.
    """

    finalist: int
    round: int
    value: float
    error: float
    host: str = ""
    host_error: float = 0.0


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


def mean(values: Sequence[float], errors: Sequence[float], shared: float = 0.0) -> Estimate:
    """Of two or more repetitions, from how they scatter (Student's t).

    `shared` is an error of the mean that the single `errors` do not have.
    """
    count = len(values)
    floor = math.hypot(math.hypot(*errors) / count, shared)
    return Estimate(fmean(values), stdev(values) / math.sqrt(count), count - 1, floor)


def weighted_mean(
    values: Sequence[float], errors: Sequence[float], shared: float = 0.0
) -> Estimate:
    """Of measurements whose standard errors are known: the surer ones count for more."""
    weights = [error**-2 for error in errors]
    total = sum(weights)
    value = sum(w * v for w, v in zip(weights, values, strict=True)) / total
    return Estimate(value, math.hypot(1 / math.sqrt(total), shared))


def adjusted_means(starts: Sequence[Start]) -> dict[int, float]:
    """What each finalist shows in the average round, in the order of the finalists.

    With nothing missing that is its mean; else it is the least-squares mean, so that nobody gains
    by having missed a slow round. Nothing where rounds and finalists are not all connected.
    """
    fit = _fit(starts)
    return dict(zip(_rounds(starts), fit.means.tolist(), strict=True)) if fit.connected else {}


def differences(starts: Sequence[Start]) -> dict[tuple[int, int], Estimate]:
    """Of every pair of finalists (the smaller number first) that share a round.

    The analysis of a randomised block design: value = finalist + round + error, fitted by least
    squares, which with nothing missing gives the differences of means (Montgomery, Design and
    Analysis of Experiments, chapter 4). The variance of the errors is that of all finalists
    together: three rounds of four of them have six degrees of freedom, of a pair alone two.
    Nothing where no start is left to tell that variance.

    In a fleet the blocks are the hosts, not the rounds, which all hosts run at once.
    """
    fit = _fit(starts)
    degrees = len(starts) - fit.rank
    if degrees == 0:
        return {}
    deviation = float(np.linalg.norm(fit.residuals)) / math.sqrt(degrees)
    rounds = _rounds(starts)
    found = {}
    for (row, a), (other, b) in itertools.combinations(enumerate(rounds), 2):
        if common := rounds[a] & rounds[b]:
            found[a, b] = Estimate(
                value=float(fit.means[row] - fit.means[other]),
                scatter=deviation * float(np.linalg.norm(fit.weights[row] - fit.weights[other])),
                degrees=degrees,
                floor=float(np.linalg.norm(fit.errors[row] - fit.errors[other])),
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


@dataclass(frozen=True)
class _Fit:
    """Least squares, a row for each finalist.

    `means` are what they show in the average block. The norm of a difference of two rows is the
    error of the difference of their means: in `weights` as a multiple of the deviation of one
    start, in `errors` as the starts' own errors imply. `connected` is whether all can be compared.
    """

    means: FloatArray
    weights: FloatArray
    errors: FloatArray
    residuals: FloatArray
    rank: int
    connected: bool


def _fit(starts: Sequence[Start]) -> _Fit:
    hosts = {each.host for each in starts}
    return _over_hosts(starts) if len(hosts) > 1 else _over_rounds(starts)


def _over_rounds(starts: Sequence[Start]) -> _Fit:
    """Value = finalist + round: rounds may differ by any amount."""
    values = np.array([each.value for each in starts])
    finalists = _indicators([each.finalist for each in starts])
    rounds = _indicators([each.round for each in starts])
    design = np.hstack([finalists, rounds])
    rank = int(np.linalg.matrix_rank(design))
    effects = np.linalg.pinv(design)
    count = finalists.shape[1]
    weights = effects[:count] + effects[count:].mean(axis=0)
    return _Fit(
        means=weights @ values,
        weights=weights,
        errors=weights * np.array([each.error for each in starts]),
        residuals=values - design @ (effects @ values),
        rank=rank,
        connected=rank == design.shape[1] - 1,
    )


def _over_hosts(starts: Sequence[Start]) -> _Fit:
    """Value = finalist + host: hosts differ by what is uncertain of their factors, and no more.

    Their effects are random, of known variance beside that of a start. So finalists that share no
    host are compared by the factors, and those that share one mostly by what it measured of both:
    the recovery of inter-block information (Yates, Annals of Eugenics 10, 1940). Generalised least
    squares: all is divided by a root of the covariance.
    """
    values = np.array([each.value for each in starts])
    finalists = _indicators([each.finalist for each in starts])
    own = np.array([each.error for each in starts])
    of_hosts = _indicators([each.host for each in starts])
    of_hosts *= np.array([each.host_error for each in starts])[:, None]
    of_start = START_LOG_ERROR**2 + float(np.mean(own**2))
    covariance = np.eye(len(starts)) + of_hosts @ of_hosts.T / of_start
    root = np.linalg.inv(np.linalg.cholesky(covariance))
    weights = np.linalg.pinv(root @ finalists)
    of_values = weights @ root
    means = of_values @ values
    return _Fit(
        means=means,
        weights=weights,
        errors=np.hstack([of_values * own, of_values @ of_hosts]),
        residuals=root @ (values - finalists @ means),
        rank=finalists.shape[1],
        connected=True,
    )


def _indicators(labels: Sequence[int | str]) -> FloatArray:
    """One column for each label: 1 where a start has it."""
    return np.equal.outer(labels, np.unique(labels)).astype(np.float64)


def _rounds(starts: Sequence[Start]) -> dict[int, set[int]]:
    """The rounds that each finalist was in, in the order of the finalists."""
    found = defaultdict(set)
    for start in sorted(starts, key=lambda each: each.finalist):
        found[start.finalist].add(start.round)
    return found

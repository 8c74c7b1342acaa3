"""Where a latency percentile crosses its limit, from a few noisy load points.

The percentile grows with the load as a + b rho / (1 - rho), with rho the load over what the server
carries at most (exact for M/M/1; measurement of batching and parallel servers is fitted well near
the root, which is all that is needed). What is unknown is written as the root itself, the load at
which the percentile is the limit, and the headroom above it. Both are few, so their posterior is
computed on a grid: no load point is thrown away, noise widens the answer, and "can it still beat
the best one?" is a probability.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tuner.numbers.arrays import FloatArray

# The grid: roots as shares of the saturation throughput,
_ROOT_SHARES = np.geomspace(0.005, 1.4, 700)
# and headrooms above the root, as shares of it;
_HEADROOMS = np.geomspace(0.004, 30.0, 36)
# most likely around this one, with this standard deviation of its logarithm.
_USUAL_HEADROOM = 0.3
_HEADROOM_LOG_ERROR = 1.2
# The standard deviation of the log of the most that an open loop gets through, around what the
# closed loop got.
_SATURATION_LOG_ERROR = 0.15
# Where limits are for parts of answers that says less: with all slots taken, the time between
# tokens is longest, and no longer however many wait.
_LOOSE_LOG_ERROR = 1.0
# The error of a log latency beside that which is known of it: noise of the machine and the model's
# own. Which of these it is, the points themselves say; how often it was before they do:
_LOG_ERRORS = np.array([0.03, 0.06, 0.12, 0.24])
_USUALLY = np.array([0.1, 0.3, 0.3, 0.3])
# It grows by this share of the distance from the root (log of the load),
_ERROR_GROWTH = 0.3
# but by no more than this.
_LARGEST_GROWTH = 0.4
# Latencies below this (log of percentile over limit) say no more than "far below",
_FAR_BELOW = -3.0
# those beyond this no more than "far above".
_FAR_ABOVE = 1.5
# Student's t with few degrees of freedom: a point that the machine spoiled must not rule.
_DEGREES = 4.0
# The share of the limit that is there without a queue, where one request alone takes longer.
_UNKNOWN_FLOOR = 0.5
# The least standard error of a log rate to compare with: a distribution needs one.
_LEAST_LOG_ERROR = 1e-6


@dataclass(frozen=True)
class Observation:
    """A load in requests per second, the percentile there, and the error of its logarithm."""

    rate: float
    latency_s: float
    log_error: float


@dataclass(frozen=True)
class Root:
    """What is known of the load at the limit: its logarithm's distribution on a grid."""

    log_rates: FloatArray
    weights: FloatArray

    @property
    def rate(self) -> float:
        """Requests per second: as likely too high as too low."""
        return self.quantile(0.5)

    @property
    def log_error(self) -> float:
        """The root mean square of its logarithm's distance from that of `rate`."""
        return math.sqrt(float(self.weights @ (self.log_rates - math.log(self.rate)) ** 2))

    def probability_above(self, rate: float, log_error: float = 0.0) -> float:
        """That the root is beyond `rate`, of whose logarithm the standard error is known."""
        if rate <= 0:
            return 1.0
        known = NormalDist(math.log(rate), max(log_error, _LEAST_LOG_ERROR))
        return float(self.weights @ [known.cdf(each) for each in self.log_rates])

    def quantile(self, share: float) -> float:
        """The rate that the root is below with probability `share`."""
        below = np.cumsum(self.weights) - self.weights / 2
        return math.exp(float(np.interp(share, below, self.log_rates)))


def root(
    observations: Sequence[Observation],
    *,
    limit_s: float,
    unloaded_s: float,
    saturation: float,
    of_parts: bool = False,
) -> Root:
    """The load at which the percentile is `limit_s`, given what was observed.

    `unloaded_s` is the percentile without load, `saturation` the requests per second of a closed
    loop that keeps the server full; with `of_parts` the limit is for parts of answers.
    """
    saturation_log_error = _LOOSE_LOG_ERROR if of_parts else _SATURATION_LOG_ERROR
    shares = _ROOT_SHARES[:, None, None]
    roots, headrooms = saturation * shares, _HEADROOMS[:, None]
    usual = np.log(headrooms / _USUAL_HEADROOM) / _HEADROOM_LOG_ERROR
    log_likelihood = np.log(_USUALLY) - _squared(usual)
    saturated = np.log(shares * (1 + headrooms)) / saturation_log_error
    log_likelihood = log_likelihood - _squared(saturated)
    floor = unloaded_s / limit_s if unloaded_s < limit_s else _UNKNOWN_FLOOR
    for each in observations:
        rho = each.rate / roots / (1 + headrooms)
        queue = headrooms * rho / np.maximum(1 - rho, 1e-9)
        predicted = np.where(rho < 1, np.log(floor + (1 - floor) * queue), _FAR_ABOVE)
        seen = math.log(max(each.latency_s, 1e-9) / limit_s)
        off = np.clip(predicted, _FAR_BELOW, _FAR_ABOVE) - np.clip(seen, _FAR_BELOW, _FAR_ABOVE)
        away = np.minimum(_ERROR_GROWTH * np.abs(np.log(each.rate / roots)), _LARGEST_GROWTH)
        error = np.hypot(each.log_error, _LOG_ERRORS + away)
        log_likelihood = log_likelihood - np.log(error) - _squared(off / error)
    weights = np.exp(log_likelihood - log_likelihood.max()).sum(axis=(1, 2))
    return Root(np.log(roots[:, 0, 0]), weights / weights.sum())


def _squared(deviation: FloatArray) -> FloatArray:
    """Minus the logarithm of Student's t density, but for a constant."""
    return np.asarray((_DEGREES + 1) / 2 * np.log1p(deviation**2 / _DEGREES))

"""When the requests of an open loop are due: pure functions of the profile and its seed."""

import numpy as np
from numpy.typing import NDArray

from tuner.load.profile import Arrivals, OpenLoop


def schedule(profile: OpenLoop, duration_s: float) -> NDArray[np.float64]:
    """Due times in seconds from the start, ascending, within `duration_s`; at least one.

    The number of requests is `rate * duration_s` exactly (rounded), for Poisson arrivals too:
    these are a Poisson process conditioned on its count, so that the offered rate is the rate
    that was asked for and does not scatter by `1 / sqrt(n)` from run to run. Given the count, the
    arrivals are uniform order statistics, made from exponential gaps (Devroye, Non-Uniform Random
    Variate Generation, 1986, V.2) of one seeded stream: a longer run or a higher rate continues
    the same gaps.
    """
    count = max(1, round(profile.rate * duration_s))
    match profile.arrivals:
        case Arrivals.CONSTANT:
            return np.arange(count, dtype=np.float64) / profile.rate
        case Arrivals.POISSON:
            gaps = np.random.default_rng(profile.seed).standard_exponential(count + 1)
            times = np.cumsum(gaps)
            return np.asarray(times[:-1] * (duration_s / times[-1]), dtype=np.float64)

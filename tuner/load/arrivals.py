"""When the requests of an open loop are due: pure functions of the profile and its seed."""

import math

import numpy as np
from numpy.typing import NDArray

from tuner.load.profile import Arrivals, OpenLoop, Ramp, Replay

FloatArray = NDArray[np.float64]


def schedule(profile: OpenLoop | Ramp | Replay, duration_s: float) -> FloatArray:
    """Due times in seconds from the start, ascending, within `duration_s`; at least one."""
    match profile:
        case OpenLoop():
            return _at_rate(profile, duration_s)
        case Ramp():
            return _ramp(profile)
        case Replay():
            return _replay(profile.intervals_s, duration_s)


def _at_rate(profile: OpenLoop, duration_s: float) -> FloatArray:
    """`rate * duration_s` requests exactly (rounded), for Poisson arrivals too.

    These are a Poisson process conditioned on its count, so that the offered rate is the rate
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


def _ramp(profile: Ramp) -> FloatArray:
    """Each step has arrivals of its own, as an open loop of that rate would have them."""
    steps = [
        number * profile.step_s
        + _at_rate(OpenLoop(rate, profile.arrivals, profile.seed + number), profile.step_s)
        for number, rate in enumerate(profile.rates)
    ]
    return np.concatenate(steps)


def _replay(intervals_s: tuple[float, ...], duration_s: float) -> FloatArray:
    """The first request is due after the first interval, as in perf_analyzer's files."""
    rounds = math.ceil(duration_s / sum(intervals_s)) + 1
    times = np.cumsum(np.tile(np.array(intervals_s), rounds))
    return np.asarray(times[: max(1, int(np.searchsorted(times, duration_s)))])

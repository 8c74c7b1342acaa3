"""Statistics of correlated latencies: warm-up, percentile intervals, throughput intervals.

Requests near saturation are far from independent: a burst makes a whole run of them late. So
variances come from blocks of time, never from single requests.
"""

import math

import numpy as np

from tuner.load.measurement import Measurement
from tuner.numbers.arrays import FloatArray
from tuner.numbers.distributions import t_quantile
from tuner.records import Interval

# A measurement is cut into this many blocks of equal time.
_BLOCKS = 20
# Student's t of a two-sided 95 % interval over the blocks.
_T_BLOCKS = t_quantile(0.975, _BLOCKS - 1)
# Latencies in one mean of MSER-5; the method's name has the number.
_MSER_BATCH = 5
# A series of fewer latencies than this is called warm-up as a whole.
FEWEST_FOR_WARM_UP = 2 * _MSER_BATCH * _MSER_BATCH
# Medians of both halves of a series that differ by less than this share are level.
_LEVEL_SHARE = 0.05
# A sum of squares below this share of its terms is rounding.
_SQUARES_ROUNDING = 1e-10
# A first-order autocorrelation beyond this would make intervals of anything.
_LARGEST_CORRELATION = 0.9


def mser5(latencies_s: FloatArray) -> float:
    """The share of a series, from its start, that is warm-up: 0 to 1.

    MSER-5 (Spratt 1998; White 1997): means of five, cut where the squared standard error of what
    remains is least. A cut beyond one half means that the series is not warm yet. Series of less
    than ten means are called warm-up as a whole. A failure counts as twice the worst latency.
    """
    count = len(latencies_s) // _MSER_BATCH
    answered = np.isfinite(latencies_s)
    if count < 2 * _MSER_BATCH or not answered.any():
        return 1.0
    series = np.where(answered, latencies_s, 2 * latencies_s[answered].max())
    means = series[: count * _MSER_BATCH].reshape(count, _MSER_BATCH).mean(axis=1)
    left = np.arange(count, 0, -1)
    sums = np.cumsum(means[::-1])[::-1]
    squares = np.cumsum((means**2)[::-1])[::-1]
    spread = squares - sums**2 / left
    spread[spread < _SQUARES_ROUNDING * squares] = 0.0
    # The last means are left out: an error over a handful of values is close to nothing.
    errors = (spread / left**2)[:-_MSER_BATCH]
    return int(np.argmin(errors)) / count


def warm_up_share(latencies_s: FloatArray) -> float:
    """The share of a series that is warm-up, beyond one half if it is not warm yet.

    That of `mser5`, unless the series is level all the same: MSER follows means, and a few
    stragglers from elsewhere on the machine make it cut late where nothing warms up any more.
    Level means that the medians of both halves differ by less than 5 %.
    """
    share = mser5(latencies_s)
    half = len(latencies_s) // 2
    if share <= 1 / 2 or half < 2 * _MSER_BATCH:
        return share
    first, second = float(np.median(latencies_s[:half])), float(np.median(latencies_s[half:]))
    return 0.0 if abs(first - second) < _LEVEL_SHARE * second else share


def percentile_interval(measurement: Measurement, q: float, *, t: float = _T_BLOCKS) -> Interval:
    """The latency percentile with its interval, in seconds; infinite where requests failed.

    `t` is the quantile of Student's t with 19 degrees of freedom that gives the confidence.

    The empirical percentile's exceedances are counted in 20 blocks of equal time; the variance of
    these counts, widened by their first autocorrelation and never below the binomial variance,
    gives the ranks of the order statistics that bound the percentile (design-effect-adjusted
    order statistics; the interval of a quantile by ranks is Le Boudec, Performance Evaluation,
    2010, section 2.2).
    """
    ordered = measurement.sorted_latencies_s
    count = len(ordered)
    if count == 0:
        return Interval(math.inf, math.inf, math.inf)
    estimate = measurement.percentile(q)
    share = q / 100
    blocks = np.minimum(
        (measurement.due_s / measurement.duration_s * _BLOCKS).astype(np.int64), _BLOCKS - 1
    )
    over = np.bincount(blocks[measurement.latencies_s > estimate], minlength=_BLOCKS)
    excess = over - (1 - share) * np.bincount(blocks, minlength=_BLOCKS)
    binomial = math.sqrt(count * share * (1 - share))
    deviation = max(binomial, math.sqrt(_BLOCKS * excess.var(ddof=1) * _autocorrelation(excess)))
    low = math.floor(count * share - t * deviation)
    high = math.ceil(count * share + t * deviation)
    return Interval(
        low=float(ordered[low - 1]) if low >= 1 else 0.0,
        estimate=estimate,
        high=float(ordered[high - 1]) if high <= count else math.inf,
    )


def throughput_interval(measurement: Measurement) -> Interval:
    """The throughput with its interval, from the answers in 20 blocks of equal time."""
    done = measurement.due_s + measurement.answer_times_s
    answered = done[np.isfinite(done) & (done <= measurement.duration_s)]
    counts, _ = np.histogram(answered, bins=_BLOCKS, range=(0.0, measurement.duration_s))
    inferences = measurement.inferences_per_request * measurement.sample_stride
    rates = counts * (_BLOCKS / measurement.duration_s * inferences)
    error = math.sqrt(rates.var(ddof=1) * _autocorrelation(rates) / _BLOCKS)
    estimate = measurement.throughput
    return Interval(estimate - _T_BLOCKS * error, estimate, estimate + _T_BLOCKS * error)


def _autocorrelation(blocks: FloatArray) -> float:
    """By what factor neighbouring blocks that resemble each other raise the variance; >= 1.

    That of a first-order autoregression, (1 + r) / (1 - r). Over so few blocks r comes out too
    low by (1 + 4 r) / n (Marriott and Pope, Biometrika 41, 1954).
    """
    centred = blocks - blocks.mean()
    variance = float((centred**2).sum())
    if variance == 0:
        return 1.0
    found = float((centred[:-1] * centred[1:]).sum()) / variance
    correlation = min(found + (1 + 4 * found) / len(blocks), _LARGEST_CORRELATION)
    return (1 + correlation) / (1 - correlation) if found > 0 else 1.0

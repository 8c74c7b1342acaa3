"""Arrivals as bursty as they are in the long run, for load points that are short.

A high percentile follows the bursts of the arrivals, and a short stretch of them has more or fewer
than a long one by luck, mostly fewer. So of several random streams that one is taken under which
queues that can be computed in a moment, one server with constant service times at three loads,
have percentiles nearest to those of the long run. Where the latency is that of tokens, which all
answers under way share, it follows their number instead: that of a server that is never full. What
is left is the scatter of the server itself. The proof of a load takes the arrivals as they come.
"""

import math
from functools import lru_cache

import numpy as np

from tuner.load.arrivals import schedule
from tuner.load.profile import OpenLoop
from tuner.numbers.arrays import FloatArray

# The streams to choose from.
_STREAMS = 16
# The loads of the queues.
_LOADS = (0.7, 0.85, 0.93)
# This many requests are the long run,
_LONG_RUN = 1_000_000
# and this many are like it by themselves.
_LONG = 30_000


@lru_cache(maxsize=1024)
def typical_seed(seed: int, requests: int, percentile: float, under_way: float = 0.0) -> int:
    """The seed of an open loop whose first `requests` arrivals are typical, for `percentile`.

    With `under_way`, for the number of answers under way, which that many are on average.
    One `seed` (0 or more) always gives the same one; others choose among other streams.
    """
    first = _STREAMS * seed
    if requests > _LONG:
        return first
    truth = _long_run(percentile, under_way)
    return min(
        range(first, first + _STREAMS),
        key=lambda each: float(
            np.abs(_burstiness(each, requests, percentile, under_way) - truth).sum()
        ),
    )


@lru_cache
def _long_run(percentile: float, under_way: float) -> FloatArray:
    return _burstiness(0, _LONG_RUN, percentile, under_way)


def _burstiness(seed: int, requests: int, percentile: float, under_way: float) -> FloatArray:
    if not under_way:
        return _queues(seed, requests, percentile)
    due_s = schedule(OpenLoop(1.0, seed=seed), requests)
    begun = np.searchsorted(due_s, due_s - under_way)
    seen = np.arange(1, requests + 1) - begun
    high: FloatArray = np.percentile(seen, [percentile, (100 + percentile) / 2])
    return high / under_way


def _queues(seed: int, requests: int, percentile: float) -> FloatArray:
    """The logarithm of the percentile of the time in each queue, in service times."""
    due_s = schedule(OpenLoop(1.0, seed=seed), requests)
    return np.array([math.log(_time_s(due_s, load, percentile) / load) for load in _LOADS])


def _time_s(due_s: FloatArray, service_s: float, percentile: float) -> float:
    """Waiting and service, by Lindley's recursion, unrolled."""
    ends = np.cumsum(np.full(len(due_s), service_s))
    spent_s = ends + np.maximum.accumulate(due_s - (ends - service_s)) - due_s
    return float(np.percentile(spent_s, percentile))

"""When the requests of an open loop are due: pure functions of the profile and its seed.

Schedules come in blocks, so that a long run takes no more memory than a short one.
"""

from collections.abc import Iterator
from itertools import chain, repeat

import numpy as np

from tuner.load.histogram import FloatArray
from tuner.load.profile import Arrivals, OpenLoop, Ramp, Replay, Share

# Requests in a block. Making it takes the event loop some 50 us: that must not be seen as lag.
_BLOCK = 4096


def schedule(profile: OpenLoop | Ramp | Replay, duration_s: float) -> FloatArray:
    """Due times in seconds from the start, ascending, within `duration_s`; at least one."""
    return np.concatenate(list(blocks(profile, duration_s)))


def blocks(profile: OpenLoop | Ramp | Replay, duration_s: float) -> Iterator[FloatArray]:
    """The same, block by block; none of them is empty."""
    match profile:
        case OpenLoop():
            return _at_rate(profile, duration_s)
        case Ramp():
            return _ramp(profile)
        case Replay():
            return _replay(profile.intervals_s, duration_s)


def part_of(
    schedule_blocks: Iterator[FloatArray], share: Share, most: int | None
) -> Iterator[FloatArray]:
    """Every `share.of`-th due time of the first `most`, from the `share.index`-th on."""
    passed = 0
    for block in schedule_blocks:
        taken = block if most is None else block[: most - passed]
        own = taken[(share.index - passed) % share.of :: share.of]
        passed += len(taken)
        if len(own):
            yield own
        if passed == most:
            return


def _at_rate(profile: OpenLoop, duration_s: float) -> Iterator[FloatArray]:
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
            for first in range(0, count, _BLOCK):
                yield np.arange(first, min(first + _BLOCK, count)) / profile.rate
        case Arrivals.POISSON:
            # The gaps are drawn twice: how long all of them are together must be known first.
            *_, last = _sums(profile.seed, count + 1)
            scale = duration_s / last[-1]
            for times in _sums(profile.seed, count):
                yield times * scale


def _sums(seed: int, count: int) -> Iterator[FloatArray]:
    """The running sums of `count` exponential gaps."""
    random, total = np.random.default_rng(seed), 0.0
    for first in range(0, count, _BLOCK):
        sums = total + np.cumsum(random.standard_exponential(min(_BLOCK, count - first)))
        total = sums[-1]
        yield sums


def _ramp(profile: Ramp) -> Iterator[FloatArray]:
    """Each step has arrivals of its own, as an open loop of that rate would have them."""
    for number, rate in enumerate(profile.rates):
        step = OpenLoop(rate, profile.arrivals, profile.seed + number)
        for times in _at_rate(step, profile.step_s):
            yield number * profile.step_s + times


def _replay(intervals_s: tuple[float, ...], duration_s: float) -> Iterator[FloatArray]:
    """The first request is due after the first interval, as in perf_analyzer's files."""
    intervals = np.tile(np.array(intervals_s), -(-_BLOCK // len(intervals_s)))
    cuts = [intervals[at : at + _BLOCK] for at in range(0, len(intervals), _BLOCK)]
    begin_s = 0.0
    for number, cut in enumerate(chain.from_iterable(repeat(cuts))):
        times = begin_s + np.cumsum(cut)
        within = int(np.searchsorted(times, duration_s))
        if within or not number:
            yield times[: max(1, within)]
        if within < len(times):
            return
        begin_s = times[-1]

"""perf_analyzer's verdict on one load, and its search for the highest load under a threshold.

Re-implemented from its documentation and its source (`inference_profiler.cc` and
`inference_profiler.h` of triton-inference-server/perf_analyzer, 2025-12) for requests that arrive
at a given rate:

    perf_analyzer --request-rate-range START:END:STEP --binary-search
                  --percentile P --latency-threshold MS

Pure: it judges requests that were sent and answered, wherever they come from.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from tuner.numbers.arrays import FloatArray
from tuner.sweep.stability import CONSECUTIVE, Stability, Window

# A window lasts this many times the measurement interval.
_STRETCH = 1.2


class Verdict(StrEnum):
    """What perf_analyzer says of a load; it reports nothing of one that is unstable."""

    WITHIN = "within"
    OVER = "over"
    UNSTABLE = "unstable"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Its options, with its own defaults; it knows whole percentiles and milliseconds only.

    With `asynchronous` calls, a load is stable as soon as its throughput is: of the latency there
    is a warning.
    """

    percentile: int
    threshold_s: float
    interval_s: float = 5.0
    tolerance: float = 0.10
    most: int = 10
    asynchronous: bool = False

    @property
    def window_s(self) -> float:
        return _STRETCH * self.interval_s

    @property
    def longest_s(self) -> float:
        """What one load takes at most."""
        return self.most * self.window_s


@dataclass(frozen=True)
class Judgement:
    """Verdict on a load, the percentile it rests on (NaN if unstable), and how long it took."""

    verdict: Verdict
    latency_s: float
    spent_s: float


@dataclass(frozen=True)
class Found:
    """The highest load that was within, None if there was none; and what all of it took."""

    load: float | None
    spent_s: float


def judge(rule: Rule, sent_s: FloatArray, done_s: FloatArray) -> Judgement:
    """What perf_analyzer says of requests sent at `sent_s` and answered at `done_s`.

    The load must have lasted for `rule.longest_s`. Windows follow one another until the last three
    are stable, or one of them is not under the threshold, or there were `rule.most`; the verdict
    rests on the requests of the last three together.
    """
    windows = _windows(rule, sent_s, done_s)
    stability = Stability((), rule.tolerance)
    for latencies_s in windows:
        window = Window(len(latencies_s) / rule.window_s, _percentile(latencies_s, rule))
        stability = Stability((*stability.windows, window), rule.tolerance)
        if stability.stable or _crosses(rule, stability):
            break
    count = len(stability.windows)
    spent_s = count * rule.window_s
    if not _is_stable(rule, stability):
        return Judgement(Verdict.UNSTABLE, math.nan, spent_s)
    latency_s = _percentile(np.concatenate(windows[count - CONSECUTIVE : count]), rule)
    within = latency_s < rule.threshold_s
    return Judgement(Verdict.WITHIN if within else Verdict.OVER, latency_s, spent_s)


def highest_load(
    judge_load: Callable[[float], Judgement], start: float, end: float, step: float
) -> Found:
    """The search `start:end:step --binary-search`; what is unstable counts as too high.

    There is no answer where `start` is not within.
    """
    spent_s = 0.0

    def is_within(load: float) -> bool:
        nonlocal spent_s
        judgement = judge_load(load)
        spent_s += judgement.spent_s
        return judgement.verdict is Verdict.WITHIN

    if not is_within(start):
        return Found(None, spent_s)
    if is_within(end):
        return Found(end, spent_s)
    while end - start > step:
        middle = (start + end) / 2
        start, end = (middle, end) if is_within(middle) else (start, middle)
    return Found(start, spent_s)


def _windows(rule: Rule, sent_s: FloatArray, done_s: FloatArray) -> list[FloatArray]:
    """Latencies by window: a request belongs to the one in which it ends."""
    order = np.argsort(done_s, kind="stable")
    latencies_s = (done_s - sent_s)[order]
    edges_s = rule.window_s * np.arange(rule.most + 1)
    edges = np.searchsorted(done_s[order], edges_s)
    return [latencies_s[first:last] for first, last in pairwise(edges)]


def _percentile(latencies_s: FloatArray, rule: Rule) -> float:
    """Of ascending latencies, the one at p (n - 1), rounded; infinite if there are none."""
    if not len(latencies_s):
        return math.inf
    position = int(rule.percentile / 100 * (len(latencies_s) - 1) + 0.5)
    return float(np.partition(latencies_s, position)[position])


def _crosses(rule: Rule, stability: Stability) -> bool:
    last = stability.windows[-CONSECUTIVE:]
    over = any(window.latency_s >= rule.threshold_s for window in last)
    return over and len(last) == CONSECUTIVE


def _is_stable(rule: Rule, stability: Stability) -> bool:
    if rule.asynchronous:
        return stability.throughput_ratio <= 1 + rule.tolerance
    return stability.stable

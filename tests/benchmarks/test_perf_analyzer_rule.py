"""perf_analyzer's rule, as its documentation and its source describe it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.perf_analyzer_rule import (
    Found,
    Judgement,
    Rule,
    Verdict,
    highest_load,
    judge,
)
from tuner.numbers.arrays import FloatArray

RULE = Rule(percentile=95, threshold_s=0.05)
WINDOW_S = 6.0


def answered(*windows: tuple[int, float]) -> tuple[FloatArray, FloatArray]:
    """Requests that end in each window: their number, and the latency of all of them.

    The last one is repeated until there are ten.
    """
    counts, latencies_s = zip(*windows, *[windows[-1]] * (10 - len(windows)), strict=True)
    done_s = np.concatenate(
        [
            WINDOW_S * (number + (np.arange(count) + 0.5) / count)
            for number, count in enumerate(counts)
        ]
    )
    return done_s - np.repeat(latencies_s, counts), done_s


ASYNCHRONOUS = replace(RULE, asynchronous=True)
WAVERING = [(600, 0.02), (600, 0.03)]
BULK = [(900, 0.049), (900, 0.049), (840, 0.051)]
# Windows, the rule, and what is said: the verdict, how long it took, the latency.
LOADS: dict[str, tuple[list[tuple[int, float]], Rule, tuple[Verdict, float, float]]] = {
    # Each lasts 1.2 times the measurement interval of 5 s: 18 s for a load at least.
    "three that agree are enough": ([(600, 0.02)], RULE, (Verdict.WITHIN, 18.0, 0.02)),
    # More of them while throughput or latency varies by more than 10 %.
    "another throughput": ([(100, 0.02), (600, 0.02)], RULE, (Verdict.WITHIN, 24.0, 0.02)),
    "other latencies": (
        [(600, 0.04), (600, 0.03), (600, 0.02)],
        RULE,
        (Verdict.WITHIN, 30.0, 0.02),
    ),
    # Exactly 10 % is stable, and beyond it nothing is said of the load after ten windows.
    "10 percent": ([(600, 0.02), (660, 0.02)] * 5, RULE, (Verdict.WITHIN, 18.0, 0.02)),
    "more than 10 percent": (
        [(600, 0.02), (661, 0.02)] * 5,
        RULE,
        (Verdict.UNSTABLE, 60.0, math.nan),
    ),
    # An unstable latency costs a warning only with asynchronous calls, a throughput does not.
    "unstable latency": (WAVERING * 5, RULE, (Verdict.UNSTABLE, 60.0, math.nan)),
    "asynchronous, unstable latency": (WAVERING * 5, ASYNCHRONOUS, (Verdict.WITHIN, 60.0, 0.03)),
    "asynchronous, unstable throughput": (
        [(600, 0.02), (700, 0.02)] * 5,
        ASYNCHRONOUS,
        (Verdict.UNSTABLE, 60.0, math.nan),
    ),
    # What is far over the threshold is measured for three windows all the same.
    "over": ([(600, 5.0)], RULE, (Verdict.OVER, 18.0, 5.0)),
    # One of the last three that is over: nobody waits whether the load becomes stable after it.
    "first over": ([(600, 0.06), (600, 0.02)], RULE, (Verdict.UNSTABLE, 18.0, math.nan)),
    "seventh over": ([*WAVERING * 3, (600, 0.06)], RULE, (Verdict.UNSTABLE, 42.0, math.nan)),
    # Stable windows are within if their requests together are, whatever one of them says.
    "together over": (BULK, RULE, (Verdict.OVER, 18.0, 0.051)),
    "together within": (BULK, replace(RULE, percentile=50), (Verdict.WITHIN, 18.0, 0.049)),
}


@pytest.mark.parametrize(("windows", "rule", "said"), LOADS.values(), ids=LOADS)
def test_a_load(
    windows: list[tuple[int, float]], rule: Rule, said: tuple[Verdict, float, float]
) -> None:
    """What is said of it, after how many windows of six seconds."""
    judgement = judge(rule, *answered(*windows))
    assert (judgement.verdict, judgement.spent_s) == said[:2]
    assert judgement.latency_s == pytest.approx(said[2], nan_ok=True)


def test_the_threshold_itself_is_over() -> None:
    """A load must be under it."""
    exact_s = 1 / 32
    sent_s = np.arange(0, 60, 2 * exact_s)
    at_limit = judge(replace(RULE, threshold_s=exact_s), sent_s, sent_s + exact_s)
    assert (at_limit.verdict, at_limit.latency_s) == (Verdict.OVER, exact_s)


def test_a_request_belongs_to_the_window_in_which_it_ends() -> None:
    """One that was sent in the window before counts there, with all of its latency."""
    sent_s = np.arange(0.005, 60.0, 0.01)
    late = sent_s < 3.0  # 300 requests, which end in the second window
    done_s = sent_s + np.where(late, 7.0, 0.001)
    stable_from_the_third_on = judge(replace(RULE, threshold_s=9.0), sent_s, done_s)
    assert stable_from_the_third_on.spent_s == 30.0
    over_in_the_second = judge(RULE, sent_s, done_s)
    assert over_in_the_second.verdict is Verdict.UNSTABLE
    assert over_in_the_second.spent_s == 18.0


@pytest.mark.parametrize("asynchronous", [False, True])
def test_windows_without_an_answer_are_unstable(*, asynchronous: bool) -> None:
    """A server that answers nothing has no throughput."""
    rule = replace(RULE, asynchronous=asynchronous)
    nothing = judge(rule, np.arange(0.0, 60.0, 0.01), np.full(6000, 99.0))
    assert (nothing.verdict, nothing.spent_s) == (Verdict.UNSTABLE, 18.0)


@pytest.mark.parametrize(
    ("percentile", "count", "expected_ms"), [(50, 4, 3), (50, 5, 3), (95, 20, 19), (99, 100, 99)]
)
def test_the_percentile(percentile: int, count: int, expected_ms: float) -> None:
    """At p (n - 1) of the last three windows together, rounded half up: 7th of 12, 8th of 15."""
    latencies_s = np.tile(np.arange(1, count + 1) * 1e-3, 10)
    done_s = np.repeat(WINDOW_S * (np.arange(10) + 0.5), count)
    judgement = judge(
        replace(RULE, percentile=percentile, threshold_s=9.0), done_s - latencies_s, done_s
    )
    assert judgement.latency_s == pytest.approx(expected_ms * 1e-3)


def searched(
    verdict: Callable[[float], Verdict], start: float, end: float, step: float
) -> tuple[Found, Sequence[float]]:
    """The answer, and the loads in the order in which they were measured."""
    loads: list[float] = []

    def judge_load(load: float) -> Judgement:
        loads.append(load)
        return Judgement(verdict(load), 0.0, 18.0)

    return highest_load(judge_load, start, end, step), loads


def test_the_search_halves_the_range() -> None:
    """Start and end, then the middle of what is left until that is no more than a step."""
    found, loads = searched(
        lambda load: Verdict.WITHIN if load < 77 else Verdict.OVER, 20, 100, 10
    )
    assert loads == [20, 100, 60, 80, 70]
    assert found == Found(70, 90.0)


def test_no_answer_where_the_lowest_load_is_not_within() -> None:
    """Over or unstable: the search ends with its first load."""
    for verdict in (Verdict.OVER, Verdict.UNSTABLE):
        assert searched(lambda _: verdict, 20, 100, 10) == (Found(None, 18.0), [20])  # noqa: B023


def test_an_end_that_is_within_is_the_answer() -> None:
    """Nobody looks beyond the range."""
    assert searched(lambda _: Verdict.WITHIN, 20, 100, 10) == (Found(100, 36.0), [20, 100])


def test_an_unstable_load_counts_as_too_high() -> None:
    """One unlucky measurement takes all above it out of the search."""
    unlucky = {60.0: Verdict.UNSTABLE, 100.0: Verdict.OVER}
    found, _ = searched(lambda load: unlucky.get(load, Verdict.WITHIN), 20, 100, 10)
    assert found.load == 50

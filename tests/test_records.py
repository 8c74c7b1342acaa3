"""What is kept of a load point."""

import math

import numpy as np
import pytest

from tuner.goals import AnswerLimits, LatencyBudget
from tuner.load.measurement import Measurement
from tuner.load.profile import Endpoint, LoadRun, OpenLoop
from tuner.load.recorder import SUCCESS, Recorder
from tuner.records import Phase, PointRecord

LIMITS = AnswerLimits(ttft_s=0.2, itl_s=0.02)


def measured(*, streamed: bool) -> Measurement:
    """Three answers: the second has one token, the third takes all the time between tokens."""
    due_s = np.array([0.0, 1.0, 2.0])
    firsts_s, itls_s = np.array([0.1, 0.15, 0.05]), np.array([0.01, math.nan, 0.03])
    wholes_s = np.array([0.5, 0.15, 1.25])
    recorder = Recorder(
        open_loop=True, streamed=streamed, tokens=streamed, limits=LIMITS if streamed else None
    )
    recorder.ends_at(4.0)
    if recorder.tokens:
        recorder.tokens.first(40, 0.5)
        recorder.tokens.answered(output=40, arrived=40, told=True, prompt=0, cached=0)
    outcomes = np.full(3, SUCCESS, dtype=np.uint8)
    parts = (firsts_s, itls_s) if streamed else ()
    recorder.add_block(due_s, due_s, due_s + wholes_s, outcomes, *parts)
    run = LoadRun(endpoint=Endpoint("", 0), profile=OpenLoop(1.0), duration_s=4.0)
    return Measurement.of(run, [recorder.record(start_s=0.0, end_s=4.0)], 1)


def test_parts_of_answers_are_kept_beside_what_is_judged() -> None:
    """Each time by itself, and the output tokens per second."""
    budget = LatencyBudget.of_answers(95, LIMITS)
    point = PointRecord.of(Phase.SEARCH, measured(streamed=True), budget)
    assert point.latency_s == pytest.approx(0.3)  # 0.03 s of 0.02 are 0.3 s of 0.2
    assert point.first_response
    assert point.itl
    assert point.whole
    assert point.first_response.percentile(95) == pytest.approx(0.15, rel=0.01)
    assert (point.itl.count, point.itl.failures) == (2, 0)
    assert point.whole.percentile(95) == pytest.approx(1.25, rel=0.01)
    assert (point.tokens_per_s, point.together, point.counted_by) == (10.0, 39 / 40, "server")


def test_answers_without_parts_have_none() -> None:
    """As those of every other server."""
    point = PointRecord.of(Phase.SEARCH, measured(streamed=False), LatencyBudget(95, 2.0))
    assert (point.first_response, point.itl, point.whole) == (None, None, None)
    assert math.isnan(point.tokens_per_s)
    assert math.isnan(point.together)
    assert point.counted_by == ""

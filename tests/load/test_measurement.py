"""Percentiles, histograms, and what becomes of a run's raw record."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.runs import load_run
from tests.run_records import run_record
from tuner.goals import AnswerLimits
from tuner.load.histogram import Histogram, percentile
from tuner.load.measurement import Measurement, RunRecord
from tuner.load.profile import ClosedLoop, Endpoint, LoadProfile, OpenLoop, Ramp
from tuner.load.recorder import PENDING, SUCCESS

BIN = 2 ** (1 / 128)
LATENCIES = st.lists(st.floats(1e-6, 100.0) | st.just(math.inf), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("q", "expected"), [(50, 2.0), (75, 3.0), (75.1, 4.0), (100, 4.0), (1e-9, 1.0)]
)
def test_a_percentile_is_a_value_that_occurred(q: float, expected: float) -> None:
    """Nearest rank: the smallest value that `q` percent do not exceed."""
    assert percentile(np.array([1.0, 2.0, 3.0, 4.0]), q) == expected


def test_floating_point_does_not_move_a_rank() -> None:
    """99 % of 300 are 297, though floats say a little more."""
    assert percentile(np.arange(1.0, 301.0), 99) == 297.0


@given(LATENCIES, st.floats(0.1, 100.0))
def test_a_histogram_knows_percentiles_to_a_bin(latencies: list[float], q: float) -> None:
    """A stored histogram answers any percentile, 0.54 % too high at most."""
    values = np.array(latencies)
    exact, stored = percentile(np.sort(values), q), Histogram.of(values).percentile(q)
    if math.isinf(exact):
        assert math.isinf(stored)
    else:
        assert exact * (1 - 1e-9) <= stored <= exact * BIN * (1 + 1e-9)


def test_a_histogram_counts_everything() -> None:
    """Failures are counted apart; nothing is too fast to be counted."""
    histogram = Histogram.of(np.array([0.0, 1e-9, 1e-3, 1e-3, math.inf]))
    assert histogram.failures == 1
    assert histogram.count == 5
    assert sorted(histogram.counts.values()) == [2, 2]
    assert histogram.percentile(40) == pytest.approx(1e-6, rel=0.01)
    assert histogram.percentile(100) == math.inf
    assert Histogram.of(np.array([])).percentile(50) == math.inf


def record(outcomes: list[int], done: list[float]) -> RunRecord:
    """Requests that were due each second from 10 s on, in a run of 4 s."""
    due = 10.0 + np.arange(len(outcomes), dtype=np.float64)
    raw = run_record(
        due,
        np.array(done),
        np.array(outcomes, dtype=np.uint8),
        start_s=10.0,
        end_s=14.0,
        sent_s=due + 0.25,
        kinds=("timeout", "http_503"),
    )
    return replace(raw, engine_cpu_s=0.5)


def measured(profile: LoadProfile, raw: RunRecord) -> Measurement:
    return Measurement.of(load_run(Endpoint("", 0), profile), [raw], 2)


def test_a_measurement_keeps_every_request() -> None:
    """Failures are infinitely late, and what is unanswered has at least its age."""
    raw = record([SUCCESS, 2, SUCCESS, 3, PENDING], [10.5, 11.0, 14.5, 13.0, 15.5])
    measurement = measured(OpenLoop(1), raw)
    assert measurement.latencies_s.tolist() == [0.5, math.inf, 2.5, math.inf, 1.5]
    assert measurement.due_s.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert measurement.requests == 5
    assert measurement.errors == {"timeout": 1, "http_503": 1}
    assert measurement.failed == 2
    assert measurement.unanswered == 1
    # One of the two answers came after the end; each is worth two inferences.
    assert measurement.throughput == 2 * 1 / 4
    assert measurement.percentile(60) == 2.5
    assert measurement.percentile(61) == math.inf
    assert measurement.mean_s == 1.5
    assert measurement.histogram.count == 5
    assert measurement.send_lag_p99_s == pytest.approx(0.25, rel=BIN - 1)
    assert measurement.engine_cpu_per_request_s == 0.1


def test_an_empty_measurement_has_no_figures() -> None:
    """Where nothing was sent nothing is known, and nothing is feasible."""
    measurement = measured(OpenLoop(1), record([], []))
    assert measurement.throughput == 0.0
    assert measurement.percentile(50) == math.inf
    assert math.isnan(measurement.mean_s)
    assert math.isnan(measurement.engine_cpu_per_request_s)
    assert measurement.send_lag_p99_s == 0.0


def test_goodput_counts_what_was_in_time_for_its_users() -> None:
    """Answers within the limit, as inferences per second; failures are never within it."""
    raw = record([SUCCESS, 2, SUCCESS, SUCCESS], [10.5, 11.0, 13.0, 13.2])
    measurement = measured(OpenLoop(1), raw)
    assert measurement.goodput(AnswerLimits(whole_s=0.5)) == 2 * 2 / 4
    assert measurement.goodput(AnswerLimits(whole_s=1.0)) == 2 * 3 / 4
    assert measurement.goodput(AnswerLimits()) == 2 * 4 / 4


def test_a_step_of_a_ramp_is_a_load_point() -> None:
    """Requests belong to the step in which they were due."""
    raw = record([SUCCESS, 2, SUCCESS, SUCCESS], [10.5, 11.0, 12.5, 14.5])
    whole = measured(Ramp((1.0, 1.0), 2.0), raw)
    first, second = (whole.between(OpenLoop(1), at, at + 2.0) for at in (0.0, 2.0))
    assert (first.requests, first.errors, first.throughput) == (2, {"failed": 1}, 2 * 1 / 2)
    assert (second.requests, second.errors, second.throughput) == (2, {}, 2 * 1 / 2)
    assert second.due_s.tolist() == [0.0, 1.0]
    assert (second.mean_s, second.std_s) == (1.0, 0.5)
    assert second.percentile(100) == 1.5
    assert math.isnan(whole.between(OpenLoop(1), 8.0, 9.0).mean_s)


def test_a_part_of_a_load_point_has_what_ended_in_it() -> None:
    """An answer of seconds was due in one part, and ends in another."""
    raw = record([SUCCESS] * 3, [12.5, 13.5, 14.5])
    whole = measured(OpenLoop(1), raw)
    rates = [whole.between(OpenLoop(1), at, at + 2.0).throughput for at in (0.0, 2.0)]
    assert rates == [0.0, 2 * 2 / 2]


def test_results_that_the_client_spoiled_are_named() -> None:
    """Late sends, a full core and a machine without ports say nothing of the server."""
    good = measured(OpenLoop(1), record([SUCCESS] * 4, [10.9, 11.9, 12.9, 13.9]))
    assert good.client_overloaded == "requests left 251.0 ms late (p99)"
    assert replace(good, send_lag_p99_s=0.01).client_overloaded == ""
    assert replace(good, profile=ClosedLoop(1)).client_overloaded == ""
    busy = replace(good, send_lag_p99_s=0.0, engine_cpu_s=3.9, engine_wall_s=4.0)
    assert busy.client_overloaded == "the load engine used 98% of its core"
    ports = replace(busy, errors={"no_local_port": 3})
    assert ports.client_overloaded == (
        "3 requests found this machine without a free port or file descriptor"
    )


def test_windows_are_pooled_into_one_measurement() -> None:
    """Nothing is averaged that was counted: percentiles are those of all requests."""
    one = measured(OpenLoop(1), record([SUCCESS, 2, SUCCESS], [10.5, 11.0, 12.1]))
    two = measured(OpenLoop(1), record([SUCCESS, PENDING], [10.9, 15.5]))
    both = Measurement.pooled([one, two])
    assert both.requests == 5
    assert both.duration_s == 8.0
    assert both.throughput == 2 * 3 / 8
    assert both.errors == {"timeout": 1}
    assert both.unanswered == 1
    assert both.due_s.tolist() == [0.0, 1.0, 2.0, 4.0, 5.0]
    assert both.latencies_s.tolist() == pytest.approx([0.5, math.inf, 0.1, 0.9, 4.5])
    assert both.mean_s == pytest.approx((0.5 + 0.1 + 0.9 + 4.5) / 4)
    assert both.std_s == pytest.approx(float(np.std([0.5, 0.1, 0.9, 4.5])))
    assert both.histogram.count == 5
    assert both.first_response is None
    firsts = replace(one, first_response=Histogram({3: 2}, 0))
    pooled = Measurement.pooled([firsts, two, firsts]).first_response
    assert pooled == Histogram({3: 4}, 0)
    assert both.engine_cpu_s == 1.0


def test_windows_without_a_request_leave_the_others_as_they_are() -> None:
    """Whether answers came in parts is known from those that there were, first or last."""
    none = measured(OpenLoop(1), record([], []))
    some = measured(OpenLoop(1), record([SUCCESS, SUCCESS], [10.5, 11.5]))
    times_s = np.array([0.1, 0.2])
    streamed = replace(some, ttfts_s=times_s, itls_s=times_s / 10, wholes_s=times_s + 0.1)
    for parts in ([none, streamed], [streamed, none]):
        both = Measurement.pooled(parts)
        assert (both.requests, both.ttfts_s.tolist()) == (2, [0.1, 0.2])
        assert both.itls_s.tolist() == (times_s / 10).tolist()

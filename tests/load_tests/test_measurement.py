"""Percentiles, histograms, and what becomes of a run's raw record."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load_tests.runs import load_run
from tuner.load import ClosedLoop, Endpoint, Histogram, LoadProfile, Measurement, OpenLoop
from tuner.load.measurement import PENDING, SUCCESS, RunRecord, percentile

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
    return RunRecord(
        start_s=10.0,
        end_s=14.0,
        gave_up_s=15.5,
        due_s=due,
        sent_s=due + 0.25,
        done_s=np.array(done),
        outcomes=np.array(outcomes, dtype=np.uint8),
        error_kinds=("timeout", "http_503"),
        engine_cpu_s=0.5,
        engine_wall_s=5.0,
        priority="normal",
        stopped_early="",
    )


def measured(profile: LoadProfile, raw: RunRecord) -> Measurement:
    return Measurement.of(load_run(Endpoint("", 0), profile), raw, 2)


def test_a_measurement_keeps_every_request() -> None:
    """Failures are infinitely late, and what is unanswered has at least its age."""
    raw = record([SUCCESS, 2, SUCCESS, 3, PENDING], [10.5, 11.0, 14.5, 13.0, 0.0])
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
    assert measurement.send_lag_p99_s == 0.25
    assert measurement.engine_cpu_per_request_s == 0.1


def test_a_closed_loop_has_no_send_lag() -> None:
    """Nothing is intended, so nothing is late."""
    assert measured(ClosedLoop(1), record([SUCCESS], [10.5])).send_lag_p99_s == 0.0


def test_an_empty_measurement_has_no_figures() -> None:
    """Where nothing was sent nothing is known, and nothing is feasible."""
    measurement = measured(OpenLoop(1), record([], []))
    assert measurement.throughput == 0.0
    assert measurement.percentile(50) == math.inf
    assert math.isnan(measurement.mean_s)
    assert math.isnan(measurement.engine_cpu_per_request_s)
    assert measurement.send_lag_p99_s == 0.0

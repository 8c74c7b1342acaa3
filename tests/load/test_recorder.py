"""The recorder: exact while it can be, of constant size always."""

import numpy as np
import pytest

from tuner.load.histogram import Histogram
from tuner.load.recorder import MOST_SAMPLES, PENDING, SUCCESS, Recorder

BIN = 2 ** (1 / 128)


def test_every_request_is_kept_while_there_are_few() -> None:
    """Blocks are folded on the way, and nothing is lost between them."""
    recorder = Recorder(open_loop=True)
    recorder.ends_at(4000.0)
    for number in range(5000):
        if number % 10:
            recorder.add(number, number + 0.25, number + 0.5)
        else:
            recorder.add_failure(
                number, number, number + 0.5, ("timeout", "http_503")[number % 20 > 0]
            )
    recorder.add(5000, 5000, 5002, PENDING)
    record = recorder.record(start_s=0.0, end_s=4000.0)
    assert record.requests == len(record.due_s) == 5001
    assert record.due_s.tolist() == list(range(5001))
    assert record.latencies_s[[0, 1, 5000]].tolist() == [np.inf, 0.5, 2.0]
    assert record.errors == {"timeout": 250, "http_503": 250}
    assert (record.failures, record.unanswered, record.in_time) == (500, 1, 3600)
    assert record.counts.sum() == 4501
    assert record.lag_counts.sum() == 5001
    assert record.latency_sum_s == 4500 * 0.5 + 2.0


def test_slow_requests_are_counted_on_the_way() -> None:
    """Those that failed among them, before and after a block was folded."""
    recorder = Recorder(open_loop=True)
    assert recorder.slower_than(0.1) == 0
    for number in range(2000):
        recorder.add(number, number, number + (0.2 if number % 4 == 0 else 0.05))
    recorder.add_failure(2000, 2000, 2000.01, "timeout")
    assert recorder.slower_than(0.1) == 501
    assert recorder.slower_than(0.3) == 1
    assert recorder.record(start_s=0.0, end_s=2001.0).requests == 2001


def test_a_closed_loop_has_no_send_lag() -> None:
    """Nothing is intended, so nothing is late."""
    recorder = Recorder(open_loop=False)
    recorder.add(0.0, 1.0, 2.0)
    assert recorder.record(start_s=0.0, end_s=3.0).lag_counts.size == 0


def test_first_responses() -> None:
    """Where an answer is several responses, when the first came is counted for each."""
    recorder = Recorder(open_loop=True, streamed=True)
    for _ in range(3000):
        recorder.add(5.0, 5.0, 6.0, SUCCESS, 5.25, 0.01)
    recorder.add(5.0, 5.0, 6.0, SUCCESS, 6.0)
    recorder.add_failure(5.0, 5.0, 6.0, "timeout")
    recorder.add(5.0, 5.0, 9.0, PENDING, 8.0, 0.02)
    record = recorder.record(start_s=0.0, end_s=1.0)
    assert record.ttfts_s[[0, 3000, 3001, 3002]].tolist() == [0.25, 1.0, np.inf, 3.0]
    assert record.itls_s[[0, 3001, 3002]].tolist() == [0.01, np.inf, 0.02]
    assert np.isnan(record.itls_s[3000])
    firsts = Histogram.of_counts(record.first_counts, 0)
    assert firsts.count == 3001
    assert firsts.percentile(99) == pytest.approx(0.25, rel=BIN - 1)
    assert firsts.percentile(100) == pytest.approx(1.0, rel=BIN - 1)
    whole = Recorder(open_loop=True).record(start_s=0.0, end_s=1.0)
    assert (whole.first_counts.size, whole.ttfts_s.size, whole.itls_s.size) == (0, 0, 0)


@pytest.mark.parametrize("factor", [1, 3, 9])
def test_a_long_run_is_sampled_evenly(factor: int) -> None:
    """The sample is every n-th request; the histogram has them all."""
    count, block = MOST_SAMPLES * factor, 1 << 14
    recorder, random = Recorder(open_loop=False), np.random.default_rng(3)
    everything = random.exponential(0.01, count)
    for first in range(0, count, block):
        due_s = np.arange(first, first + block, dtype=np.float64)
        done_s = due_s + everything[first : first + block]
        recorder.add_block(due_s, due_s, done_s, np.ones(block, dtype=np.uint8))
    record = recorder.record(start_s=0.0, end_s=float(count))
    assert MOST_SAMPLES / 2 <= len(record.due_s) <= MOST_SAMPLES
    assert set(np.diff(record.due_s)) == {record.sample_stride}
    assert record.sample_stride == {1: 1, 3: 4, 9: 16}[factor]
    assert record.requests == count
    stored = Histogram.of_counts(record.counts, 0)
    for q in (50.0, 99.0, 99.99):
        exact = float(np.sort(everything)[int(np.ceil(q / 100 * count)) - 1])
        assert exact * (1 - 1e-9) <= stored.percentile(q) <= exact * BIN * (1 + 1e-9)

"""Statistics of correlated latencies: do the intervals hold what they promise?"""

import math

import numpy as np
import pytest

from tests.capacity.simulated_server import Instances, SimulatedServer, exponential
from tests.run_records import run_record
from tuner.capacity.intervals import mser5, percentile_interval, throughput_interval
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, Endpoint, LoadRun, OpenLoop
from tuner.load.recorder import PENDING, SUCCESS
from tuner.numbers.arrays import FloatArray
from tuner.records import Phase


def measurement(
    due_s: FloatArray, latencies_s: FloatArray, duration_s: float, inferences: int = 1
) -> Measurement:
    """What the engine reports of these latencies; infinite ones are failures."""
    run = LoadRun(endpoint=Endpoint("", 0), profile=OpenLoop(1), duration_s=duration_s)
    done_s = due_s + np.nan_to_num(latencies_s, posinf=0.0)
    outcomes = np.where(np.isfinite(latencies_s), SUCCESS, SUCCESS + 1).astype(np.uint8)
    record = run_record(due_s, done_s, outcomes, end_s=duration_s, kinds=("timeout",))
    return Measurement.of(run, [record], inferences)


def queue(load: float, count: int, seed: int) -> Measurement:
    """M/M/1 with a mean service time of 1 s: waiting times by Lindley's recursion."""
    random = np.random.default_rng(seed)
    due_s = np.cumsum(random.exponential(1 / load, count))
    service_s = random.exponential(1.0, count)
    sums = np.concatenate([[0.0], np.cumsum(service_s[:-1] - np.diff(due_s))])
    waiting_s = sums - np.minimum.accumulate(sums)
    return measurement(due_s, waiting_s + service_s, float(due_s[-1]) * (1 + 1e-9))


def queue_percentile(load: float, q: float) -> float:
    """The sojourn time of M/M/1 is exponential with the rate 1 - load."""
    return -math.log(1 - q / 100) / (1 - load)


def coverage(load: float, count: int, q: float) -> float:
    truth, held = queue_percentile(load, q), 0
    for seed in range(300):
        interval = percentile_interval(queue(load, count, seed), q)
        held += interval.low <= truth <= interval.high
    return held / 300


class TestWarmUp:
    def test_a_steady_series_is_warm(self) -> None:
        """Noise alone has no warm-up: little is cut in most cases."""
        cuts = [mser5(np.random.default_rng(seed).lognormal(size=1000)) for seed in range(20)]
        assert np.median(cuts) < 0.1
        assert np.mean([cut > 1 / 2 for cut in cuts]) <= 0.1

    @pytest.mark.parametrize("cold", [0.05, 0.2, 0.4])
    def test_a_slow_start_is_cut_off(self, cold: float) -> None:
        """Where latencies decay, the cut comes soon after they have."""
        random = np.random.default_rng(1)
        share = np.arange(2000) / 2000
        series = random.gamma(10, 0.1, 2000) + 20 * np.exp(-share / (cold / 6))
        assert cold / 2 < mser5(series) < 1.5 * cold + 0.02

    def test_a_series_that_still_falls_is_not_warm(self) -> None:
        """No end of the warm-up in sight: more than one half is cut."""
        noise = np.random.default_rng(1).normal(0, 0.01, 1000)
        assert mser5(np.linspace(2.0, 1.0, 1000) + noise) > 1 / 2

    @pytest.mark.parametrize(
        ("series", "share"),
        [
            # Less than ten means of five say nothing.
            *((np.ones(count), 1.0) for count in (0, 1, 49)),
            # No noise, no warm-up.
            (np.full(50, 3.0), 0.0),
            # A server that first refuses is not warm before it answers,
            (np.concatenate([np.full(100, math.inf), np.ones(900)]), 0.1),
            # and nothing is steady where nothing was answered.
            (np.full(100, math.inf), 1.0),
        ],
    )
    def test_without_noise(self, series: FloatArray, share: float) -> None:
        """What is warm-up is known exactly."""
        assert mser5(series) == pytest.approx(share)


class TestPercentileInterval:
    def test_it_holds_for_independent_requests(self) -> None:
        """Hardly loaded, requests do not wait for each other: 95 % means 95 %."""
        assert coverage(0.02, 1000, 95) >= 0.94

    @pytest.mark.parametrize(
        ("load", "count", "q", "least"),
        [
            (0.5, 1000, 95, 0.87),
            (0.7, 1000, 95, 0.84),
            (0.85, 5000, 95, 0.84),
            (0.7, 2000, 99, 0.87),
        ],
    )
    def test_it_holds_for_a_queue(self, load: float, count: int, q: float, least: float) -> None:
        """Neighbours in a queue share its length; the interval is wide enough for that, nearly."""
        assert coverage(load, count, q) >= least

    def test_blocks_matter(self) -> None:
        """The same latencies in another order, without their neighbours, look more certain."""
        loaded = queue(0.85, 5000, 3)
        shuffled = measurement(
            loaded.due_s,
            np.random.default_rng(1).permutation(loaded.latencies_s),
            loaded.duration_s,
        )
        honest, naive = (percentile_interval(each, 90) for each in (loaded, shuffled))
        assert honest.estimate == naive.estimate
        assert honest.high - honest.low > 2 * (naive.high - naive.low)

    def test_it_surrounds_its_estimate(self) -> None:
        """The estimate is the percentile itself."""
        loaded = queue(0.7, 1000, 3)
        interval = percentile_interval(loaded, 90)
        assert interval.low < interval.estimate < interval.high
        assert interval.estimate == loaded.percentile(90)

    @pytest.mark.parametrize(
        ("latencies_s", "q", "expected"),
        [
            # Ten requests bound no p95.
            (np.ones(10), 95, (1.0, 1.0, math.inf)),
            # There is no request below the first.
            (np.ones(1), 50, (0.0, 1.0, math.inf)),
            # More than 5 % of failures are beyond any p95.
            (np.tile([math.inf, *[1.0] * 9], 100), 95, (math.inf,) * 3),
            # A run without requests meets no limit.
            (np.empty(0), 95, (math.inf,) * 3),
        ],
        ids=["few", "one", "failures", "none"],
    )
    def test_by_hand(
        self, latencies_s: FloatArray, q: float, expected: tuple[float, float, float]
    ) -> None:
        """Low end, estimate and high end of requests that come once a second."""
        count = len(latencies_s)
        seen = measurement(np.arange(float(count)), latencies_s, max(1.0, count))
        interval = percentile_interval(seen, q)
        assert (interval.low, interval.estimate, interval.high) == expected


class TestThroughputInterval:
    def test_it_holds_for_a_saturated_server(self) -> None:
        """The throughput of a closed loop is known to its blocks' noise."""
        held = 0
        for seed in range(200):
            server = SimulatedServer(Instances(2, exponential(0.01)), seed=seed)
            interval = throughput_interval(server(Phase.SATURATION, ClosedLoop(8), duration_s=2.0))
            held += interval.low <= 200 <= interval.high
        assert held / 200 >= 0.92

    def test_a_steady_server_is_certain(self) -> None:
        """No variation, no doubt; and a request may carry several inferences."""
        due_s = np.arange(0.0, 10.0, 0.05)
        interval = throughput_interval(measurement(due_s, np.full(200, 0.01), 10.0, inferences=4))
        assert interval.low == interval.estimate == interval.high == 80.0

    def test_what_is_not_answered_in_time_does_not_count(self) -> None:
        """Failures, and answers after the end, are no throughput."""
        due_s = np.arange(0.0, 10.0, 0.05)
        latencies = np.full(200, 0.01)
        latencies[1::2] = math.inf
        latencies[0::4] = 11.0
        interval = throughput_interval(measurement(due_s, latencies, 10.0))
        assert interval.estimate == 5.0
        assert interval.low <= 5.0 <= interval.high


def test_a_pending_request_is_not_thrown_away() -> None:
    """Requests without an answer stand in the interval with their age."""
    pending = np.full(10, PENDING, dtype=np.uint8)
    record = run_record(np.arange(10.0), np.full(10, 12.0), pending, end_s=10.0)
    run = LoadRun(endpoint=Endpoint("", 0), profile=OpenLoop(1), duration_s=10.0)
    stuck = Measurement.of(run, [record], 1)
    assert percentile_interval(stuck, 50).estimate == 7.0
    assert throughput_interval(stuck).estimate == 0.0

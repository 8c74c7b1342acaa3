"""`tuner measure` against a real Triton: every load, and the rules by which a point ends.

What a busy machine may spoil is not held against it here: latencies of open loops, mostly.
"""

import os
from pathlib import Path

import pytest

from tests.measuring import LASTING, Measure
from tests.servers.triton import TritonServer
from tuner.load.measurement import Measurement


@pytest.fixture
def url(triton_server: TritonServer) -> str:
    return triton_server.http_url


def test_a_range_of_concurrency(measure: Measure, url: str) -> None:
    """Each step of the range is a load point, the end included."""
    points = measure(url, "-m", "echo", "--concurrency-range", "1:5:2")
    assert [point["concurrency"] for point in points] == [1, 3, 5]


def test_the_default_load(measure: Measure, url: str) -> None:
    """Without a load there is one request in flight, for as long as was said."""
    [point] = measure(url, "-m", "echo", *LASTING)
    assert point["concurrency"] == 1
    assert point["duration_s"] == pytest.approx(0.2)
    assert point["throughput"] == pytest.approx(point["requests"] / 0.2, abs=20)


def test_a_range_of_rates(measure: Measure, url: str) -> None:
    """An open loop of constant arrivals sends exactly what it was told to."""
    constant = ("--request-distribution", "constant", "--seed", "7")
    points = measure(url, "-m", "echo", "--request-rate-range", "50:150:50", *constant, *LASTING)
    assert [(p["rate"], p["arrivals"], p["seed"]) for p in points] == [
        (rate, "constant", 7) for rate in (50, 100, 150)
    ]
    assert [point["requests"] for point in points] == [10, 20, 30]


def test_poisson_arrivals(measure: Measure, url: str) -> None:
    """Poisson arrivals are the same for one seed, at any time; and others for another."""
    first, again, other = (due(measure, url, seed) for seed in ("1", "1", "2"))
    assert first == again != other


def due(measure: Measure, url: str, seed: str) -> str:
    """When the requests were due, which is not exported where the engine sent them too late."""
    options = ("--rate", "200", "--seed", seed, "--export", "export.json")
    for _ in range(20):
        assert measure.run(url, "-m", "echo", *options, *LASTING).status == 0
        _, _, told = Path("export.json").read_text().partition('"due_s": ')
        if told:
            return told.partition("]")[0]
    pytest.fail("the machine is too busy to send 200 requests per second in time")


def test_a_ramp(measure: Measure, url: str) -> None:
    """A ramp is one run; each of its steps is a load point."""
    ramp = ("--ramp", "50:150:50", "--arrivals", "constant")
    points = measure(url, "-m", "echo", *ramp, *LASTING)
    assert [point["rate"] for point in points] == [50, 100, 150]
    assert [point["requests"] for point in points] == [10, 20, 30]
    assert [point["duration_s"] for point in points] == [pytest.approx(0.2)] * 3


def test_a_file_of_intervals(measure: Measure, url: str, tmp_path: Path) -> None:
    """Recorded intervals are replayed, again and again, until the time is over."""
    (tmp_path / "intervals").write_text("10000\n30000\n")
    options = ("--request-intervals", "intervals")
    [point] = measure(url, "-m", "echo", *options, *LASTING)
    assert (point["arrivals"], point["rate"], point["intervals"]) == ("replay", 50, 2)
    assert point["requests"] in (9, 10)  # the last is due when the time is over


@pytest.mark.parametrize("load", [("--concurrency", "3"), ("--rate", "1000")], ids="".join)
def test_a_number_of_requests(measure: Measure, url: str, load: tuple[str, str]) -> None:
    """A load point ends with the last of so many requests, and no later."""
    [point] = measure(url, "-m", "echo", *load, "--request-count", "25")
    assert point["requests"] == point["server"]["inferences"] == 25
    assert point["duration_s"] < 5


class TestStability:
    def test_a_stable_point(self, measure: Measure, url: str) -> None:
        """The point is that of the last three windows, which differ by no more than was said."""
        [point] = measure(url, "-m", "echo", "--stability", "999%")
        stability = point["stability"]
        assert (stability["stable"], stability["tolerance"]) == (True, 9.99)
        assert len(stability["windows"]) >= 3
        assert point["requests"] == point["server"]["inferences"] == 3 * 64

    def test_a_point_that_never_is(self, measure: Measure, url: str) -> None:
        """After ten windows a point is kept, and says that it is not stable."""
        result = measure.run(url, "-m", "echo", "-s", "0.001", "--percentile", "90")
        assert (result.status, result.err) == (0, "")
        assert "concurrency 1: not stable within 0 % after 10 windows: " in " ".join(
            result.out.split()
        )


class TestLatencyLimit:
    def test_the_range_ends_beyond_it(self, measure: Measure, url: str) -> None:
        """The first point whose percentile is beyond the limit is the last; goodput is told."""
        points = measure(url, "-m", "echo", "--budget-ms", "0.001", "--concurrency", "1:9")
        assert [point["concurrency"] for point in points] == [1]
        assert (points[0]["limit_ms"], points[0]["goodput"]) == (0.001, 0)

    def test_the_whole_range_is_within_it(self, measure: Measure, url: str) -> None:
        """Within the limit, all inferences are good."""
        limit = ("--latency-threshold", "60000", "--percentile", "95")
        points = measure(url, "-m", "echo", *limit, "--concurrency", "1:2")
        assert [point["concurrency"] for point in points] == [1, 2]
        for point in points:
            assert point["goodput"] == pytest.approx(64 / point["duration_s"])

    def test_latencies_of_the_client_are_none(
        self, measure: Measure, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A point that the client spoiled does not end the range."""
        monkeypatch.setattr(Measurement, "client_overloaded", "the client slept")
        points = measure(url, "-m", "echo", "--budget-ms", "0.001", "--concurrency", "1:2")
        assert [point["client_overloaded"] for point in points] == ["the client slept"] * 2


class TestWorkers:
    def test_two_of_them(self, measure: Measure, url: str) -> None:
        """Two engine processes share the load of each point, closed or open."""
        for load in (("--concurrency", "4"), ("--rate", "400")):
            [point] = measure(url, "-m", "echo", "--workers", "2", *load)
            assert (point["workers"], point["requests"]) == (2, 64)
            assert point["server"]["inferences"] == 64

    def test_as_many_as_it_takes(
        self, measure: Measure, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With `auto`, an overloaded engine gets a process more, and measures the point again."""
        cores = os.cpu_count() or 1
        monkeypatch.setattr(os, "cpu_count", lambda: cores + 3)
        alone = property(lambda self: "the engine is full" if self.workers < 2 else "")
        monkeypatch.setattr(Measurement, "client_overloaded", alone)

        [point] = measure(url, "-m", "echo", "--workers", "auto", "--concurrency", "4")

        assert (point["workers"], point["requests"]) == (2, 64)
        assert point["server"]["inferences"] == 64  # of the last measurement alone
        assert point["client_overloaded"] is None

    def test_not_more_than_there_are_cores(
        self, measure: Measure, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One core is the server's: beyond that a point stays what it is."""
        monkeypatch.setattr(os, "cpu_count", lambda: 3)
        monkeypatch.setattr(Measurement, "client_overloaded", "the engine is full")

        [point] = measure(url, "-m", "echo", "--workers", "auto", "--concurrency", "4")

        assert (point["workers"], point["client_overloaded"]) == (2, "the engine is full")


def test_a_percentile_of_ones_own(measure: Measure, url: str) -> None:
    """The percentile that was asked for is there beside the usual ones."""
    [point] = measure(url, "-m", "echo", "--percentile", "97.5")
    assert [key for key in point if key.startswith("p")] == [
        "p50_ms",
        "p90_ms",
        "p95_ms",
        "p97.5_ms",
        "p99_ms",
        "p99.9_ms",
    ]


def test_pinned_to_a_cpu(measure: Measure, url: str) -> None:
    """The engine can be pinned to a CPU that is there."""
    [point] = measure(url, "-m", "echo", "--engine-cpus", "0")
    assert point["requests"] == 64

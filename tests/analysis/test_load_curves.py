"""What was measured under load, read at any percentile."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.analysis.known import known
from tests.report import studies
from tests.report.studies import point
from tuner.analysis.load_curves import LoadReading, load_curves, lowest_latency, reference_load
from tuner.errors import Reason
from tuner.goals import LatencyBudget, Loop
from tuner.load.histogram import Histogram
from tuner.records import PointRecord, Purpose, StudyRecord, TrialState, Usage


def study_of(*points: PointRecord, **wishes: Any) -> StudyRecord:
    return studies.study([studies.baseline(points=points)], **wishes)


def only_reading(study: StudyRecord, percentile: float = 99) -> LoadReading:
    ((curve,),) = load_curves(study, percentile)
    (reading,) = curve.readings
    return reading


def numbers(study: StudyRecord) -> list[list[int]]:
    """The trials of each configuration's curves."""
    return [[curve.trial.number for curve in curves] for curves in load_curves(study, 99)]


class TestReadings:
    def test_of_an_open_loop(self) -> None:
        """The load is what was offered, in inferences: latencies count from then."""
        measured = point(80.0, 0.020, throughput=310.0, requests=200)
        reading = only_reading(study_of(measured, request={"batch": 4}))

        assert (reading.throughput, reading.load, reading.concurrency) == (320.0, 320.0, None)
        assert (reading.trial, reading.latency_s, reading.requests) == (0, 0.020, 200)

    def test_at_the_percentile_of_the_study(self) -> None:
        """It is the exact one, also where it is not among the stored percentiles."""
        study = study_of(point(80.0, 0.1, latency_s=0.0987), budget=LatencyBudget(98, 0.2))

        assert only_reading(study, 98).latency_s == 0.0987

    def test_at_a_stored_percentile(self) -> None:
        """Stored percentiles are exact."""
        study = study_of(point(80.0, 0.1, percentiles_s={50: 0.01234, 99: 0.1}))

        assert only_reading(study, 50).latency_s == 0.01234

    def test_at_any_other_percentile(self) -> None:
        """It comes from the histogram, to the width of a bin."""
        histogram = Histogram.of(np.linspace(0.001, 1.0, 1000))

        reading = only_reading(study_of(point(80.0, 1.0, histogram=histogram)), 75)

        assert reading.latency_s == pytest.approx(0.75, rel=0.006)

    def test_what_was_stopped_early_has_no_latency(self) -> None:
        """Its latencies say only how long one looked."""
        study = study_of(point(80.0, 0.020, stopped_early="overload"))

        assert only_reading(study).latency_s == math.inf
        assert only_reading(study, 50).latency_s == math.inf

    def test_a_load_in_several_parts_is_one(self) -> None:
        """A proof measures one load several times: the percentile is that of all requests."""
        slow = point(80.0, 0.9, histogram=Histogram.of(np.full(2, 0.9)), requests=2)
        fast = point(80.0, 0.1, histogram=Histogram.of(np.full(98, 0.1)), requests=98)
        reading = only_reading(study_of(fast, slow))

        assert reading.requests == 100
        assert reading.latency_s == pytest.approx(0.9, rel=0.006)
        assert only_reading(study_of(fast, slow), 98).latency_s == pytest.approx(0.1, rel=0.006)

    def test_failures_in_several_parts(self) -> None:
        """Failed requests of all parts count as infinitely late."""
        parts = [point(80.0, 0.1, histogram=Histogram({1000: 98}, 2)) for _ in range(2)]

        assert only_reading(study_of(*parts), 98.5).latency_s == math.inf

    def test_usage_is_for_each_inference(self) -> None:
        """80 inferences/s for 2.5 s are 200 inferences."""
        usage = Usage(cpu_s=1.0, memory_bytes=5e8, energy_j=40.0)

        assert only_reading(study_of(point(80.0, 0.02, usage=usage))).usage == Usage(
            0.005, 5e8, 0.2
        )

    def test_of_a_closed_loop(self) -> None:
        """The load is the concurrency; the open loop at the reference load stands apart."""
        study = study_of(
            point(1, 0.004, kind="closed", phase="unloaded"),
            point(16, 0.030, kind="closed", phase="search", throughput=500.0),
            point(100.0, 0.008, phase="reference"),
            arrivals=Loop.CLOSED,
        )
        ((curve,),) = load_curves(study, 99)

        (reading,), (reference,) = curve.readings, curve.open_readings
        assert (reading.load, reading.concurrency, reading.throughput) == (16, 16, 500.0)
        assert (reference.load, reference.concurrency) == (100.0, None)

    def test_of_an_open_loop_both_are_the_same(self) -> None:
        """Where the search is in an open loop, all points are of one kind."""
        curve = load_curves(studies.night(), 99)[0][0]
        loads = [each.load for each in curve.readings]

        assert loads == [each.load for each in curve.open_readings]
        assert len(loads) == 5


class TestConfigurations:
    def test_all_trials_of_a_configuration_count(self) -> None:
        """The search, repeats for drift, finals and proofs."""
        again = [
            studies.trial(n, 150.0, purpose=purpose, configuration=studies.DEFAULTS)
            for n, purpose in enumerate((Purpose.DRIFT, Purpose.FINAL, Purpose.PROOF), 2)
        ]

        study = studies.study([studies.baseline(), studies.trial(1, 300.0), *again])

        assert numbers(study) == [[0, 2, 3, 4], [1]]

    def test_what_failed_once_is_left_out(self) -> None:
        """Nobody should deploy what crashed on one of its starts, or answered wrongly."""
        wrong = replace(
            studies.final(2, studies.BEST, 900.0),
            state=TrialState.FAILED,
            reason=Reason.WRONG_OUTPUT,
        )

        study = studies.study(
            [studies.baseline(), studies.trial(1, 400.0, configuration=studies.BEST), wrong]
        )

        assert numbers(study) == [[0]]

    @pytest.mark.parametrize("reason", [Reason.CLIENT_OVERLOADED, Reason.INTERRUPTED])
    def test_what_the_tuner_spoiled_says_nothing(self, reason: Reason) -> None:
        """The trial is left out, its configuration is not."""
        spoiled = replace(
            studies.final(2, studies.DEFAULTS, 100.0), state=TrialState.FAILED, reason=reason
        )

        assert numbers(studies.study([studies.baseline(), spoiled])) == [[0]]

    def test_what_was_dropped_before_it_was_loaded(self) -> None:
        """It is there without a curve."""
        slow = studies.infeasible(studies.trial(1), unloaded_s=0.061)

        assert numbers(studies.study([studies.baseline(), slow])) == [[0], []]


class TestReferenceLoad:
    def test_is_where_the_study_measured_latencies(self) -> None:
        """In inferences per second."""
        study = study_of(
            point(90.0, 0.040), point(40.0, 0.009, phase="reference"), request={"batch": 2}
        )

        assert reference_load(study) == 80.0

    def test_is_the_capacity_of_the_baseline_otherwise(self) -> None:
        """A study that did not measure it compares at what the defaults carry."""
        assert reference_load(studies.night()) == 152.0

    def test_of_a_study_without_a_baseline(self) -> None:
        """There is none."""
        assert reference_load(studies.study()) == 0.0


class TestLowestLatency:
    def test_without_load(self) -> None:
        """At the study's percentile it is the trial's own figure, which leaves out warm-up."""
        study = studies.study([studies.infeasible(studies.baseline(), unloaded_s=0.061)])
        cold = replace(study.trials[0], unloaded_s=0.055)

        found = known(lowest_latency(replace(study, trials=(cold,)), 99))

        assert (found.latency_s, found.concurrency, found.trial) == (0.055, 1, 0)

    def test_at_another_percentile(self) -> None:
        """It is read from the last point with one request at a time: earlier ones were cold."""
        unloaded = {"kind": "closed", "phase": "unloaded"}
        points = [point(1, 0.002, **unloaded), point(1, 0.099, **unloaded)]

        found = known(lowest_latency(study_of(*points), 50))

        assert found.latency_s == pytest.approx(0.099 * (0.4 + 0.6 * 50 / 99))

    def test_under_load(self) -> None:
        """With dynamic batching a load can be faster than one request at a time."""
        study = study_of(
            point(1, 0.030, kind="closed", phase="unloaded"),
            point(90.0, 0.020),
            point(95.0, 0.025),
        )
        slow = replace(study.trials[0], unloaded_s=0.030)

        found = known(lowest_latency(replace(study, trials=(slow,)), 99))

        assert (found.latency_s, found.throughput, found.concurrency) == (0.020, 90.0, None)

    def test_of_nothing(self) -> None:
        """Without a latency there is no lowest one."""
        failed = studies.failed(0, Reason.CRASHED, "it is gone")

        assert lowest_latency(studies.study([failed]), 99) is None
        assert lowest_latency(study_of(point(80.0, math.inf)), 99) is None

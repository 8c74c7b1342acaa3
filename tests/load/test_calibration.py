"""What the load engine can do here, found against a server that does nothing."""

import pytest

from tuner.errors import LoadError
from tuner.load.calibration import Calibration, calibrate


def test_the_engine_is_calibrated_on_this_machine() -> None:
    """A rate that it really reached or could reach, and how late it is at half of it."""
    calibration = calibrate(duration_s=0.3)
    assert calibration.rate > 500
    assert calibration.send_lag_p99_s > 0.0


def test_large_requests_are_calibrated_too() -> None:
    """Requests that do not come in one piece get one answer each: a megabyte takes its time."""
    large = calibrate(payload_bytes=1 << 20, duration_s=0.3)
    assert 1 < large.rate < calibrate(duration_s=0.3).rate / 2


def test_processes_are_counted_by_half_of_what_each_can_do() -> None:
    """At half of its rate an engine is on time."""
    calibration = Calibration(rate=10_000.0, send_lag_p99_s=1e-4)
    assert [calibration.workers(rate) for rate in (1.0, 5000.0, 5001.0, 20_000.0)] == [1, 1, 2, 4]


def test_a_machine_that_answers_nothing() -> None:
    """Where even a server that does nothing gives no answer, the machine is too busy."""
    with pytest.raises(LoadError) as caught:
        calibrate(duration_s=1e-6)
    assert str(caught.value) == "a server that does nothing gave no answer in 3 times 1e-06 s"
    assert caught.value.hint == ("this machine is too busy to measure: end what else runs on it")

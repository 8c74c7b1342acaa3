"""Devices whose capacity is known on paper: what is computed of them is right."""

import numpy as np
import pytest

from benchmarks.known_devices import Device, drawn
from tests.capacity.simulated_server import Instances, constant, true_capacity
from tuner.space.expressions import Value
from tuner.space.space import Configuration

# 8 rows take 10 ms, whoever asks.
DEVICE = Device(fixed_s=6e-3, each_s=0.5e-3, rows=8, slots=1, limit_s=0.04)


def configuration(**values: Value) -> Configuration:
    return Configuration.of({"instance_count": 1, "dynamic_batching": False, **values})


def test_one_request_at_a_time_is_a_queue() -> None:
    """Without batches a device is a server with constant service times."""
    queue = Instances(1, constant(DEVICE.held_s(1)))
    truth = true_capacity(queue, DEVICE.budget, highest=150)
    assert DEVICE.capacity(configuration()) == pytest.approx(truth, rel=0.05)


def test_more_rows_than_a_call_takes_are_more_calls() -> None:
    """Nine rows take two of them."""
    assert DEVICE.held_s(8) == pytest.approx(10e-3)
    assert DEVICE.held_s(9) == pytest.approx(16.5e-3)


@pytest.mark.parametrize(("slots", "gain"), [(1, 1.0), (2, 2.0), (0, 2.0)])
def test_instances_pay_as_far_as_there_are_slots(slots: int, gain: float) -> None:
    """Two instances carry twice as much where both may run, and no more where they may not."""
    device = Device(6e-3, 0.5e-3, 8, slots, 0.1)
    one, two = (
        device.capacity(configuration(instance_count=n, dynamic_batching=True, max_batch_size=8))
        for n in (1, 2)
    )
    assert two / one == pytest.approx(gain, rel=0.1)


def test_the_best_takes_whole_calls() -> None:
    """One instance for the one slot, and batches of as many rows as a call takes."""
    best, capacity = DEVICE.best()
    assert (best["instance_count"], best["max_batch_size"]) == (1, 8)
    assert capacity == pytest.approx(8 / 10e-3, rel=0.2)


def test_the_series_is_always_the_same() -> None:
    """The first devices do not depend on how many are asked for, and none is beyond two cores."""
    assert drawn(12)[:3] == drawn(3)
    shares = [d.limit_s / d.held_s(d.rows) for d in drawn(12)]
    assert 2 <= np.min(shares) <= np.max(shares) <= 5.1

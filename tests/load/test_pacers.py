"""When requests are due: the one decision of each way of arriving."""

import math

import numpy as np
import pytest

from tests.load.runs import load_run
from tuner.load.arrivals import schedule
from tuner.load.pacers import pacer_of
from tuner.load.profile import ClosedLoop, Endpoint, OpenLoop, Ramp, Replay

NOWHERE = Endpoint("", 0)


def test_a_closed_loop_is_due_at_once_until_its_end() -> None:
    """The end is that of the time, or of the requests."""
    pacer = pacer_of(load_run(NOWHERE, ClosedLoop(3), duration_s=2.0, max_requests=5))
    pacer.begin(10.0)
    assert (pacer.users, pacer.busy_lanes) == (3, 3.0)
    assert [pacer.due_s(now_s, 4) for now_s in (10.0, 11.9, 12.0)] == [10.0, 11.9, math.inf]
    assert pacer.due_s(11.0, 5) == math.inf


@pytest.mark.parametrize(
    "profile",
    [OpenLoop(100.0, seed=2), OpenLoop(5000.0, seed=2), Ramp((50.0, 150.0), 1.0), Replay((0.01,))],
    ids=["one block", "several", "ramp", "replay"],
)
def test_an_open_loop_is_due_by_its_schedule(profile: OpenLoop | Ramp | Replay) -> None:
    """Whatever the time is, and whatever was sent late; after the last moment there is none."""
    pacer = pacer_of(load_run(NOWHERE, profile, duration_s=2.0))
    pacer.begin(10.0)
    assert (pacer.users, pacer.busy_lanes) == (0, profile.rate * 0.005)
    expected = 10.0 + schedule(profile, 2.0)
    *moments, end = [pacer.due_s(99.0, begun) for begun in range(len(expected) + 1)]
    np.testing.assert_array_equal(moments, expected)
    assert end == pacer.due_s(99.0, len(moments)) == math.inf

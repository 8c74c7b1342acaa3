"""Load profiles and their schedules."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.load.arrivals import blocks, part_of, schedule
from tuner.load.profile import Arrivals, ClosedLoop, Endpoint, OpenLoop, Ramp, Replay, Share


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ClosedLoop(0), "`concurrency >= 1` must hold, but got 0"),
        (lambda: ClosedLoop(-1), "`concurrency >= 1` must hold, but got -1"),
        (lambda: OpenLoop(0.0), "`rate > 0` must hold, but got 0.0"),
        (lambda: OpenLoop(-1.0), "`rate > 0` must hold, but got -1.0"),
        (lambda: OpenLoop(math.nan), "`rate > 0` must hold, but got nan"),
        (lambda: Ramp((), 1.0), "rates and step must be above 0"),
        (lambda: Ramp((0.0,), 1.0), "rates and step must be above 0"),
        (lambda: Ramp((1.0,), 0.0), "rates and step must be above 0"),
        (lambda: Replay(()), "needs intervals of 0 s or more"),
        (lambda: Replay((0.0,)), "needs intervals of 0 s or more"),
        (lambda: Replay((-1.0, 2.0)), "needs intervals of 0 s or more"),
    ],
    ids=itertools.count(),
)
def test_a_profile_that_is_no_load_is_refused(make: Callable[[], object], complaint: str) -> None:
    """There are requests: in flight, at a rate, or after intervals."""
    with pytest.raises(ValueError, match=complaint):
        make()


@given(
    rate=st.floats(0.1, 2000.0),
    duration_s=st.floats(0.05, 20.0),
    arrivals=st.sampled_from(Arrivals),
    seed=st.integers(0, 99),
)
def test_a_schedule_offers_the_rate_exactly(
    rate: float, duration_s: float, arrivals: Arrivals, seed: int
) -> None:
    """`rate * duration` moments, ascending, within the run."""
    times = schedule(OpenLoop(rate, arrivals, seed), duration_s)
    assert len(times) == max(1, round(rate * duration_s))
    assert times[0] >= 0
    assert (np.diff(times) >= 0).all()
    assert times[-1] < duration_s


def test_constant_arrivals_are_evenly_spaced() -> None:
    """The first request is due at once."""
    assert schedule(OpenLoop(4, Arrivals.CONSTANT), 1.0).tolist() == [0.0, 0.25, 0.5, 0.75]


def test_poisson_arrivals_are_poisson() -> None:
    """Gaps are exponential: their standard deviation is their mean, and they are independent."""
    gaps = np.diff(schedule(OpenLoop(1000, seed=4), 50.0))
    assert gaps.mean() == pytest.approx(1e-3, rel=0.01)
    assert gaps.std() == pytest.approx(1e-3, rel=0.03)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.02


def test_the_rate_scales_one_stream() -> None:
    """Common random numbers: a faster run meets the same gaps, faster."""
    slow, fast = schedule(OpenLoop(100, seed=4), 10.0), schedule(OpenLoop(200, seed=4), 5.0)
    np.testing.assert_allclose(fast, slow / 2)
    longer = schedule(OpenLoop(100, seed=4), 20.0)
    ratio = longer[:1000] / slow
    np.testing.assert_allclose(ratio, ratio[0])


def test_seeds_differ() -> None:
    """Another seed is another stream."""
    first, other = (schedule(OpenLoop(100, seed=seed), 1.0) for seed in (0, 1))
    assert not np.allclose(first, other)


def test_a_ramp_is_one_schedule_with_steps() -> None:
    """Each step has its own rate, exactly, and follows the one before without a pause."""
    ramp = Ramp((100.0, 200.0, 50.0), step_s=2.0, seed=5)
    times = schedule(ramp, 6.0)
    assert (np.diff(times) >= 0).all()
    assert np.histogram(times, bins=[0, 2, 4, 6])[0].tolist() == [200, 400, 100]
    even = schedule(Ramp((1.0, 2.0), 2.0, Arrivals.CONSTANT), 4.0)
    assert even.tolist() == [0.0, 1.0, 2.0, 2.5, 3.0, 3.5]


def test_a_replay_repeats_its_intervals() -> None:
    """The file is played again and again until the run ends."""
    times = schedule(Replay((0.1, 0.2, 0.0)), 0.9)
    assert times.tolist() == pytest.approx([0.1, 0.3, 0.3, 0.4, 0.6, 0.6, 0.7])
    assert schedule(Replay((5.0,)), 1.0).tolist() == [5.0]


def test_an_address_of_ipv6_is_put_into_brackets() -> None:
    """As RFC 3986, 3.2.2, has it."""
    assert Endpoint("::1", 8000).authority == "[::1]:8000"
    assert Endpoint("localhost", 80).authority == "localhost:80"


PROFILES = [
    OpenLoop(2000, seed=2),
    OpenLoop(2000, Arrivals.CONSTANT),
    Ramp((900.0, 3000.0), 2.5, seed=1),
    Replay(tuple(0.0005 + 0.001 * (n % 3) for n in range(5000))),
    Replay((0.0007, 0.0)),
]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("of", [1, 3])
@pytest.mark.parametrize("most", [None, 1, 4096, 5000])
def test_a_schedule_is_dealt_out_in_blocks(
    profile: OpenLoop | Ramp | Replay, of: int, most: int | None
) -> None:
    """Every due time is one process's, and none is lost between two blocks."""
    whole = schedule(profile, 5.0)[:most]
    for index in range(of):
        parts = list(part_of(blocks(profile, 5.0), Share(index, of), most))
        assert all(len(each) for each in parts)
        dealt = np.concatenate([*parts, np.empty(0)])
        np.testing.assert_array_equal(dealt, whole[index::of])

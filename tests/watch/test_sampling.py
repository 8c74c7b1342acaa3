"""Samples at an interval, for as long as a block lasts."""

import threading
from itertools import count

import pytest

from tests.runner_tests.waiting import DEADLINE_S
from tuner.watch.sampling import Samples, sampled

_NEVER_S = 1000.0


def test_both_ends() -> None:
    """However short the window is, it has a sample of its begin and one of its end."""
    numbers = count()
    with sampled(lambda: next(numbers), _NEVER_S) as samples:
        assert samples.begin == 0
        assert samples.end is None

    assert samples == Samples(begin=0, inside=[], end=1)
    assert samples.within == [0, 1]


def test_inside() -> None:
    """Inside, there is a sample at each interval; they alone count as within the window."""
    numbers, third = count(), threading.Event()

    def take() -> int:
        number = next(numbers)
        if number == 3:
            third.set()
        return number

    with sampled(take, 0.001) as samples:
        assert third.wait(DEADLINE_S)

    assert samples.begin == 0
    assert samples.inside[:3] == [1, 2, 3]
    assert samples.end == len(samples.inside) + 1
    assert samples.within == samples.inside


def test_what_could_not_be_had() -> None:
    """Missing samples are left out."""
    fourth, numbers = threading.Event(), count()

    def take() -> None:
        if next(numbers) == 4:
            fourth.set()

    samples: Samples[int]
    with sampled(take, 0.001) as samples:
        assert fourth.wait(DEADLINE_S)

    assert samples == Samples()
    assert samples.within == []
    assert Samples(begin=None, end=7).within == [7]


def test_the_thread_ends_with_the_block() -> None:
    """No thread is left, and after a fault in the block there is no sample of its end."""
    taken: list[int] = []

    def take() -> int:
        taken.append(threading.get_ident())
        return 0

    with pytest.raises(KeyboardInterrupt), sampled(take, _NEVER_S):
        raise KeyboardInterrupt

    assert len(taken) == 1
    assert not {thread.ident for thread in threading.enumerate()} & set(taken)
    assert threading.get_ident() not in taken


def test_a_fault_of_the_source() -> None:
    """A source that raises is a fault of the program, and is not hidden."""

    def take() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), sampled(take, _NEVER_S):
        pytest.fail("the block began")

"""The kernel's timer as a file descriptor."""

import select
from time import monotonic

import pytest

from tuner.load import timer as timer_module
from tuner.load.timer import Timer


def readable(timer: Timer, timeout_s: float) -> bool:
    return bool(select.select([timer.fd], [], [], timeout_s)[0])


def test_it_fires_at_its_moment() -> None:
    """Not before, and then until someone has taken note."""
    with Timer() as timer:
        moment_s = monotonic() + 0.05
        timer.set(moment_s)
        assert not readable(timer, 0.0)
        assert readable(timer, 5.0)
        assert monotonic() >= moment_s
        assert readable(timer, 0.0)
        timer.clear()
        assert not readable(timer, 0.0)


@pytest.mark.parametrize("moment_s", [0.0, 1.0, 1.5])
def test_a_moment_that_has_passed_fires_at_once(moment_s: float) -> None:
    """A loop that is late has its timer at once, not never."""
    with Timer() as timer:
        timer.set(moment_s)
        assert readable(timer, 1.0)


def test_setting_it_again_moves_it() -> None:
    """There is one moment at a time."""
    with Timer() as timer:
        timer.set(0.0)
        timer.set(monotonic() + 60.0)
        assert not readable(timer, 0.05)


def test_clearing_what_has_not_fired_does_nothing() -> None:
    """A firing that someone else has read already is no error."""
    with Timer() as timer:
        timer.clear()
        assert not readable(timer, 0.0)


def test_a_timer_that_the_system_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the system's."""
    monkeypatch.setattr(timer_module, "_CLOCK_MONOTONIC", 9999)
    with pytest.raises(OSError, match="timerfd_create: Invalid argument"):
        Timer()

"""Calls that may never return are waited for no longer than is said."""

import threading

import pytest

from tuner.fleet.calls import Calls, StuckError


def test_what_a_call_returns_or_raises_comes_back() -> None:
    """From one thread, whoever wants it."""
    calls = Calls()
    threads = {calls.made(threading.get_ident, 60.0) for _ in range(3)}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    with pytest.raises(ZeroDivisionError):
        calls.made(lambda: 1 // 0, 60.0)
    assert calls.made(lambda: 7, 60.0) == 7


def test_a_call_that_does_not_return() -> None:
    """Those behind it wait as well; once it returns, they are made."""
    calls, going = Calls(), threading.Event()
    with pytest.raises(StuckError, match="no answer within 0 s"):
        calls.made(going.wait, 0.01)
    with pytest.raises(StuckError):
        calls.made(lambda: 7, 0.01)
    going.set()
    assert calls.made(lambda: 8, 60.0) == 8

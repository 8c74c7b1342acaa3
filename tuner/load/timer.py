"""A timer of the kernel as a file descriptor: wakes an event loop to the microsecond.

asyncio's own timers are whole milliseconds (uvloop) or worse; see timerfd_create(2). Python has it
from 3.13 on only.
"""

import ctypes
import os
from contextlib import AbstractContextManager
from time import monotonic

# Of Linux: TFD_NONBLOCK and TFD_CLOEXEC of sys/timerfd.h,
_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
# the clock of time.monotonic(),
_CLOCK_MONOTONIC = 1
# and TFD_TIMER_ABSTIME.
_ABSOLUTE = 1

# Seconds from one timer to the next at least. Requests that are due closer to each other are sent
# together: to wake up for each would take more processor time than to send it. What that delays
# them is send lag, and counted.
_WAKE_EVERY_S = 25e-6
# Seconds that the kernel takes to wake a process up. The timer is set early by these, and the rest
# of the time is spent in looking at the clock,
_WAKES_AFTER_S = 30e-6
# where requests are further apart than this, in seconds: then it takes 3 % of a core at most.
_SPARSE_S = 1e-3


class _Spec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Timer(AbstractContextManager["Timer", None]):
    """Readable once the moment that was set has come; moments are those of time.monotonic()."""

    def __init__(self) -> None:
        self._settime = ctypes.CDLL(None, use_errno=True).timerfd_settime
        self._spec = _Spec()
        self._pointer = ctypes.byref(self._spec)
        self.fd = ctypes.CDLL(None, use_errno=True).timerfd_create(
            _CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC
        )
        if self.fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_create: {os.strerror(number)}")

    def set(self, moment_s: float) -> None:
        """Fire at `moment_s`; at once, if that has passed. An earlier firing is taken note of."""
        seconds = int(moment_s)
        self._spec.value_s = seconds
        # A value of zero would disarm the timer.
        self._spec.value_ns = max(1, int((moment_s - seconds) * 1e9))
        self._settime(self.fd, _ABSOLUTE, self._pointer, None)

    def set_for(self, due_s: float, now_s: float) -> None:
        """Fire in time for what is due at `due_s`; `until` waits for the rest."""
        early_s = _WAKES_AFTER_S if due_s - now_s > _SPARSE_S else 0.0
        self.set(max(due_s - early_s, now_s + _WAKE_EVERY_S))

    def clear(self) -> None:
        """Take note of a firing, so that the descriptor is not readable any more."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def until(due_s: float, now_s: float) -> float:
    """What the clock says: at `due_s`, if a process that sleeps would wake up after it."""
    if now_s < due_s <= now_s + _WAKES_AFTER_S:
        while (now_s := monotonic()) < due_s:
            pass
    return now_s

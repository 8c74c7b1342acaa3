"""A timer of the kernel as a file descriptor: wakes an event loop to the microsecond.

asyncio's own timers are whole milliseconds (uvloop) or worse; see timerfd_create(2). Python has it
from 3.13 on only.
"""

import ctypes
import os
from contextlib import AbstractContextManager

# Of Linux: TFD_NONBLOCK and TFD_CLOEXEC of sys/timerfd.h,
_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
# the clock of time.monotonic(),
_CLOCK_MONOTONIC = 1
# and TFD_TIMER_ABSTIME.
_ABSOLUTE = 1


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

    def clear(self) -> None:
        """Take note of a firing, so that the descriptor is not readable any more."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

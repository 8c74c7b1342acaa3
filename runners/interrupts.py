"""Keeps Ctrl-C, SIGTERM and SIGHUP waiting while something must not be torn apart."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

_DEFERRED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Deliver SIGINT, SIGTERM and SIGHUP only when the block is left, however it is left.

    A signal mask would not do: with a second thread about, the kernel hands the signal to that
    one and Python still raises KeyboardInterrupt in the main thread. Outside the main thread
    there is nothing to defer, because Python never runs a signal handler there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    with ExitStack() as stack:
        stack.callback(_deliver, arrived)
        for number in _DEFERRED:
            handler = signal.getsignal(number)
            if handler is not None:  # None: installed by C code, which only C code can restore
                stack.callback(signal.signal, number, handler)
                signal.signal(number, remember)
        yield


def _deliver(arrived: list[int]) -> None:
    for number in dict.fromkeys(arrived):
        signal.raise_signal(number)

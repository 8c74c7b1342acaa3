"""Calls that may never return: a thread makes them, and is given up where one does not."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class StuckError(Exception):
    """A call did not return in time."""


class Calls:
    """Makes them one after the other, in a thread that does not outlive the process."""

    def __init__(self) -> None:
        self._wanted: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._make, name="calls", daemon=True).start()

    def made(self, call: Callable[[], T], timeout_s: float) -> T:
        """What the call returns or raises, in so many seconds.

        Raises:
            StuckError: It does neither; those that are wanted after it wait for it as well.
        """
        found: Future[T] = Future()

        def make() -> None:
            try:
                found.set_result(call())
            except BaseException as error:  # noqa: BLE001 - whoever wants the call is told
                found.set_exception(error)

        self._wanted.put(make)
        wait([found], timeout_s)
        if not found.done():
            raise StuckError(f"no answer within {timeout_s:.0f} s")
        return found.result()

    def _make(self) -> None:
        while True:
            self._wanted.get()()

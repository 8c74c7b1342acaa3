"""Samples of a server, taken at an interval for as long as a load point lasts."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Sample = TypeVar("Sample")


@dataclass
class Samples(Generic[Sample]):
    """What was seen over one window: when it began, at the interval inside it, and when it ended.

    `begin` and `end` are for counters: their growth is that of the window. `within` is for gauges,
    which the idle moments beside the load would dilute. What could not be had is None, or missing.
    """

    begin: Sample | None = None
    inside: list[Sample] = field(default_factory=list)
    end: Sample | None = None

    @property
    def all(self) -> list[Sample]:
        """What could be had, in order."""
        return [each for each in (self.begin, *self.inside, self.end) if each is not None]

    @property
    def within(self) -> list[Sample]:
        """The samples from inside; of a window shorter than the interval, those of its ends."""
        return self.inside or self.all


@contextmanager
def sampled(take: Callable[[], Sample | None], interval_s: float) -> Iterator[Samples[Sample]]:
    """Call `take` now, every `interval_s` seconds within the block, and at its end.

    All calls are made by one thread of their own. `take` returns in bounded time, and None where
    there is nothing to be had.
    """
    samples: Samples[Sample] = Samples()
    ended = threading.Event()

    def take_inside() -> None:
        while not ended.wait(interval_s):
            if (sample := take()) is not None:
                samples.inside.append(sample)

    with ThreadPoolExecutor(1, thread_name_prefix="sampling") as thread:
        samples.begin = thread.submit(take).result()
        inside = thread.submit(take_inside)
        try:
            yield samples
        finally:
            ended.set()
        inside.result()
        samples.end = thread.submit(take).result()

"""Time that a virtual machine's host took for others, and load points without it.

The host runs other guests on the same processors. While it does, server and load engine stand
still, and what queued up meanwhile is late: that says nothing of a configuration, but it can make
any p99. The kernel counts it as steal time (proc_stat(5)), in hundredths of a second.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import psutil

from tuner.load import Measurement, OpenLoop
from tuner.targets.sampling import Samples, sampled

# Stolen time is looked at in windows of so many seconds. One is spoiled that lost this share of
# its processor time, and more than one tick of the kernel's count.
_WINDOW_S, _SPOILED_SHARE, _LEAST_STOLEN_S = 0.25, 0.025, 0.015
# What waited during a spoiled window is gone after so many latency limits, or after one window.
_RECOVERY_LIMITS = 4
_SHORTEST_PART_S = 0.1

Span = tuple[float, float]
"""From one moment of the monotonic clock to another, in seconds."""


@dataclass(frozen=True)
class Reading:
    """Processor seconds stolen since the machine started, of all its processors."""

    at_s: float
    stolen_s: float


@dataclass
class StolenTime:
    """What was stolen while the block of `watched` lasted; nothing where nobody counts it."""

    readings: Sequence[Reading] = ()
    processors: int = field(default_factory=lambda: os.cpu_count() or 1)

    def spoiled(self, limit_s: float) -> list[Span]:
        """When latencies near `limit_s` were the host's doing, in order and apart."""
        recovery_s = min(_RECOVERY_LIMITS * limit_s, _WINDOW_S)
        spans: list[Span] = []
        for before, after in pairwise(self.readings):
            if not self._is_spoiled(before, after):
                continue
            begin_s, end_s = before.at_s - limit_s, after.at_s + recovery_s
            if spans and begin_s <= spans[-1][1]:
                begin_s = spans.pop()[0]
            spans.append((begin_s, end_s))
        return spans

    def _is_spoiled(self, before: Reading, after: Reading) -> bool:
        stolen_s = after.stolen_s - before.stolen_s
        processor_s = self.processors * (after.at_s - before.at_s)
        return stolen_s > _LEAST_STOLEN_S and stolen_s > _SPOILED_SHARE * processor_s


@contextmanager
def watched() -> Iterator[StolenTime]:
    """Count what is stolen within the block; known once it has ended."""
    stolen = StolenTime()
    samples: Samples[Reading] = Samples()
    try:
        with sampled(_read, _WINDOW_S) as samples:
            yield stolen
    finally:
        ends = (samples.begin, *samples.inside, samples.end)
        stolen.readings = [each for each in ends if each is not None]


def undisturbed(measurement: Measurement, spans: Sequence[Span]) -> tuple[Measurement, float]:
    """`measurement` without the spoiled `spans`, and the share of its time that is left.

    Only an open loop can be cut: users who wait for answers were late afterwards, too. The other
    loads, and those that were stopped early, come back whole; nothing is left of the latter.
    """
    whole_s = measurement.duration_s
    begins_s = [0.0, *(end_s - measurement.start_s for _, end_s in spans)]
    ends_s = [*(begin_s - measurement.start_s for begin_s, _ in spans), whole_s]
    kept = [(max(0.0, a), min(b, whole_s)) for a, b in zip(begins_s, ends_s, strict=True)]
    kept = [(a, b) for a, b in kept if b - a >= _SHORTEST_PART_S]
    if kept == [(0.0, whole_s)]:
        return measurement, 1.0
    if measurement.stopped_early or not kept:
        return measurement, 0.0
    share = sum(b - a for a, b in kept) / whole_s
    if not isinstance(measurement.profile, OpenLoop):
        return measurement, share
    parts = [measurement.between(measurement.profile, a, b) for a, b in kept]
    return Measurement.pooled(parts), share


def _read() -> Reading | None:
    stolen_s = getattr(psutil.cpu_times(), "steal", None)
    return None if stolen_s is None else Reading(time.monotonic(), stolen_s)

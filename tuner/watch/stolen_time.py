"""Time that a virtual machine's host took for others, and load points without it.

The host runs other guests on the same processors. While it does, server and load engine stand
still, and what queued up meanwhile is late: that says nothing of a configuration, but it can make
any p99. The kernel counts it as steal time (proc_stat(5)), in hundredths of a second; for less
than that, a load engine with real-time priority is the witness: nothing but a machine that stands
still keeps it from sending in time (the idea of jHiccup, Tene 2012), unless it has too much to do
itself, which its processor time tells.
"""

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise

import psutil

from tuner.load.measurement import LATE, REAL_TIME, Measurement
from tuner.load.profile import OpenLoop
from tuner.watch.sampling import Samples, sampled

# Stolen time is read at this interval, in seconds, and looked at in windows of that length, or of
# the latency limit, if that is more: an answer of seconds does not care for a hundredth.
_WINDOW_S = 0.25
# A window is spoiled that lost more than this share of its processor time,
_SPOILED_SHARE = 0.025
# and more than one tick of the kernel's count, in seconds.
_LEAST_STOLEN_S = 0.015
# What waited during a spoiled window is gone after this number of latency limits, or a window.
_RECOVERY_LIMITS = 4
# A queue is gone after this multiple of the time that it grew, where nine tenths are in use.
_RECOVERY_TIMES = 9
# What is left of a load between two spoiled windows counts from this length on, in seconds.
_SHORTEST_PART_S = 0.05

Span = tuple[float, float]
"""From one moment of the monotonic clock to another, in seconds."""


@dataclass(frozen=True)
class StolenReading:
    """Processor seconds stolen since the machine started, of all its processors."""

    at_s: float
    stolen_s: float


@dataclass
class StolenTime:
    """What was stolen while the block of `watched` lasted; nothing where nobody counts it."""

    readings: Sequence[StolenReading] = ()
    processors: int = field(default_factory=lambda: os.cpu_count() or 1)

    def spoiled(self, limit_s: float) -> list[Span]:
        """When latencies near `limit_s` were the host's doing."""
        recovery_s = min(_RECOVERY_LIMITS * limit_s, _WINDOW_S)
        each = max(1, int(limit_s / _WINDOW_S))
        ends = [*self.readings[:-1:each], *self.readings[-1:]]
        return [
            (before.at_s - limit_s, after.at_s + recovery_s)
            for before, after in pairwise(ends)
            if self._is_spoiled(before, after)
        ]

    def _is_spoiled(self, before: StolenReading, after: StolenReading) -> bool:
        stolen_s = after.stolen_s - before.stolen_s
        processor_s = self.processors * (after.at_s - before.at_s)
        return stolen_s > _LEAST_STOLEN_S and stolen_s > _SPOILED_SHARE * processor_s


@contextmanager
def watched() -> Iterator[StolenTime]:
    """Count what is stolen within the block; known once it has ended."""
    stolen = StolenTime()
    samples: Samples[StolenReading] = Samples()
    try:
        with sampled(_read, _WINDOW_S) as samples:
            yield stolen
    finally:
        stolen.readings = samples.all


def stood_still(measurement: Measurement, *, late_s: float, limit_s: float) -> list[Span]:
    """When sends of an open loop were more than `late_s` late although nothing had precedence.

    From `limit_s` (what was in flight) before each such send until what queued up is gone; in
    seconds of the monotonic clock.
    """
    if measurement.priority != REAL_TIME or not isinstance(measurement.profile, OpenLoop):
        return []
    late = measurement.lags_s > late_s
    due_s, lags_s = measurement.start_s + measurement.due_s[late], measurement.lags_s[late]
    ends_s = due_s + (1 + _RECOVERY_TIMES) * lags_s
    return list(zip((due_s - limit_s).tolist(), ends_s.tolist(), strict=True))


def undisturbed(measurement: Measurement, spans: Sequence[Span]) -> tuple[Measurement, float]:
    """`measurement` without the spoiled `spans`, and the share of its time that is left.

    Only an open loop can be cut, since users who wait for answers were late afterwards, too; and
    only one without failures, whose kinds would be lost. Others come back whole, as do loads that
    were stopped for an overload, of which nothing is left.
    """
    whole_s = measurement.duration_s
    kept = list(_between(spans, measurement.start_s, measurement.start_s + whole_s))
    share = sum(b - a for a, b in kept) / whole_s
    if math.isclose(share, 1.0):
        return measurement, 1.0
    if measurement.stopped_early not in ("", LATE) or not kept:
        return measurement, 0.0
    if not isinstance(measurement.profile, OpenLoop) or measurement.failed:
        return measurement, share
    parts = [measurement.between(measurement.profile, a, b) for a, b in kept]
    # Each part says these of the whole.
    return replace(
        Measurement.pooled(parts),
        stopped_early="",  # what was late may be what was cut out
        reconnected=measurement.reconnected,
        first_response=measurement.first_response,
        tokens=measurement.tokens,
    ), share


def _between(spans: Sequence[Span], first_s: float, last_s: float) -> Iterator[Span]:
    """What lies between `spans`, in seconds from `first_s`; not what is too short to matter."""
    since_s = first_s
    for begin_s, end_s in [*sorted(spans), (last_s, last_s)]:
        until_s = min(begin_s, last_s)
        if until_s - since_s >= _SHORTEST_PART_S:
            yield since_s - first_s, until_s - first_s
        since_s = max(since_s, end_s)


def _read() -> StolenReading | None:
    stolen_s = getattr(psutil.cpu_times(), "steal", None)
    return None if stolen_s is None else StolenReading(time.monotonic(), stolen_s)

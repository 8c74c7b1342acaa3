"""When the requests of a run are due: a pacer for each way of arriving."""

import math
from array import array
from collections.abc import Iterator
from typing import Protocol

from tuner.load.arrivals import blocks, part_of
from tuner.load.histogram import FloatArray
from tuner.load.profile import ClosedLoop, LoadRun, OpenLoop, Ramp, Replay

# Seconds that answers may take for the lanes with which an open loop begins to be enough.
_ANSWERED_IN_S = 0.005


class Pacer(Protocol):
    """Decides when the next request is due, and when there is none any more.

    A closed loop has `users`: each keeps to one lane, and its next request is due when that lane
    is free. An open loop has none (0): its requests are due by the clock, lane or no lane.
    `busy_lanes` is how many lanes a run may be expected to need from its start.
    """

    users: int
    busy_lanes: float

    def begin(self, start_s: float) -> None:
        """The run starts at `start_s`; moments are seconds of the monotonic clock."""

    def due_s(self, now_s: float, begun: int) -> float:
        """When the request after the first `begun` is due; infinity if there is none."""


class ClosedLoopPacer:
    """At once, until the time or the number of requests is over."""

    def __init__(self, run: LoadRun, profile: ClosedLoop) -> None:
        self.users = run.share.part(profile.concurrency)
        self.busy_lanes = float(self.users)
        self._duration_s = run.duration_s
        self._most = run.share.part(run.max_requests) if run.max_requests else math.inf

    def begin(self, start_s: float) -> None:
        self._end_s = start_s + self._duration_s

    def due_s(self, now_s: float, begun: int) -> float:
        return now_s if now_s < self._end_s and begun < self._most else math.inf


class OpenLoopPacer:
    """At the moments of a schedule (arrivals.py), which is made block by block."""

    users = 0

    def __init__(self, run: LoadRun, profile: OpenLoop | Ramp | Replay) -> None:
        self.busy_lanes = profile.rate / run.share.of * _ANSWERED_IN_S
        whole = blocks(profile, run.duration_s)
        self._blocks: Iterator[FloatArray] = part_of(whole, run.share, run.max_requests or None)
        self._moments = array("d")  # of the block that is under way
        self._passed = 0  # requests of the blocks before it

    def begin(self, start_s: float) -> None:
        self._start_s = start_s
        self._take_block()

    def due_s(self, now_s: float, begun: int) -> float:
        if begun - self._passed == len(self._moments):
            self._take_block()
        return self._moments[begun - self._passed]

    def _take_block(self) -> None:
        self._passed += len(self._moments)
        block = next(self._blocks, None)
        self._moments = array("d", [math.inf] if block is None else block + self._start_s)


def pacer_of(run: LoadRun) -> Pacer:
    match run.profile:
        case ClosedLoop() as profile:
            return ClosedLoopPacer(run, profile)
        case profile:
            return OpenLoopPacer(run, profile)

"""What took the machine's time from a load point, beside the server and the load engine.

Much of what others do is there all the time: only what is more than before disturbs.
"""

import math
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import psutil

from tuner.watch.host_checks import Machine, own_groups, read

# What others usually take is the least of this many load points before.
_USUAL_OF = 5


class Disturbance(StrEnum):
    """Who took it.

    stolen    the host of this virtual machine, for other guests (see `stolen_time`)
    stalled   nobody knows who: the load engine could not send in time, and nothing has precedence
    others    other processes than the server's and ours; share of the processors
    quota     the limit of the group that this process is in (cgroup v2); share of the processors
    swap      memory that went to the disk and back; MiB a second
    heat      processors that were slowed down for their temperature; times a second
    """

    STOLEN = "stolen"
    STALLED = "stalled"
    OTHERS = "others"
    QUOTA = "quota"
    SWAP = "swap"
    HEAT = "heat"


# What changes a measurement; of others, what is more than usual. Quota, swap and heat may be the
# doing of the configuration that is measured: they are told of, and nothing else.
_TOO_MUCH = {
    Disturbance.OTHERS: 0.1,
    Disturbance.QUOTA: 0.02,
    Disturbance.SWAP: 1.0,
    Disturbance.HEAT: 0.0,
}


@dataclass(frozen=True)
class HostReading:
    """What the kernel has counted since the machine started; 0 is what it does not count.

    `at_s` is a moment of the monotonic clock. `busy_s`, `own_s` and `waited_s` are seconds of
    processors: of all processes, of this one, and those in which a process of our group was ready
    and the group had spent its quota.
    """

    at_s: float = 0.0
    busy_s: float = 0.0
    own_s: float = 0.0
    waited_s: float = 0.0
    swapped_bytes: int = 0
    throttled: int = 0


@dataclass
class HostWindow:
    """The readings at the ends of a block; `end` is there once it is over."""

    begin: HostReading
    end: HostReading = field(default_factory=HostReading)

    def amounts(self, served_s: float) -> dict[Disturbance, float]:
        """How much of each there was; NaN is what is not known.

        `served_s` is the processor time of server and load engine; NaN if nobody looked.
        """
        begin, end = self.begin, self.end
        lasted_s = end.at_s - begin.at_s
        processors_s = lasted_s * (psutil.cpu_count() or 1)
        others_s = end.busy_s - begin.busy_s - (end.own_s - begin.own_s) - served_s
        return {
            Disturbance.OTHERS: others_s / processors_s,
            Disturbance.QUOTA: (end.waited_s - begin.waited_s) / processors_s,
            Disturbance.SWAP: (end.swapped_bytes - begin.swapped_bytes) / 2**20 / lasted_s,
            Disturbance.HEAT: (end.throttled - begin.throttled) / lasted_s,
        }


class UsualHost:
    """What others took of the last load points, from which what is more is told."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=_USUAL_OF)

    def disturbed(self, amounts: Mapping[Disturbance, float]) -> tuple[Disturbance, ...]:
        """What there was too much of; what others took is remembered for the next load points."""
        found = []
        for each, amount in amounts.items():
            usual = 0.0
            if each is Disturbance.OTHERS:
                usual = min(self._seen, default=math.inf)
                if not math.isnan(amount):
                    self._seen.append(amount)
            if amount > usual + _TOO_MUCH[each]:
                found.append(each)
        return tuple(found)


@contextmanager
def host_watched() -> Iterator[HostWindow]:
    """Read the counters at both ends of the block."""
    window = HostWindow(host_reading(Machine()))
    try:
        yield window
    finally:
        window.end = host_reading(Machine())


def host_reading(machine: Machine) -> HostReading:
    """The counters as they are now."""
    times = psutil.cpu_times()
    pages = dict(line.split() for line in read(machine.proc / "vmstat").splitlines())
    swapped = int(pages.get("pswpin", 0)) + int(pages.get("pswpout", 0))
    throttled = machine.of_processors("thermal_throttle/core_throttle_count")
    return HostReading(
        at_s=time.monotonic(),
        busy_s=times.user + times.system + getattr(times, "nice", 0.0),
        own_s=time.process_time(),
        waited_s=max(map(_waited_s, own_groups(machine)), default=0.0),
        swapped_bytes=swapped * os.sysconf("SC_PAGE_SIZE"),
        throttled=sum(map(int, throttled)),
    )


def _waited_s(group: Path) -> float:
    said = dict(line.split() for line in read(group / "cpu.stat").splitlines())
    return int(said.get("throttled_usec", 0)) / 1e6

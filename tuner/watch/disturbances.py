"""What took the machine's time from a load point, beside the server and the load engine.

Much of it is there all the time, as a processor quota is: then it is a part of what the server
has. Only what is more than before disturbs.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import psutil

from tuner.watch.host_checks import Machine, own_groups, read

# What is usual is the least of this many load points before.
_USUAL_OF = 5
_PAGE_MIB = 4096 / 2**20


class Disturbance(StrEnum):
    """Who took it.

    stolen    the host of this virtual machine, for other guests (see `stolen_time`)
    others    other processes than the server's and ours; share of the processors
    quota     the limit of the group that this process is in (cgroup v2); share of the time
    swap      memory that went to the disk and back; MiB a second
    heat      a processor that was slowed down for its temperature; times a second
    """

    STOLEN = "stolen"
    OTHERS = "others"
    QUOTA = "quota"
    SWAP = "swap"
    HEAT = "heat"


# What more than usual changes a measurement.
_TOO_MUCH = {
    Disturbance.OTHERS: 0.1,
    Disturbance.QUOTA: 0.02,
    Disturbance.SWAP: 1.0,
    Disturbance.HEAT: 0.0,
}


@dataclass(frozen=True)
class HostReading:
    """What the kernel has counted since the machine started; 0 is what it does not count.

    `busy_s` and `waited_s` are seconds: of processors that processes used, and in which a process
    of our group was ready and the group had spent its quota.
    """

    busy_s: float = 0.0
    waited_s: float = 0.0
    swapped_pages: int = 0
    throttled: int = 0


@dataclass
class HostWindow:
    """The readings at the ends of a block; `end` is there once it is over."""

    begin: HostReading
    end: HostReading = field(default_factory=HostReading)

    def amounts(self, duration_s: float, own_s: float) -> dict[Disturbance, float]:
        """How much of each there was in `duration_s`; NaN is what is not known.

        `own_s` is the processor time of the server and of the load engine, of which the block has
        all; NaN if nobody looked.
        """
        begin, end = self.begin, self.end
        processors = psutil.cpu_count() or 1
        busy_s = end.busy_s - begin.busy_s
        return {
            Disturbance.OTHERS: (busy_s - own_s) / (processors * duration_s),
            Disturbance.QUOTA: (end.waited_s - begin.waited_s) / duration_s,
            Disturbance.SWAP: _PAGE_MIB * (end.swapped_pages - begin.swapped_pages) / duration_s,
            Disturbance.HEAT: (end.throttled - begin.throttled) / duration_s,
        }


class UsualHost:
    """What the last load points had of each, from which others are told."""

    def __init__(self) -> None:
        self._seen: dict[Disturbance, deque[float]] = {
            each: deque(maxlen=_USUAL_OF) for each in _TOO_MUCH
        }

    def disturbed(self, amounts: Mapping[Disturbance, float]) -> tuple[Disturbance, ...]:
        """What there was more of than before; it is remembered for the next load points."""
        found = []
        for each, amount in amounts.items():
            seen = self._seen[each]
            if math.isnan(amount):
                continue
            if seen and amount > min(seen) + _TOO_MUCH[each]:
                found.append(each)
            seen.append(amount)
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
    throttled = machine.of_processors("thermal_throttle/core_throttle_count")
    return HostReading(
        busy_s=times.user + times.system,
        waited_s=max(map(_waited_s, own_groups(machine)), default=0.0),
        swapped_pages=int(pages.get("pswpin", 0)) + int(pages.get("pswpout", 0)),
        throttled=max(map(int, throttled), default=0),
    )


def _waited_s(group: Path) -> float:
    said = dict(line.split() for line in read(group / "cpu.stat").splitlines())
    return int(said.get("throttled_usec", 0)) / 1e6

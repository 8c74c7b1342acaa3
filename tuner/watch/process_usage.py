"""What the server's processes take of their machine while they are under load."""

import contextlib
import ipaddress
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

import psutil

from tuner.watch.sampling import Samples, sampled


@dataclass(frozen=True)
class ProcessReading:
    """A process with its descendants at one moment of the monotonic clock.

    `cpu_s` is user and system time since they started, that of descendants which have ended
    included. `resident_bytes` counts memory that processes share once for each.
    """

    at_s: float
    cpu_s: float
    resident_bytes: int
    processes: int


@dataclass(frozen=True)
class ProcessUsage:
    """What a process and its descendants took over a load point.

    `cpu_s`, and `cores` used on average, are None where the process was not there from begin to
    end. `resident_bytes` is the largest of all readings, and so is `processes`.
    """

    pid: int
    name: str
    cpu_s: float | None
    cores: float | None
    resident_bytes: int
    processes: int


class ServerProcess:
    """A process of this machine, with all its descendants, that stays the same while it lives."""

    def __init__(self, process: psutil.Process, name: str) -> None:
        self._process = process
        self._name = name

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process `pid`; None if there is none, or if it may not be looked at."""
        try:
            process = psutil.Process(pid)
            return cls(process, process.name())
        except psutil.Error:
            return None

    @classmethod
    def listening(cls, host: str, port: int) -> Self | None:
        """The process that listens on `port` of this machine; of several, their common ancestor.

        None if that cannot be known: `host` is no loopback address, nothing listens there, or
        only the administrator may know (another user's process). What forwards a port (a proxy of
        containers, a tunnel) is taken for the server: its name tells.
        """
        if not _is_loopback(host):
            return None
        try:
            connections = psutil.net_connections("tcp")
        except psutil.Error:
            return None
        listening = [each for each in connections if each.status == psutil.CONN_LISTEN]
        pids = {each.pid for each in listening if each.laddr and each.laddr.port == port}
        eldest = [pid for pid in pids if pid is not None and not pids & _ancestors(pid)]
        return cls.of(eldest[0]) if len(eldest) == 1 else None

    @property
    def pid(self) -> int:
        return self._process.pid

    def window(self, interval_s: float = 1.0) -> AbstractContextManager[Samples[ProcessReading]]:
        """Looks at the processes within the block; `usage` makes sense of the samples."""
        return sampled(self._read, interval_s)

    def usage(self, windows: Sequence[Samples[ProcessReading]]) -> ProcessUsage | None:
        """The readings of one load point, which may have several windows; None without any."""
        readings = [each for window in windows for each in window.all]
        if not readings:
            return None
        cpu_s, length_s = (math.fsum(spans) for spans in zip(*map(_span, windows), strict=True))
        return ProcessUsage(
            pid=self.pid,
            name=self._name,
            cpu_s=None if math.isnan(cpu_s) else cpu_s,
            cores=None if math.isnan(cpu_s) else cpu_s / length_s,
            resident_bytes=max(each.resident_bytes for each in readings),
            processes=max(each.processes for each in readings),
        )

    def _read(self) -> ProcessReading | None:
        at_s = time.monotonic()
        try:
            own = _read_one(self._process)
            descendants = self._process.children(recursive=True)
        except psutil.Error:
            return None
        all_of_them = [own]
        for each in descendants:
            with contextlib.suppress(psutil.Error):  # it has just ended
                all_of_them.append(_read_one(each))
        return ProcessReading(
            at_s=at_s,
            cpu_s=math.fsum(cpu_s for cpu_s, _ in all_of_them),
            resident_bytes=sum(resident for _, resident in all_of_them),
            processes=len(all_of_them),
        )


def _read_one(process: psutil.Process) -> tuple[float, int]:
    """CPU seconds, those of children that have ended included, and resident bytes."""
    with process.oneshot():
        times = process.cpu_times()
        cpu_s = times.user + times.system + times.children_user + times.children_system
        return cpu_s, process.memory_info().rss


def _span(window: Samples[ProcessReading]) -> tuple[float, float]:
    """CPU seconds and length of the window; NaN where an end of it is not known."""
    begin, end = window.begin, window.end
    if begin is None or end is None:
        return math.nan, math.nan
    return end.cpu_s - begin.cpu_s, end.at_s - begin.at_s


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ancestors(pid: int) -> set[int]:
    try:
        return {each.pid for each in psutil.Process(pid).parents()}
    except psutil.Error:
        return set()

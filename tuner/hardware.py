"""What this machine has for a server to use, and a fingerprint to tell machines apart."""

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Hardware:
    """Cores are those this process may use, within a cgroup's quota; memory is in bytes."""

    cores: int
    memory_bytes: int
    numa_nodes: int
    processor: str
    kernel: str
    hostname: str

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits; equal on machines whose measurements can be compared."""
        facts = (self.cores, self.memory_bytes >> 30, self.processor, self.hostname)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:10]

    @property
    def bounds(self) -> Mapping[str, int]:
        """The names that a search space file may use in a bound."""
        return {
            "cores": self.cores,
            "memory_gib": self.memory_bytes >> 30,
            "numa_nodes": self.numa_nodes,
        }

    def as_record(self) -> dict[str, str | int]:
        return {**asdict(self), "fingerprint": self.fingerprint}


def detect() -> Hardware:
    """The machine this process runs on."""
    return Hardware(
        cores=_cores(),
        memory_bytes=_memory_bytes(),
        numa_nodes=max(1, len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))),
        processor=_processor(),
        kernel=platform.release(),
        hostname=platform.node(),
    )


def _cores() -> int:
    usable = len(os.sched_getaffinity(0))
    quota, _, period = _cgroup("cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        usable = min(usable, max(1, int(quota) // int(period)))
    return usable


def _memory_bytes() -> int:
    installed = int(psutil.virtual_memory().total)
    limit = _cgroup("memory.max")
    return min(installed, int(limit)) if limit.isdigit() else installed


def _cgroup(name: str) -> str:
    """A limit of the control group (version 2) that this process is in; empty if there is none."""
    try:
        group = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
        return (_CGROUP / group.lstrip("/") / name).read_text().strip()
    except OSError:
        return ""


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()

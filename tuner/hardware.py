"""What this machine has for a server to use, and a fingerprint to tell machines apart."""

import hashlib
import os
import platform
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import psutil

_PROC = Path("/proc")
_SYS = Path("/sys")

_ReadLimits = Callable[[str, str], Iterator[str]]


@dataclass(frozen=True)
class Hardware:
    """Cores are those this process may use, within a cgroup's quota; memory is in bytes.

    `numactl` says whether that program is installed; `gpus` counts NVIDIA's, those that
    CUDA_VISIBLE_DEVICES hides left out.
    """

    cores: int
    memory_bytes: int
    numa_nodes: int
    threads_per_core: int
    numactl: bool
    gpus: int
    processor: str
    kernel: str
    hostname: str

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits; equal on machines whose measurements can be compared."""
        facts = (self.cores, self.memory_bytes >> 30, self.processor, self.hostname)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:10]

    @property
    def kind(self) -> str:
        """Ten hexadecimal digits; equal on hosts that may measure one study together."""
        facts = (self.cores, self.memory_bytes >> 30, self.processor, self.gpus)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:10]

    @property
    def bounds(self) -> Mapping[str, int]:
        """The names that a search space file may use in a bound."""
        return {
            "cores": self.cores,
            "memory_gib": self.memory_bytes >> 30,
            "numa_nodes": self.numa_nodes,
            "threads_per_core": self.threads_per_core,
            "numactl": int(self.numactl),
            "gpus": self.gpus,
        }

    def limited(
        self,
        *,
        cpus: Collection[int] = (),
        cores: float = 0.0,
        memory_bytes: int = 0,
        gpus: int | None = None,
    ) -> "Hardware":
        """What a server has that may use only these processors, or so much time and memory.

        Empty and 0 are no limit, and so is None for the number of GPUs.
        """
        usable = min(self.cores, len(cpus) or self.cores, max(1, int(cores or self.cores)))
        memory = min(self.memory_bytes, memory_bytes or self.memory_bytes)
        left = self.gpus if gpus is None else min(self.gpus, gpus)
        return replace(self, cores=usable, memory_bytes=memory, gpus=left)

    def as_record(self) -> dict[str, str | int]:
        return {**asdict(self), "fingerprint": self.fingerprint}


def detect(*, proc: Path = _PROC, sys: Path = _SYS) -> Hardware:
    """The machine this process runs on, as `proc` and `sys` show it."""
    nodes = list((sys / "devices/system/node").glob("node[0-9]*"))
    limits = partial(_limits, proc, sys)
    return Hardware(
        cores=_cores(limits),
        memory_bytes=_memory_bytes(limits),
        numa_nodes=max(1, len(nodes)),
        threads_per_core=_threads_per_core(sys),
        numactl=shutil.which("numactl") is not None,
        gpus=_gpus(proc),
        processor=_processor(proc),
        kernel=platform.release(),
        hostname=platform.node(),
    )


def _limits(proc: Path, sys: Path, controller: str, name: str) -> Iterator[str]:
    """What the file `name` says in the control group of this process, and in those around it.

    `controller` is that of version 1; it is empty for version 2.
    """
    root = sys / "fs/cgroup" / controller
    for line in _text(proc / "self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            folder = root / group.lstrip("/")
            # In a container the group can be named as the host sees it: then only `root` is.
            for each in (folder, *folder.parents):
                if each.is_relative_to(root):
                    yield _text(each / name)


def quota(*, proc: Path = _PROC, sys: Path = _SYS) -> float | None:
    """The processors' worth of time that control groups allow; None where they set no limit."""
    return min(_quotas(partial(_limits, proc, sys)), default=None)


def _cores(limits: _ReadLimits) -> int:
    usable = len(os.sched_getaffinity(0))
    return min([usable, *(max(1, int(quota)) for quota in _quotas(limits))])


def _quotas(limits: _ReadLimits) -> Iterator[float]:
    quotas: list[Sequence[str]] = [text.split() for text in limits("", "cpu.max")]
    version_1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    quotas += zip(*(limits("cpu", name) for name in version_1), strict=True)
    for quota in quotas:
        if len(quota) == 2 and all(number.strip().isdigit() for number in quota):
            yield int(quota[0]) / int(quota[1])


def _memory_bytes(limits: _ReadLimits) -> int:
    installed = int(psutil.virtual_memory().total)
    said = (*limits("", "memory.max"), *limits("memory", "memory.limit_in_bytes"))
    return min([installed, *(int(limit) for limit in said if limit.isdigit())])


def _threads_per_core(sys: Path) -> int:
    """Of the first core: a list such as `0-1` or `0,4` (kernel, cputopology.rst)."""
    siblings = _text(sys / "devices/system/cpu/cpu0/topology/thread_siblings_list")
    ranges = [part.partition("-") for part in siblings.split(",") if part]
    return sum(int(end or first) - int(first) + 1 for first, _, end in ranges) or 1


def _gpus(proc: Path) -> int:
    """Those of NVIDIA's driver, and of them those that CUDA shows (CUDA C programming guide)."""
    there = len(list((proc / "driver/nvidia/gpus").glob("*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return there
    ids = [name.strip() for name in visible.split(",")]
    # What stands behind an id that is none is hidden as well.
    return min(there, len(list(takewhile(lambda name: name not in ("", "-1"), ids))))


def _processor(proc: Path) -> str:
    named = re.search(r"^model name[^:\n]*:(.*)", _text(proc / "cpuinfo"), re.MULTILINE)
    return named[1].strip() if named else platform.machine()


def _text(path: Path) -> str:
    """What the file says; nothing if it is not there."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""

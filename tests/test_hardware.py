"""The machine: what a server may use of it, within its control groups."""

import dataclasses
import os
import platform
from pathlib import Path

import psutil
import pytest

from tuner.hardware import Hardware, detect

GIB = 1 << 30
USABLE = len(os.sched_getaffinity(0))
INSTALLED = psutil.virtual_memory().total


class Machine:
    """A made-up /proc and /sys."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.sys = folder / "proc", folder / "sys"

    def write(self, path: str, text: str) -> None:
        file = self.proc.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def detect(self) -> Hardware:
        return detect(proc=self.proc, sys=self.sys)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))


def test_this_machine() -> None:
    """The machine that the tests run on has what a server needs."""
    found = detect()
    assert 1 <= found.cores <= USABLE
    assert 0 < found.memory_bytes <= INSTALLED
    assert found.numa_nodes >= 1
    assert found.processor
    assert (found.kernel, found.hostname) == (platform.release(), platform.node())


def test_nothing_to_be_found(machine: Machine) -> None:
    """Without /proc and /sys there are no limits, one node, and the architecture's name."""
    found = machine.detect()
    assert (found.cores, found.memory_bytes) == (USABLE, INSTALLED)
    assert (found.numa_nodes, found.processor) == (1, platform.machine())


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 16),
        ("400000 100000", 4),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("9900000 100000", 16),
        ("", 16),
        ("nonsense", 16),
    ],
)
def test_cores_within_a_quota(machine: Machine, quota: str, cores: int) -> None:
    """A quota counts as whole cores, at least one, and never adds any."""
    machine.write("proc/self/cgroup", "0::/job\n")
    machine.write("sys/fs/cgroup/job/cpu.max", quota + "\n")
    assert machine.detect().cores == cores


@pytest.mark.usefixtures("many_cores")
def test_limits_of_the_groups_around(machine: Machine) -> None:
    """The smallest limit counts, whether of the group itself or of one around it."""
    machine.write("proc/self/cgroup", "0::/slice/job\n")
    machine.write("sys/fs/cgroup/slice/job/cpu.max", "800000 100000\n")
    machine.write("sys/fs/cgroup/slice/cpu.max", "200000 100000\n")
    machine.write("sys/fs/cgroup/slice/memory.max", "1048576\n")
    machine.write("sys/fs/cgroup/slice/job/memory.max", "max\n")
    machine.write("sys/fs/memory.max", "1\n")
    found = machine.detect()
    assert (found.cores, found.memory_bytes) == (2, 1048576)


def test_memory_never_beyond_what_is_installed(machine: Machine) -> None:
    """A limit above the installed memory is no limit."""
    machine.write("proc/self/cgroup", "0::/\n")
    machine.write("sys/fs/cgroup/memory.max", f"{INSTALLED * 2}\n")
    assert machine.detect().memory_bytes == INSTALLED


@pytest.mark.usefixtures("many_cores")
def test_version_1_of_control_groups(machine: Machine) -> None:
    """Older hosts keep each controller in a tree of its own."""
    machine.write("proc/self/cgroup", "5:memory:/job\n2:cpu,cpuacct:/job\n0::/\n")
    machine.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", f"{GIB}\n")
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    machine.write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "300000\n")
    machine.write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n")
    machine.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    machine.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    found = machine.detect()
    assert (found.cores, found.memory_bytes) == (3, GIB)


@pytest.mark.usefixtures("many_cores")
def test_a_container_sees_its_own_group_as_the_root(machine: Machine) -> None:
    """Where the group is named as the host sees it, the limits are at the root of the tree."""
    machine.write("proc/self/cgroup", "0::/docker/0123abc\n")
    machine.write("sys/fs/cgroup/cpu.max", "200000 100000\n")
    assert machine.detect().cores == 2


def test_nodes_and_processor(machine: Machine) -> None:
    """NUMA nodes are counted, and the processor is called what it calls itself."""
    for node in ("node0", "node1", "nodes"):
        machine.write(f"sys/devices/system/node/{node}/cpulist", "0")
    machine.write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Made Up: 9000 @ 3 GHz\n")
    found = machine.detect()
    assert (found.numa_nodes, found.processor) == (2, "Made Up: 9000 @ 3 GHz")


EXAMPLE = Hardware(
    cores=4,
    memory_bytes=16 * GIB + 5,
    numa_nodes=2,
    threads_per_core=2,
    numactl=True,
    gpus=2,
    processor="Made Up 9000",
    kernel="6.1",
    hostname="rack-1",
)


def test_bounds() -> None:
    """The facts that a search space file can name."""
    assert EXAMPLE.bounds == {
        "cores": 4,
        "memory_gib": 16,
        "numa_nodes": 2,
        "threads_per_core": 2,
        "numactl": 1,
        "gpus": 2,
    }


def test_limited() -> None:
    """A server that may use less of the machine has as many cores as it may use."""
    assert EXAMPLE.limited() == EXAMPLE
    assert EXAMPLE.limited(cpus={0, 2}).cores == 2
    assert EXAMPLE.limited(cores=1.5).cores == 1
    assert EXAMPLE.limited(cores=0.5).cores == 1
    assert EXAMPLE.limited(cpus={0, 1, 2}, cores=8.0).cores == 3
    assert EXAMPLE.limited(memory_bytes=2 * GIB).bounds["memory_gib"] == 2
    assert EXAMPLE.limited(memory_bytes=64 * GIB).bounds["memory_gib"] == 16
    assert [EXAMPLE.limited(gpus=n).gpus for n in (0, 1, 8)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("siblings", "threads"), [("0\n", 1), ("0-1\n", 2), ("0,64\n", 2), ("0,4-6\n", 4), ("", 1)]
)
def test_threads_of_a_core(machine: Machine, siblings: str, threads: int) -> None:
    """The first core's list of threads says how many a core has; without one it is 1."""
    machine.write("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", siblings)
    assert machine.detect().threads_per_core == threads


@pytest.mark.parametrize("there", [True, False])
def test_numactl(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """Whether numactl is installed is seen on PATH."""
    program = tmp_path / "numactl"
    if there:
        program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.detect().numactl is there


@pytest.mark.parametrize(
    ("there", "visible", "gpus"),
    [
        (0, None, 0),
        (2, None, 2),
        (2, "", 0),
        (2, "-1", 0),
        (2, "1", 1),
        (4, "0, 2,3", 3),
        (4, "GPU-8932f937,-1,2", 1),
        (1, "0,1", 1),
        (0, "0", 0),
    ],
)
def test_gpus(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, there: int, visible: str | None, gpus: int
) -> None:
    """Those of NVIDIA's driver are counted, but not what CUDA_VISIBLE_DEVICES hides."""
    for number in range(there):
        machine.write(f"proc/driver/nvidia/gpus/0000:0{number}:00.0/information", "Model: GPU")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.detect().gpus == gpus


def test_record() -> None:
    """Everything is recorded, with the fingerprint."""
    record = EXAMPLE.as_record()
    assert record.pop("fingerprint") == EXAMPLE.fingerprint
    assert record == dataclasses.asdict(EXAMPLE)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"kernel": "6.2"}, True),
        ({"memory_bytes": 16 * GIB + 9}, True),
        ({"memory_bytes": 15 * GIB}, False),
        ({"cores": 3}, False),
        ({"processor": "Made Up 9001"}, False),
        ({"hostname": "rack-2"}, False),
    ],
)
def test_fingerprint(*, changes: dict[str, object], same: bool) -> None:
    """Another machine or another share of it has another fingerprint; an update has not."""
    other = dataclasses.replace(EXAMPLE, **changes)  # type: ignore[arg-type]  # fields by name
    assert (other.fingerprint == EXAMPLE.fingerprint) is same
    assert len(EXAMPLE.fingerprint) == 10

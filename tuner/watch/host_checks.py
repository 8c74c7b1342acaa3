"""Whether this machine is fit for measuring: what disturbs it, what that costs, what to change.

Read from /proc, /sys and the limits of this process; nothing is changed.
"""

import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

# How long it is watched what runs beside, in seconds.
_WATCH_S = 1.0
# Shares of all processors: what others may take of them, and what the host may.
_BUSY_SHARE = 0.05
_STOLEN_SHARE = 0.01
# Of a load engine with many connections.
_FILES = 4096
# The number of the capability that lets a process have real-time priority (capabilities(7)).
_SYS_NICE = 23
_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")


@dataclass(frozen=True)
class Check:
    """One property of the machine: what it is, and whether that is `fine`.

    `cost` is what it does to measurements where it is not, `cure` what to change.
    """

    name: str
    found: str
    fine: bool = True
    cost: str = ""
    cure: str = ""


@dataclass(frozen=True)
class Machine:
    """Where its files are."""

    proc: Path = field(default_factory=lambda: Path("/proc"))
    sys: Path = field(default_factory=lambda: Path("/sys"))

    def of_processors(self, file: str) -> list[str]:
        """What the file says for each processor."""
        folders = (self.sys / "devices/system/cpu").glob("cpu[0-9]*")
        return [text for folder in folders if (text := read(folder / file))]


def host_checks(machine: Machine | None = None) -> Iterator[Check]:
    """All that can be told, one after the other; those of others' load take a second."""
    for check in _CHECKS:
        if found := check(machine or Machine()):
            yield found


def checks_document(checks: Sequence[Check]) -> dict[str, Any]:
    """All of them as JSON content."""
    fit = all(check.fine for check in checks)
    return {"fit": fit, "checks": [asdict(check) for check in checks]}


def read(path: Path) -> str:
    """The content of a small file; empty if there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def own_groups(machine: Machine) -> list[Path]:
    """The folder of this process's group and of those that it is in (cgroup v2)."""
    lines = read(machine.proc / "self/cgroup").splitlines()
    own = next((line[len("0::/") :] for line in lines if line.startswith("0::/")), "")
    root = machine.sys / "fs/cgroup"
    return [each for each in (root / own, *(root / own).parents) if each.is_relative_to(root)]


def _cores(_: Machine) -> Check:
    cores = len(os.sched_getaffinity(0))
    return Check(
        "processors",
        str(cores),
        cores > 1,
        "load engine and server take turns, and each waits for the other",
        "measure on a machine with two or more, or from another one: `--runner remote`",
    )


def _governor(machine: Machine) -> Check | None:
    found = set(machine.of_processors("cpufreq/scaling_governor"))
    if not found:
        return None  # as on virtual machines
    return Check(
        "frequency governor",
        ", ".join(sorted(found)),
        found == {"performance"},
        "after a quiet moment a processor is slow: latencies at small loads are too long",
        "cpupower frequency-set --governor performance",
    )


def _turbo(machine: Machine) -> Check | None:
    off = read(machine.sys / "devices/system/cpu/intel_pstate/no_turbo")
    boost = read(machine.sys / "devices/system/cpu/cpufreq/boost")
    if not off and not boost:
        return None
    is_on = off == "0" or boost == "1"
    file = "intel_pstate/no_turbo" if off else "cpufreq/boost"
    return Check(
        "turbo",
        "on" if is_on else "off",
        not is_on,
        "the clock depends on the temperature and on how many cores work: long studies drift",
        f"echo {1 if off else 0} > /sys/devices/system/cpu/{file}",
    )


def _threads(machine: Machine) -> Check | None:
    active = read(machine.sys / "devices/system/cpu/smt/active")
    if not active:
        return None
    return Check(
        "threads of a core",
        "several (SMT)" if active == "1" else "one",
        active == "0",
        "load engine and server share cores: each slows the other by up to a third",
        "give each cores of its own: `--server-cpus` and `--engine-cpus` (`lscpu --extended`)",
    )


def _numa(machine: Machine) -> Check:
    nodes = len(list((machine.sys / "devices/system/node").glob("node[0-9]*"))) or 1
    return Check(
        "NUMA nodes",
        str(nodes),
        nodes == 1,
        "memory of the other node takes half as long again, and each start places it otherwise",
        "keep the server on one of them: `--server-cpus`",
    )


def _throttled(machine: Machine) -> Check | None:
    counts = machine.of_processors("thermal_throttle/core_throttle_count")
    if not counts:
        return None
    times = max(map(int, counts))
    return Check(
        "thermal throttling",
        f"{times} times since the start" if times else "never",
        times == 0,
        "a hot processor is slowed down: whatever is measured late is slower",
        "see to its cooling; turbo off keeps it cooler",
    )


def _clock(machine: Machine) -> Check | None:
    folder = machine.sys / "devices/system/clocksource/clocksource0"
    found = read(folder / "current_clocksource")
    if not found:
        return None
    return Check(
        "clock source",
        found,
        found in _CLOCKS,
        "each look at the clock takes a microsecond or more: the load engine is slower",
        f"echo tsc > {folder / 'current_clocksource'}, where that is available",
    )


def _others(_: Machine) -> Check:
    """What runs beside, and what the host of a virtual machine takes."""
    processes = _watched_processes()
    before = psutil.cpu_times()
    time.sleep(_WATCH_S)
    after = psutil.cpu_times()
    whole_s = sum(after) - sum(before) or 1.0
    busy = 1 - (after.idle - before.idle + after.iowait - before.iowait) / whole_s
    stolen = (after.steal - before.steal) / whole_s
    if stolen > _STOLEN_SHARE:
        return Check(
            "taken by the host",
            f"{stolen:.0%} of the processors",
            fine=False,
            cost="server and load engine stand still together: load points are measured again",
            cure="use a machine, or an instance, with processors of its own",
        )
    named = f" ({', '.join(_busiest(processes))})" if busy > _BUSY_SHARE else ""
    return Check(
        "other load",
        f"{busy:.0%} of the processors{named}",
        busy <= _BUSY_SHARE,
        "capacities are too low, and differ from hour to hour",
        "end what else runs on this machine",
    )


def _watched_processes() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            process.cpu_percent()  # the next call tells of the time since this one
            found.append(process)
    return found


def _busiest(processes: list[psutil.Process]) -> Iterator[str]:
    shares: list[tuple[float, str]] = []
    for process in processes:
        with suppress(psutil.Error):
            shares.append((process.cpu_percent(), process.name()))
    for share, name in sorted(shares, reverse=True)[:3]:
        if share > 0:
            yield f"{name} {share:.0f} %"


def _quota(machine: Machine) -> Check | None:
    said = [read(each / "cpu.max") for each in own_groups(machine)]
    limits = [text for text in said if text and not text.startswith("max")]
    if not any(said):
        return None
    return Check(
        "processor quota",
        ", ".join(limits) or "none",
        not limits,
        "a server that has used its share stands still until the next tenth of a second",
        "run without `--cpus` or a limit of the cluster; give whole processors instead",
    )


def _swap(_: Machine) -> Check:
    used = psutil.swap_memory().used
    return Check(
        "swap in use",
        f"{used / 2**20:.0f} MiB" if used else "none",
        used == 0,
        "a page that comes back from the disk takes milliseconds",
        "swapoff --all, if the memory is enough",
    )


def _files(_: Machine) -> Check:
    _soft, limit = resource.getrlimit(resource.RLIMIT_NOFILE)  # the engine takes what it may
    return Check(
        "open files",
        "any" if limit == resource.RLIM_INFINITY else str(limit),
        limit == resource.RLIM_INFINITY or limit >= _FILES,
        "a load of many connections ends with errors of the load engine",
        f"ulimit -Hn {_FILES}, as root; LimitNOFILE={_FILES} of systemd",
    )


def _priority(machine: Machine) -> Check:
    limit, _hard = resource.getrlimit(resource.RLIMIT_RTPRIO)
    lines = read(machine.proc / "self/status").splitlines()
    capabilities = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    can = limit != 0 or bool(int(capabilities, 16) >> _SYS_NICE & 1)
    return Check(
        "real-time priority",
        "can be had" if can else "cannot be had",
        can,
        "a load engine that waits for a processor sends late: p99 is too long by up to a "
        "millisecond",
        "LimitRTPRIO=99 of systemd, or rtprio in /etc/security/limits.conf",
    )


_CHECKS: tuple[Callable[[Machine], Check | None], ...] = (
    _cores,
    _threads,
    _numa,
    _governor,
    _turbo,
    _throttled,
    _clock,
    _others,
    _quota,
    _swap,
    _files,
    _priority,
)

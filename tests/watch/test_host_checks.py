"""Whether a machine is fit for measuring, as its own files tell."""

import resource
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tuner.watch import host_checks as module
from tuner.watch.host_checks import Check, Machine, host_checks

CPU = "devices/system/cpu"
# What each file says where a machine is quiet, and where it is not.
QUIET = {
    f"{CPU}/cpu0/cpufreq/scaling_governor": "performance",
    f"{CPU}/cpu1/cpufreq/scaling_governor": "performance",
    f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "0",
    f"{CPU}/intel_pstate/no_turbo": "1",
    f"{CPU}/smt/active": "0",
    "devices/system/node/node0/cpulist": "0-1",
    "devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "fs/cgroup/cpu.max": "max 100000",
}
LOUD = {
    "frequency governor": (f"{CPU}/cpu1/cpufreq/scaling_governor", "powersave"),
    "thermal throttling": (f"{CPU}/cpu0/thermal_throttle/core_throttle_count", "17"),
    "turbo": (f"{CPU}/intel_pstate/no_turbo", "0"),
    "threads of a core": (f"{CPU}/smt/active", "1"),
    "NUMA nodes": ("devices/system/node/node1/cpulist", "2-3"),
    "clock source": ("devices/system/clocksource/clocksource0/current_clocksource", "hpet"),
    "processor quota": ("fs/cgroup/cpu.max", "150000 100000"),
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else runs, and the second of watching takes no time."""
    monkeypatch.setattr(module, "_WATCH_S", 0.0)
    idle = psutil.cpu_times()
    monkeypatch.setattr(psutil, "cpu_times", lambda: idle)


def found(folder: Path, files: Mapping[str, str]) -> dict[str, Check]:
    """By the names of the checks, on a machine that has these files below /sys."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return {check.name: check for check in host_checks(Machine(sys=folder))}


def test_a_quiet_machine(tmp_path: Path) -> None:
    """All of these are fine."""
    checks = found(tmp_path, QUIET)
    assert {name for name in LOUD if checks[name].fine} == set(LOUD)


@pytest.mark.parametrize("name", LOUD)
def test_what_disturbs(tmp_path: Path, name: str) -> None:
    """It alone is called so, with its cost and its cure."""
    path, text = LOUD[name]
    checks = found(tmp_path, QUIET | {path: text})

    assert {each for each in LOUD if not checks[each].fine} == {name}
    assert checks[name].cost
    assert checks[name].cure


def test_what_is_not_told_is_not_judged(tmp_path: Path) -> None:
    """A virtual machine has no governor."""
    checks = found(tmp_path, {})
    assert checks.keys().isdisjoint(LOUD.keys() - {"NUMA nodes"})


@pytest.mark.parametrize(
    ("more", "name", "text"),
    [
        ({"user": 0.5, "idle": 0.5}, "other load", "50% of the processors"),
        ({"steal": 0.1, "idle": 0.9}, "taken by the host", "10% of the processors"),
    ],
)
def test_what_others_take(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: Mapping[str, float],
    name: str,
    text: str,
) -> None:
    """Of all processors, in a second; other processes are named."""
    before = psutil.cpu_times()
    after = before._replace(**{each: getattr(before, each) + s for each, s in more.items()})
    monkeypatch.setattr(psutil, "cpu_times", iter([before, after]).__next__)
    check = found(tmp_path, QUIET)[name]

    assert not check.fine
    assert check.found.startswith(text)


def test_limits_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open files, and whether real-time priority can be had."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, 0))
    (tmp_path / "proc" / "self").mkdir(parents=True)
    for capabilities, can in (("0000000000000000", False), ("0000000000800000", True)):
        (tmp_path / "proc/self/status").write_text(f"Name:\ttuner\nCapEff:\t{capabilities}\n")
        checks = {c.name: c for c in host_checks(Machine(proc=tmp_path / "proc", sys=tmp_path))}
        assert not checks["open files"].fine
        assert checks["real-time priority"].fine is can


def test_the_quota_of_a_unit(tmp_path: Path) -> None:
    """It is that of the group that this process is in, or of one around it."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/system.slice/tuner.service\n")
    unit = "fs/cgroup/system.slice/tuner.service/cpu.max"
    for text, fine in (("50000 100000", False), ("max 100000", True)):
        path = tmp_path / unit
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        checks = {c.name: c for c in host_checks(Machine(proc=tmp_path / "proc", sys=tmp_path))}
        assert checks["processor quota"].fine is fine

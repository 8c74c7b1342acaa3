"""A host that cannot measure: does the study go on without it, and what is said? Each for real.

    python -m benchmarks.fleet_faults --clock LIBFAKETIME --ray RAY

Two hosts, one of which has a fault. A study of four trials must end on the other one, with one
message that names the host and the cure. The server reads a file that each host is to have at the
same path, as it would its weights. Needs root; a wrong clock needs Debian's libfaketime, and
another version of Ray needs the `ray` program of an environment with one.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fleet_hosts import Fleet, Host, fleet
from benchmarks.fleet_machines import ROOT, Machine
from benchmarks.fleet_study import Sleeper, Study
from benchmarks.options import program
from benchmarks.tables import machine, table

_TRIALS = 4
_SLEEPER = Sleeper(starts_s=0.5, takes_s=0.02, size=_TRIALS)
# No load is within it, so that trials are short.
_BUDGET_MS = "10"
# How far a wrong clock is ahead.
_OFFSET_S = 30
_TINY_DISK = "8m"
# What the server reads, which is not sent.
_WEIGHTS = Path("/tmp/weights")  # noqa: S108 - each machine has one of its own


@dataclass(frozen=True)
class Fault:
    """What the second host has in its environment, and what is done to it before Ray starts.

    With `ray`, that program starts Ray there. `breaks` returns what is wanted in the environment.
    The file of the server has `weights`; without any, there is none.
    """

    breaks: Callable[[Host, Path], Mapping[str, str]] = lambda host, folder: {}
    ray: Path | None = None
    weights: str = "weights"


@dataclass(frozen=True)
class Result:
    fault: str
    said: str
    trials: Mapping[str, int] = field(default_factory=dict)


def tried(name: str, fault: Fault) -> Result:
    """A study beside a host that has the fault."""
    shown = [fault.ray.parents[1]] if fault.ray else []
    with fleet(2, started=False, shown=shown) as made, _folder(made) as folder:
        good, bad = made.hosts
        bad.environment = {**bad.environment, **fault.breaks(bad, folder)}
        good.environment = {**good.environment, "PATH": _with_server(folder, good)}
        bad.ray = fault.ray or bad.ray
        for machine in (made.head.machine, good.machine):
            _put(machine, "weights")
        _put(bad.machine, fault.weights)
        good.start()
        try:
            bad.start()
        except RuntimeError as error:
            return Result(name, f"Ray itself refuses: {_error(str(error))}")
        return _study(made, name, folder)


def _put(machine: Machine, weights: str) -> None:
    if weights:
        (machine.tmp / _WEIGHTS.name).write_text(weights)


def _study(made: Fleet, name: str, folder: Path) -> Result:
    space = _SLEEPER.write(folder)
    text = space.read_text().replace(sys.executable, "sleeper")
    space.write_text(text.replace("reads: [server.py]", f"reads: [server.py, {_WEIGHTS}]"))
    options = ["--space", str(space), "--budget-ms", _BUDGET_MS, "--arrivals", "closed", "--fleet"]
    options += ["auto", "--trials", str(_TRIALS), "--confirmations", "0", "--timeout", "5m"]
    study = Study(folder, "fault", options)
    ended = made.run(*study.command())
    said = [line for line in ended.stderr.splitlines() if line.startswith("host host-b ")]
    if not Path(study.database).exists():
        return Result(name, ended.stderr.strip())
    trials = study.record().trials
    return Result(name, " ".join(said), Counter(sorted(each.host for each in trials)))


@contextmanager
def _folder(made: Fleet) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=made.folder) as name:
        yield Path(name)


def _with_server(folder: Path, host: Host) -> str:
    """A PATH on which there is the server's program."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    if not (programs / "sleeper").exists():
        (programs / "sleeper").symlink_to(sys.executable)
    return f"{programs}:{host.environment['PATH']}"


def _has_server(host: Host, folder: Path) -> Mapping[str, str]:
    return {"PATH": _with_server(folder, host)}


def _has_other_tuner(host: Host, folder: Path) -> Mapping[str, str]:
    """One of the same version, with another line in it."""
    copy = folder / "tuner"
    for room in ("tuner", "runners", "search_spaces"):
        shutil.copytree(ROOT / room, copy / room)
    with (copy / "tuner" / "errors.py").open("a") as file:
        file.write("\n# another line\n")
    return {"PYTHONPATH": str(copy), **_has_server(host, folder)}


def _has_full_disk(host: Host, folder: Path) -> Mapping[str, str]:
    """What temporary files are for is a disk with hardly any room."""
    disk = host.machine.tmp / "disk"
    disk.mkdir()
    host.machine.run("mount", "-t", "tmpfs", "-o", f"size={_TINY_DISK}", "tiny", "/tmp/disk")  # noqa: S108
    return {"TMPDIR": "/tmp/disk", **_has_server(host, folder)}  # noqa: S108


def _has_wrong_clock(library: Path) -> Callable[[Host, Path], Mapping[str, str]]:
    def breaks(host: Host, folder: Path) -> Mapping[str, str]:
        own = folder / library.name
        shutil.copy(library, own)
        faked = {"FAKETIME": f"+{_OFFSET_S}s", "FAKETIME_FORCE_MONOTONIC_FIX": "0"}
        return {"LD_PRELOAD": str(own), **faked, **_has_server(host, folder)}

    return breaks


def faults(clock: Path | None, ray: Path | None) -> dict[str, Fault]:
    found = {
        "none": Fault(_has_server),
        "no server": Fault(),
        "another tuner": Fault(_has_other_tuner),
        "a full disk": Fault(_has_full_disk),
        "no weights": Fault(_has_server, weights=""),
        "other weights": Fault(_has_server, weights="other"),
    }
    if clock:
        found["a wrong clock"] = Fault(_has_wrong_clock(clock))
    if ray:
        found["another Ray"] = Fault(_has_server, ray)
    return found


def _error(text: str) -> str:
    """What Ray's last words say, without what stands before it."""
    lines = [re.sub(r"^.* -- ", "", line).strip() for line in text.splitlines()]
    said = [line for line in lines if line]
    begins = [number for number, line in enumerate(said) if "Error: " in line]
    return " ".join(said[begins[-1] if begins else -1 :])


def report(results: list[Result]) -> str:
    headings = ["the second host has", "what is said of it", "trials on"]
    rows = [[each.fault, each.said, _trials_on(each.trials)] for each in results]
    return f"{machine()}.\n\n{table(headings, rows)}"


def _trials_on(hosts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in hosts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clock", type=Path, help="libfaketime.so.1")
    parser.add_argument("--ray", type=program, help="the `ray` of another version")
    parser.add_argument("--only", help="one fault")
    options = parser.parse_args()
    results = []
    for name, fault in faults(options.clock, options.ray).items():
        if options.only in (None, name):
            results.append(tried(name, fault))
            print(results[-1], flush=True)
    print("\n" + report(results))


if __name__ == "__main__":
    main()

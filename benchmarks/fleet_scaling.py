"""Do N hosts run a study in 1/N of the time? Real Ray nodes on machines in namespaces.

    python -m benchmarks.fleet_scaling --hosts 1,2,4,8 --trials 40

What is tuned sleeps: when it starts, and for each request. So the hosts of one machine hardly take
anything from each other, and what is measured is how well the fleet is kept at work. Needs root.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.fleet_hosts import fleet
from benchmarks.fleet_study import Sleeper, Study, began_at_s, ended_at_s
from benchmarks.options import count, seconds
from benchmarks.tables import machine, table
from tuner.records import Purpose, TrialRecord

# A request takes so long, and may so: three of them at once, one after the other, are within it.
_TAKES_S = 0.02
_BUDGET_MS = 100
# A study has not hung before a trial takes this long, on average.
_HUNG_S = 300.0


@dataclass(frozen=True)
class Result:
    """One study: what the whole command took, its trials, and the processors' time meanwhile."""

    hosts: int
    command_s: float
    trials: Sequence[TrialRecord]
    processors_s: float

    @property
    def study_s(self) -> float:
        """From the beginning of the first trial to the end of the last one."""
        return max(map(ended_at_s, self.trials)) - min(map(began_at_s, self.trials))

    @property
    def searched(self) -> int:
        return sum(each.purpose in (Purpose.SEARCH, Purpose.BASELINE) for each in self.trials)

    @property
    def trial_s(self) -> float:
        return statistics.mean(each.timings_s["total"] for each in self.trials)

    @property
    def at_work(self) -> float:
        """The share of the hosts' time in which they ran a trial."""
        return self.trial_s * len(self.trials) / (self.study_s * self.hosts)


def measured(hosts: int, trials: int, starts_s: float) -> Result:
    """A study on so many hosts."""
    with fleet(hosts) as made, tempfile.TemporaryDirectory(dir=made.folder) as name:
        folder = Path(name)
        space = Sleeper(starts_s, _TAKES_S, trials).write(folder)
        options = ["--space", str(space), "--budget-ms", str(_BUDGET_MS), "--arrivals", "closed"]
        options += ["--trials", str(trials), "--confirmations", "0", "--fleet", "auto"]
        options += ["--timeout", f"{trials * _HUNG_S / hosts:.0f}s"]
        study = Study(folder, "scaling", options)
        used_s, began_s = _processors_s(), time.monotonic()
        ended = made.run(*study.command())
        command_s, used_s = time.monotonic() - began_s, _processors_s() - used_s
        if ended.returncode:
            raise SystemExit(f"the study on {hosts} hosts failed: {ended.stderr}")
        return Result(hosts, command_s, study.record().trials, used_s)


def _processors_s() -> float:
    """What all processors of this machine have worked, in seconds, whoever it was for."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def report(results: Sequence[Result], starts_s: float) -> str:
    alone = results[0]
    headings = ["hosts", "trials (canaries)", "study, s", "of 1/N", "of 1/N for each trial"]
    headings += [
        "hosts at work",
        "a trial, s",
        "processor time for a trial, s",
        "whole command, s",
    ]
    rows = [
        [
            str(each.hosts),
            f"{each.searched} ({len(each.trials) - each.searched})",
            f"{each.study_s:.1f}",
            f"{_share(each, alone):.2f}",
            f"{_share(each, alone) * len(alone.trials) / len(each.trials):.2f}",
            f"{each.at_work:.1%}",
            f"{each.trial_s:.1f}",
            f"{each.processors_s / len(each.trials):.1f}",
            f"{each.command_s:.1f}",
        ]
        for each in results
    ]
    return (
        f"Studies of a server that sleeps {starts_s:g} s when it starts, then {_TAKES_S:g} s for "
        f"each request. {machine()}.\n\n{table(headings, rows)}\n\n"
        f"`of 1/N`: the study's time over what it would be if {alone.hosts} had it all, shared by "
        f"N; 1.00 is exact. Canaries are trials that each further host adds."
    )


def _share(result: Result, alone: Result) -> float:
    return result.study_s * result.hosts / (alone.study_s * alone.hosts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=_counts, default=[1, 2, 4, 8], help="with commas")
    parser.add_argument("--trials", type=count, default=40)
    parser.add_argument("--starts-s", type=seconds, default=15.0)
    options = parser.parse_args()
    results = []
    for hosts in options.hosts:
        results.append(measured(hosts, options.trials, options.starts_s))
        print(f"{hosts} hosts: {results[-1].study_s:.1f} s", flush=True)
    print("\n" + report(results, options.starts_s))


def _counts(text: str) -> list[int]:
    return [count(each) for each in text.split(",")]


if __name__ == "__main__":
    main()

"""What a fleet adds to each trial: the time from the end of one to the beginning of the next.

    python -m benchmarks.fleet_overhead --trials 40

The same study of a server that sleeps runs on one machine without a fleet, on one host through the
Ray node of the driver's machine (`auto`), and through Ray's client server (`ray://`), in turn. A
trial is as short as can be: no load is within the latency budget. Needs root.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet_hosts import Fleet, fleet
from benchmarks.fleet_study import Sleeper, Study, began_at_s, gaps_s
from benchmarks.options import count
from benchmarks.tables import machine, table

# Each request takes longer than the budget allows.
_TAKES_S, _BUDGET_MS = 0.02, 10
_STARTS_S = 0.5
_TIMEOUT = "20m"


@dataclass(frozen=True)
class Result:
    """The gaps between trials of all rounds, what a trial took, and until the first one began."""

    gaps_s: Sequence[float]
    trials_s: Sequence[float]
    first_s: Sequence[float]


def measured(made: Fleet, address: str, trials: int) -> Result:
    """One study; without an address, without a fleet."""
    with tempfile.TemporaryDirectory(dir=made.folder) as name:
        folder = Path(name)
        space = Sleeper(_STARTS_S, _TAKES_S, trials).write(folder)
        options = ["--space", str(space), "--budget-ms", str(_BUDGET_MS), "--timeout", _TIMEOUT]
        options += ["--trials", str(trials), "--confirmations", "0", "--arrivals", "closed"]
        options += ["--fleet", address] if address else []
        study = Study(folder, "overhead", options)
        began_s = time.time()  # noqa: TID251 - beside the stamps of trials
        ended = made.run(*study.command())
        if not Path(study.database).exists():
            raise SystemExit(f"the study failed: {ended.stderr}")
        found = study.record().trials
        if len(found) < trials:
            raise SystemExit(f"only {len(found)} of {trials} trials ran: {ended.stderr}")
        return Result(
            gaps_s(found),
            [each.timings_s["total"] for each in found],
            [min(map(began_at_s, found)) - began_s],
        )


def report(results: dict[str, Sequence[Result]]) -> str:
    alone = _median_ms(next(iter(results.values())))
    headings = [
        "study",
        "gaps",
        "between two trials, ms: median",
        "p95",
        "beyond no fleet: median",
    ]
    headings += ["a trial, s", "until the first trial, s"]
    rows = []
    for name, those in results.items():
        gaps = [gap for each in those for gap in each.gaps_s]
        trials = [took for each in those for took in each.trials_s]
        firsts = [first for each in those for first in each.first_s]
        rows.append(
            [
                name,
                str(len(gaps)),
                f"{_median_ms(those):.0f}",
                f"{1e3 * statistics.quantiles(gaps, n=20)[-1]:.0f}",
                f"{_median_ms(those) - alone:+.0f}",
                f"{statistics.median(trials):.2f}",
                f"{statistics.median(firsts):.1f}",
            ]
        )
    return f"{machine()}.\n\n{table(headings, rows)}"


def _median_ms(results: Sequence[Result]) -> float:
    return 1e3 * statistics.median(gap for each in results for gap in each.gaps_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=count, default=40)
    parser.add_argument("--rounds", type=count, default=2)
    options = parser.parse_args()
    with fleet(1) as made:
        places = {"no fleet": "", "`--fleet auto`": "auto", "`--fleet ray://`": made.client}
        results: dict[str, list[Result]] = {name: [] for name in places}
        for number in range(options.rounds):
            for name in list(places)[:: -1 if number % 2 else 1]:
                results[name].append(measured(made, places[name], options.trials))
                print(f"{name}: {_median_ms(results[name][-1:]):.0f} ms", flush=True)
    print("\n" + report(dict(results)))


if __name__ == "__main__":
    main()

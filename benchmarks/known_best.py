"""Does the search find what is known to be best? One study on each of twelve devices.

    python -m benchmarks.known_best --timeout 120 --json FILE

What a configuration carries on a device (`benchmarks.known_devices`) is computed, with Poisson
arrivals; the studies run on the real Triton, with the defaults of `tuner optimize`. What each
recommends is compared, on paper, with the best on paper. The same command goes on where it was cut
short.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.known_devices import CORES, Device, drawn
from benchmarks.landscapes.measure import Silent
from benchmarks.options import count, seconds
from benchmarks.tables import machine, table
from tuner.analysis import standings
from tuner.goals import SearchBudget
from tuner.records import Purpose, StudyRecord
from tuner.space.space import Configuration
from tuner.study import job

_MODEL = "device"
_GOOD = (0.90, 0.95)


@dataclass(frozen=True)
class Run:
    """One study; capacities in inferences per second, on paper but for `claimed`."""

    device: int
    best: str
    best_capacity: float
    recommended: str
    capacity: float
    claimed: float
    wall_s: float
    search_s: float
    trials: int
    timeout_s: float

    @property
    def share(self) -> float:
        return self.capacity / self.best_capacity


def studied(
    number: int, device: Device, best: tuple[Configuration, float], timeout_s: float
) -> Run:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        device.write(folder / "models" / _MODEL)
        prepared = job.prepare(
            job.Job(
                budget=device.budget,
                repository=folder / "models",
                model=_MODEL,
                database=str(folder / "studies.db"),
                search_budget=SearchBudget(timeout_s=timeout_s),
                seed=number,
            )
        )
        began = time.perf_counter()
        study = job.run(prepared, Silent())
        wall_s = time.perf_counter() - began
    winner = standings.standings(study).winner
    configuration = winner.configuration if winner else None
    return Run(
        device=number,
        best=str(best[0]),
        best_capacity=best[1],
        recommended=str(configuration),
        capacity=device.capacity(configuration) if configuration else 0.0,
        claimed=winner.throughput if winner else 0.0,
        wall_s=wall_s,
        search_s=_spent_s(study),
        trials=len(study.searched),
        timeout_s=timeout_s,
    )


def _spent_s(study: StudyRecord) -> float:
    searched = (Purpose.BASELINE, Purpose.SEARCH)
    return sum(t.timings_s["total"] for t in study.trials if t.purpose in searched)


def report(runs: Sequence[Run], devices: Sequence[Device]) -> str:
    rows = [
        [
            f"{1e3 * d.fixed_s:.1f} + {1e3 * d.each_s:.2f} n",
            str(d.rows),
            str(d.slots or "any"),
            f"{1e3 * d.limit_s:.0f}",
            f"{run.best_capacity:.0f}",
            run.recommended,
            f"{run.capacity:.0f}",
            f"{run.share:.2f}",
            f"{run.claimed:.0f}",
            str(run.trials),
            f"{run.search_s:.0f}",
            f"{run.wall_s:.0f}",
        ]
        for run, d in zip(runs, devices, strict=True)
    ]
    headings = ["call, ms", "rows", "slots", "p99 ms", "best on paper, 1/s", "recommended"]
    headings += ["on paper, 1/s", "of the best", "claimed, 1/s", "trials", "search s", "all s"]
    shares = [run.share for run in runs]
    counts = [f"{sum(s >= good for s in shares)} carry {good:.0%} of the best" for good in _GOOD]
    counts += [f"median {statistics.median(shares):.2f}", f"worst {min(shares):.2f}"]
    said = f"Of {len(runs)} recommendations {', '.join(counts)}."
    return f"{machine()}.\n\n{table(headings, rows)}\n\n{said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=count, default=12)
    parser.add_argument("--timeout", type=seconds, default=SearchBudget().timeout_s)
    parser.add_argument(
        "--json", type=Path, help="where all is written, and what was is not run again"
    )
    options = parser.parse_args()
    if len(os.sched_getaffinity(0)) != CORES:
        raise SystemExit(f"the best is known for {CORES} cores: `taskset -c 0,1 python -m ...`")
    devices = drawn(options.devices)
    with ProcessPoolExecutor() as pool:
        best = list(pool.map(Device.best, devices))
    runs = _known(options.json, options.timeout)[: len(devices)]
    for number, device in list(enumerate(devices))[len(runs) :]:
        runs.append(studied(number, device, best[number], options.timeout))
        print(f"{device}: {runs[-1].share:.2f} of the best in {runs[-1].wall_s:.0f} s", flush=True)
        if options.json:
            _keep(options.json, runs)
    print("\n" + report(runs, devices))


def _known(path: Path | None, timeout_s: float) -> list[Run]:
    """The studies of a benchmark that was cut short."""
    kept = json.loads(path.read_text()) if path and path.exists() else []
    runs = [Run(**each) for each in kept]
    if any(run.timeout_s != timeout_s for run in runs):
        raise SystemExit(f"{path} holds studies of another --timeout: name another file")
    return runs


def _keep(path: Path, runs: Sequence[Run]) -> None:
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps([asdict(run) for run in runs], indent=1))
    beside.replace(path)


if __name__ == "__main__":
    main()

"""Does the search find the best configuration that is known on paper? One study for each seed.

The accelerator-like model holds one device for FIXED_S + n * EACH_S seconds for a batch of n, so
its capacity under any configuration can be computed: the paper column is a simulation of that
device with Poisson arrivals. The measured columns come from the real Triton.

    python benchmarks/accelerator_search.py --seeds 5 --trials 15
"""

import argparse
import heapq
import statistics
import tempfile
from pathlib import Path

import numpy as np

from tuner import demo, finals, job
from tuner.capacity import LatencyBudget
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space import Configuration
from tuner.study import SearchBudget

FIXED_S, EACH_S = 0.008, 0.0005
BUDGET = LatencyBudget(99, 0.05)
KNOWN_BEST = {"instance_count": 1, "dynamic_batching": True, "max_batch_size": 64}


class Silent:
    """An observer that says one line at the end of a trial."""

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        pass

    def phase_begins(self, phase: str) -> None:
        pass

    def trial_ends(self, record: TrialRecord) -> None:
        print(f"  trial {record.number}: {record.state} {record.throughput:.0f}/s", flush=True)


def paper_capacity(instances: int, largest_batch: int) -> float:
    """Inferences per second whose p99 is just within the budget, by bisection."""
    low, high = 10.0, 2000.0
    for _ in range(20):
        rate = (low + high) / 2
        if _paper_p99(rate, instances, largest_batch) <= BUDGET.limit_s:
            low = rate
        else:
            high = rate
    return low


def _paper_p99(rate: float, instances: int, largest_batch: int, count: int = 50_000) -> float:
    """Each free instance takes what waits, then waits for the device in turn."""
    due = np.cumsum(np.random.default_rng(1).exponential(1 / rate, count))
    free, device_free, latencies, first = [0.0] * instances, 0.0, np.empty(count), 0
    while first < count:
        begins = max(heapq.heappop(free), due[first])
        waiting = int(np.searchsorted(due, begins, side="right"))
        last = max(first + 1, min(waiting, first + largest_batch))
        device_free = max(begins, device_free) + FIXED_S + EACH_S * (last - first)
        latencies[first:last] = device_free - due[first:last]
        heapq.heappush(free, device_free)
        first = last
    return float(np.quantile(latencies, 0.99))


def search(seed: int, trials: int, database: Path) -> StudyRecord:
    prepared = job.prepare(
        job.Job(
            budget=BUDGET,
            repository=demo.REPOSITORY,
            model="accelerator",
            database=str(database),
            search_budget=SearchBudget(trials=trials, timeout_s=3600, finalists=1),
            seed=seed,
        )
    )
    return job.run(prepared, Silent())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=15)
    arguments = parser.parse_args()
    paper = paper_capacity(1, 64)
    rows, known = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            study = search(seed, arguments.trials, Path(folder) / f"{seed}.db")
            rows.append((seed, study))
            known += [t.throughput for t in study.trials if _is_known_best(t)]
    measured = statistics.median(known) if known else float("nan")
    print(f"\nKnown best on paper: {paper:.0f}/s; measured: {measured:.0f}/s (n = {len(known)})\n")
    print("| seed | trials | winner | capacity/s | of measured best | of paper |")
    print("| --- | --- | --- | --- | --- | --- |")
    for seed, study in rows:
        winner = finals.standings(study).winner
        found = winner.throughput if winner else 0.0
        print(
            f"| {seed} | {len(study.searched)} | {winner.configuration if winner else '-'} "
            f"| {found:.0f} | {found / measured:.3f} | {found / paper:.3f} |"
        )


def _is_known_best(trial: TrialRecord) -> bool:
    values = trial.configuration
    plain = not values.get("max_queue_delay_microseconds") and not values.get(
        "preferred_batch_size"
    )
    known = all(values.get(name) == value for name, value in KNOWN_BEST.items())
    return known and plain and trial.state is TrialState.FEASIBLE


if __name__ == "__main__":
    main()

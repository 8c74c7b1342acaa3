"""Does the search find the best configuration that is known on paper? One study for each seed.

The accelerator-like model holds one device for FIXED_S + n * EACH_S seconds for a batch of n, so
its capacity under any configuration can be computed: the paper columns are a simulation of that
device with Poisson arrivals. The measured columns come from the real Triton.

    python benchmarks/accelerator_search.py --seeds 5 --trials 15
"""

import argparse
import heapq
import statistics
import tempfile
from pathlib import Path

import numpy as np

from tuner import demo
from tuner.analysis import standings
from tuner.goals import LatencyBudget, SearchBudget
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration
from tuner.study import job

# What a batch takes on the device, and what each inference in it takes more; the model has both.
FIXED_S = 0.016
EACH_S = 0.001
BUDGET = LatencyBudget(99, 0.1)
# A second instance would take requests early, which then wait for the device in smaller batches.
# No delay is needed: while the device is busy, requests gather by themselves.
KNOWN_BEST = Configuration.of(
    {
        "instance_count": 1,
        "dynamic_batching": True,
        "max_batch_size": 64,
        "max_queue_delay_microseconds": 0,
        "preferred_batch_size": 0,
    }
)


class Silent:
    """An observer that says one line at the end of a trial."""

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        pass

    def phase_begins(self, phase: str) -> None:
        pass

    def trial_ends(self, record: TrialRecord) -> None:
        print(f"  trial {record.number}: {record.state} {record.throughput:.0f}/s", flush=True)


def paper_capacity(configuration: Configuration) -> float:
    """Inferences per second whose p99 is just within the budget, by bisection."""
    low, high = 5.0, 2000.0
    for _ in range(18):
        rate = (low + high) / 2
        if _paper_p99(rate, configuration) <= BUDGET.limit_s:
            low = rate
        else:
            high = rate
    return low


def _paper_p99(rate: float, configuration: Configuration, count: int = 30_000) -> float:
    """A free instance takes what waits, after its delay; then it waits for the device in turn."""
    largest_batch = int(configuration.get("max_batch_size", 1))
    delay_s = int(configuration.get("max_queue_delay_microseconds", 0)) / 1e6
    enough = int(configuration.get("preferred_batch_size", 0)) or largest_batch
    due = np.cumsum(np.random.default_rng(1).exponential(1 / rate, count))
    free = [0.0] * int(configuration["instance_count"])
    device_free, latencies, first = 0.0, np.empty(count), 0
    while first < count:
        full = due[min(first + enough, count) - 1]
        begins = max(heapq.heappop(free), min(due[first] + delay_s, full))
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
    paper = paper_capacity(KNOWN_BEST)
    rows: list[tuple[int, StudyRecord]] = []
    known: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            study = search(seed, arguments.trials, Path(folder) / f"{seed}.db")
            rows.append((seed, study))
            known += [t.throughput for t in study.trials if _is_known_best(t)]
    measured = statistics.median(known) if known else float("nan")
    print(f"\nKnown best on paper: {paper:.0f}/s; measured: {measured:.0f}/s (n = {len(known)})\n")
    print("| seed | trials | winner | on paper | of best | measured | of best |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for seed, study in rows:
        winner = standings.standings(study).winner
        if winner is None:
            print(f"| {seed} | {len(study.searched)} | nothing feasible | | | | |")
            continue
        on_paper = paper_capacity(winner.configuration)
        print(
            f"| {seed} | {len(study.searched)} | {winner.configuration} | {on_paper:.0f} "
            f"| {on_paper / paper:.3f} | {winner.throughput:.0f} "
            f"| {winner.throughput / measured:.3f} |"
        )


def _is_known_best(trial: TrialRecord) -> bool:
    values = {name: trial.configuration.get(name) for name in KNOWN_BEST}
    return values == dict(KNOWN_BEST) and trial.state is TrialState.FEASIBLE


if __name__ == "__main__":
    main()

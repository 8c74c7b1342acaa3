"""Does the same study, run again, recommend something as good?

The whole study (its own defaults, finals included) is run several times on a model, each time with
another seed and a new database. What each recommends is then measured on fresh starts, all of them
in every round, in random order. A run is as good as the others if its recommendation carries at
least 95 % of the best one's capacity (geometric means over the rounds).

    python -m benchmarks.repeatability --model mlp --runs 5 --rounds 5 --json FILE
"""

import argparse
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.landscapes.base import LANDSCAPES, Landscape
from benchmarks.landscapes.measure import Silent, open_bench
from benchmarks.options import count, seconds
from benchmarks.tables import machine, table
from tuner.analysis import standings
from tuner.goals import SearchBudget
from tuner.records import Purpose, TrialState
from tuner.space.space import Configuration
from tuner.study import job
from tuner.study.trial import Bench, TrialPlan, run_trial

_AS_GOOD = 0.95


@dataclass
class Run:
    """One study: what it recommended and claimed, and what that carried afterwards."""

    seed: int
    configuration: dict[str, bool | int | float | str]
    claimed: float
    wall_s: float
    carried: list[float] = field(default_factory=list)

    @property
    def capacity(self) -> float:
        """The geometric mean over the rounds; 0 if a round was over the budget at any load."""
        if not self.carried or min(self.carried) == 0:
            return 0.0
        return math.exp(statistics.mean(math.log(each) for each in self.carried))


def studied(landscape: Landscape, seed: int, timeout_s: float) -> Run:
    """A study with the defaults of `tuner optimize`, but for its time."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = job.prepare(
            job.Job(
                budget=landscape.budget,
                repository=landscape.repository,
                model=landscape.name,
                database=str(Path(folder) / "studies.db"),
                search_budget=SearchBudget(timeout_s=timeout_s),
                seed=seed,
            )
        )
        began = time.perf_counter()
        study = job.run(prepared, Silent())
    winner = standings.standings(study).winner
    if winner is None:
        raise SystemExit(f"seed {seed}: nothing was feasible")
    wall_s = time.perf_counter() - began
    return Run(seed, dict(winner.configuration), winner.throughput, wall_s)


def measured(landscape: Landscape, runs: Sequence[Run], rounds: int) -> None:
    """Add to each run what its recommendation carries, equal ones measured once a round."""
    wanted = list(dict.fromkeys(Configuration.of(run.configuration) for run in runs))
    order = random.Random(0)  # noqa: S311 - an order, not a secret
    with open_bench(landscape, space_file=None) as (bench, _):
        for number in range(rounds):
            shuffled = order.sample(wanted, len(wanted))
            found = {each: _carried(bench, each, number) for each in shuffled}
            for run in runs:
                run.carried.append(found[Configuration.of(run.configuration)])
            print(f"round {number + 1}/{rounds}", [round(run.carried[-1]) for run in runs])


def _carried(bench: Bench, configuration: Configuration, number: int) -> float:
    plan = TrialPlan(
        number=number,
        purpose=Purpose.FINAL,
        configuration=configuration,
        seed=10_000 + number,
        fresh=True,
    )
    trial, _ = run_trial(bench, plan)
    return trial.throughput if trial.state is TrialState.FEASIBLE else 0.0


def report(landscape: Landscape, runs: Sequence[Run]) -> str:
    best = max(run.capacity for run in runs)
    good = sum(run.capacity >= _AS_GOOD * best for run in runs)
    rows = [
        [
            str(run.seed),
            f"{run.wall_s:.0f}",
            str(Configuration.of(run.configuration)),
            f"{run.claimed:.0f}",
            f"{run.capacity:.0f}",
            f"{run.capacity / best:.3f}" if best else "-",
        ]
        for run in runs
    ]
    return "\n".join(
        [
            f"{landscape.name}, {landscape.budget}: {len(runs)} studies. {machine()}.",
            "",
            table(
                ["seed", "seconds", "recommended", "claimed", "measured", "of the best"],
                rows,
            ),
            "",
            f"{good} of {len(runs)} recommendations carry at least {_AS_GOOD:.0%} of the best.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=LANDSCAPES, default="mlp")
    parser.add_argument("--runs", type=count, default=5)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument(
        "--timeout", type=seconds, default=SearchBudget().timeout_s, help="of each study"
    )
    parser.add_argument("--json", type=Path, help="also write everything there")
    arguments = parser.parse_args()
    landscape = LANDSCAPES[arguments.model]
    runs: list[Run] = []
    for seed in range(arguments.runs):
        runs.append(studied(landscape, seed, arguments.timeout))
        print(f"seed {seed}: {runs[-1].configuration} {runs[-1].claimed:.0f}/s", flush=True)
    measured(landscape, runs, arguments.rounds)
    print("\n" + report(landscape, runs))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))


if __name__ == "__main__":
    main()

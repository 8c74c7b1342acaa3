"""How commands grow with a study: 100, 1,000 and 10,000 trials with ten load points each.

    python -m benchmarks.many_trials --json FILE
    python -m benchmarks.many_trials --db postgresql+psycopg://host/name --trials 10000

Each command is run as a person runs it, three times; the median counts. `ask` is one proposal of
the search, with all trials known: the median of nine, after a first. The database is a new one,
or an empty one at `--db`.
"""

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.tables import machine, table
from tuner.goals import LatencyBudget
from tuner.load.histogram import Histogram
from tuner.records import (
    PointRecord,
    Purpose,
    ServerStatistics,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from tuner.search.samplers import Sampler
from tuner.search.search import Search
from tuner.space import spec
from tuner.space.document import fingerprint
from tuner.space.resolution import resolve
from tuner.space.space import SearchSpace
from tuner.store.storage import Storage
from tuner.study.given_space import space_path

_TUNER = Path(sys.executable).with_name("tuner")
_SIZES = (100, 1_000, 10_000)
_POINTS = 10
_RUNS = 3
_PROPOSALS = 9
_BUDGET = LatencyBudget(99, 0.05)
_COMMANDS = {
    "status": ("status", "night"),
    "pareto": ("pareto", "night"),
    "best": ("best", "night"),
    "studies list": ("studies", "list"),
    "report": ("report", "night"),
}
# What the issue asks for at 10,000 trials, in seconds.
_BOUNDS_S = dict.fromkeys(_COMMANDS, 1.0) | {"report": 3.0, "ask": 0.5}
_BEGAN = datetime(2026, 3, 7, 22, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Size:
    """What a study of so many trials takes: seconds by command, and bytes of its file."""

    trials: int
    seconds: dict[str, float]
    file_bytes: int


def many(number: int, space: SearchSpace) -> Iterator[TrialRecord]:
    """That many trials, of which one in ten fails and half are pruned."""
    chance = random.Random(0)  # noqa: S311 - a benchmark, not a secret
    grid = list(space.grid())
    chance.shuffle(grid)
    for trial in range(number):
        configuration = space.defaults if trial == 0 else grid[trial % len(grid)]
        capacity = 500 * math.exp(chance.gauss(0.5, 0.5))
        state = chance.choices(
            (TrialState.FEASIBLE, TrialState.PRUNED, TrialState.FAILED), (4, 5, 1)
        )[0]
        began = _BEGAN + timedelta(seconds=6 * trial)
        yield TrialRecord(
            number=trial,
            purpose=Purpose.SEARCH if trial else Purpose.BASELINE,
            proposal=trial,
            configuration=configuration,
            state=state if trial else TrialState.FEASIBLE,
            throughput=capacity,
            log_error=0.05,
            unloaded_s=0.005,
            saturation=1.2 * capacity,
            applied="reload",
            statistics=ServerStatistics(inferences=9000, executions=900, batches={8: 900}),
            timings_s={"apply": 0.3, "search": 4.0, "total": 5.5},
            points=tuple(_point(capacity * share / _POINTS) for share in range(1, _POINTS + 1)),
            log_tail="I0307 ready\n" * 40,
            export="name: 'model'\n" * 20,
            started_at=began,
            finished_at=began + timedelta(seconds=5),
        )


def _point(load: float) -> PointRecord:
    return PointRecord(
        phase="search",
        kind="open",
        load=load,
        duration_s=1.5,
        throughput=load,
        requests=round(1.5 * load),
        mean_s=0.01,
        latency_s=0.03,
        percentiles_s=dict.fromkeys((50, 90, 95, 99), 0.02),
        errors={},
        unanswered=0,
        send_lag_p99_s=1e-4,
        engine_cpu_s=0.1,
        priority="real-time",
        stopped_early="",
        histogram=Histogram(dict.fromkeys(range(900, 1020), 7), 0),
    )


def study(space: SearchSpace) -> StudyRecord:
    return StudyRecord(
        name="night",
        created_at=_BEGAN,
        server="triton",
        model="model",
        model_fingerprint="0",
        space_fingerprint=fingerprint(space),
        space=space,
        budget=_BUDGET,
        parameters={p.name: str(p.domain) for p in space.parameters},
        request={},
        hardware={"fingerprint": "0"},
        environment={},
    )


def measured(number: int, database: str, folder: Path) -> Size:
    """The study, written and read."""
    bounds = {"cores": 64, "memory_gib": 8, "numa_nodes": 1, "threads_per_core": 1}
    file = space_path("triton")
    space = resolve(spec.load_space(file), bounds | {"numactl": 0, "gpus": 0}, file=file)
    record = study(space)
    with Storage(database, create=True) as storage:
        storage.create_study(record)
        for trial in many(number, space):
            storage.save_trial(record.name, trial)
        trials = storage.study(record.name).trials
    seconds = {name: _median_s(words, database, folder) for name, words in _COMMANDS.items()}
    seconds["ask"] = _ask_s(replace(record, trials=trials), space)
    path = Path(database)
    return Size(number, seconds, path.stat().st_size if path.exists() else 0)


def _median_s(words: Sequence[str], database: str, folder: Path) -> float:
    spent = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        subprocess.run(
            [_TUNER, *words, "--db", database], cwd=folder, check=True, capture_output=True
        )
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def _ask_s(record: StudyRecord, space: SearchSpace) -> float:
    """The median of proposals, once all trials are known; the first draws the candidates."""
    search = Search(
        space, record.budget, storage_url=None, study_name="a", seed=0, sampler=Sampler.TPE
    )
    search.resume({t.proposal: t for t in record.trials if t.proposal is not None})
    spent = []
    for _ in range(1 + _PROPOSALS):
        began = time.perf_counter()
        search.promise()
        search.ask()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent[1:])


def report(sizes: Sequence[Size]) -> str:
    headings = ["trials", *(f"{name}, s" for name in _BOUNDS_S), "MiB"]
    rows = [
        [
            f"{size.trials:,}",
            *(f"{size.seconds[name]:.2f}" for name in _BOUNDS_S),
            f"{size.file_bytes / 2**20:.0f}" if size.file_bytes else "-",
        ]
        for size in sizes
    ]
    late = [name for name, bound in _BOUNDS_S.items() if sizes[-1].seconds[name] > bound]
    said = f"Longer than wanted: {', '.join(late)}." if late else "All as wanted."
    return f"{machine()}.\n\n{table(headings, rows)}\n\n{said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--db", help="an empty database, for one size: that of --trials")
    parser.add_argument("--trials", type=int, nargs="+", default=_SIZES)
    parser.add_argument("--json", type=Path, help="also write everything there")
    options = parser.parse_args()
    sizes = []
    for number in options.trials:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sizes.append(measured(number, options.db or str(folder / "studies.db"), folder))
        print(sizes[-1], flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in sizes], indent=1))
    print("\n" + report(sizes))


if __name__ == "__main__":
    main()

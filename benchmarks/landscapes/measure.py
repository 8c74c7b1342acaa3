"""Measure every configuration of a landscape on a real Triton, and write its table.

Each configuration in random order (those that need no restart together): the whole capacity
search, nothing pruned; and a closed loop with 1, 2, 4 ... 128 in flight, as Model Analyzer
measures. The server's own defaults are measured again after every 12 configurations, the 4 best
ones twice more in the end: that tells how steady the machine was, and the best one is not merely
the luckiest. With `--passes` everything is measured so often, each time in another order: where
starts scatter, the median counts. A table that exists is continued.

    python -m benchmarks.landscapes.measure mlp --passes 3
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.landscapes.base import LANDSCAPES, Landscape
from benchmarks.options import count
from benchmarks.tables import machine
from runners.process import ProcessRunner
from tuner.errors import TunerError
from tuner.load.client import LoadEngine
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadProfile, LoadRun
from tuner.records import (
    NOT_ITS_FAULT,
    Golden,
    Phase,
    PointRecord,
    Purpose,
    TrialRecord,
    TrialState,
)
from tuner.space.space import Configuration, SearchSpace
from tuner.study import job
from tuner.study.deployment import Deployment
from tuner.study.trial import Bench, TrialPlan, run_trial
from tuner.study.trial_load import TrialLoad
from tuner.targets.base import TargetSetup

# The server's defaults are measured again after this many configurations.
_BASELINE_EVERY = 12
# In the end this many of the best are measured again,
_BEST = 4
# each this often.
_REPEATS = 2
# The concurrencies of the closed loops beside the capacity search.
_LADDER = (1, 2, 4, 8, 16, 32, 64, 128)
# Each lasts for this many requests, within these limits.
_LADDER_REQUESTS = 300
_LADDER_SHORTEST_S = 0.3
_LADDER_LONGEST_S = 0.6
_SEED = 0
# A trial that the machine spoiled says nothing of its configuration.
_RETRIES = 2


class Silent:
    """An observer that says nothing."""

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        pass

    def phase_begins(self, phase: str) -> None:
        pass

    def point_ends(self, point: PointRecord) -> None:
        pass

    def trial_ends(self, record: TrialRecord) -> None:
        pass


def measure(landscape: Landscape, passes: int = 1) -> None:
    """Write what is missing of the landscape's table."""
    with open_bench(landscape, space_file=landscape.space_file) as (bench, space):
        if not _rows(landscape.table):
            _append(landscape.table, {"landscape": landscape.name, "machine": machine()})
        order = [each for number in range(passes) for each in _order(space, _SEED + number)]
        _measure(bench, landscape.table, order)
        _measure(bench, landscape.table, order + _best_again(landscape.table, len(order)))


def _measure(bench: Bench, table: Path, order: Sequence[Configuration]) -> None:
    """Write those of `order` that come after what the table has."""
    for number in range(len(_rows(table)) - 1, len(order)):
        has_ladder = any(r.get("more") for r in _rows(table) if _is_of(r, order[number]))
        row, golden = _row(bench, number, order[number], ladder=not has_ladder)
        bench = replace(bench, golden=golden)
        _append(table, row)
        print(
            f"{number + 1}/{len(order)} {row['state']} {row['throughput']:.0f}/s "
            f"{order[number]} {row['message'][:200]}",
            flush=True,
        )


def _is_of(row: Mapping[str, Any], configuration: Configuration) -> bool:
    return "configuration" in row and Configuration.of(row["configuration"]) == configuration


def _order(space: SearchSpace, seed: int) -> list[Configuration]:
    """At random, those with equal restart parameters together; the baseline again and again."""
    configurations = list(space.grid())
    random.Random(seed).shuffle(configurations)  # noqa: S311 - an order, not a secret
    staying = [p.name for p in space.parameters if not p.reload]
    configurations.sort(key=lambda c: [str(c.get(name)) for name in staying])
    order: list[Configuration] = []
    for at in range(0, len(configurations), _BASELINE_EVERY):
        order += [space.defaults, *configurations[at : at + _BASELINE_EVERY]]
    return [*order, space.defaults]


def _best_again(table: Path, count: int) -> list[Configuration]:
    """The best of the first `count` rows, in turn."""
    rows = sorted(_rows(table)[1 : count + 1], key=lambda row: -float(row["throughput"]))
    tried = dict.fromkeys(Configuration.of(row["configuration"]) for row in rows)
    return list(tried)[:_BEST] * _REPEATS


def _row(
    bench: Bench, number: int, configuration: Configuration, *, ladder: bool
) -> tuple[dict[str, Any], Golden | None]:
    """What is written of a configuration, and the outputs that later ones must give, too."""
    plan = TrialPlan(
        number=number, purpose=Purpose.SEARCH, configuration=configuration, seed=number
    )
    trial, golden = run_trial(bench, plan)
    for _ in range(_RETRIES):
        if trial.reason not in NOT_ITS_FAULT:
            break
        trial, golden = run_trial(bench, plan)
    row: dict[str, Any] = {
        "configuration": dict(configuration),
        "state": trial.state.value,
        "reason": trial.reason.value if trial.reason else "",
        "message": trial.message,
        "applied": trial.applied,
        "throughput": trial.throughput,
        "log_error": trial.log_error,
        "unloaded_s": trial.unloaded_s,
        "saturation": trial.saturation,
        "timings_s": trial.timings_s,
        "points": [_point(each) for each in trial.points],
        "more": [],
    }
    if ladder and trial.state is not TrialState.FAILED:
        row["more"] = [_point(each) for each in _more(bench, trial.saturation)]
    return row, golden


def _more(bench: Bench, saturation: float) -> Iterator[PointRecord]:
    for concurrency in _LADDER:
        profile = ClosedLoop(concurrency)
        try:
            measurement = _load(bench, profile, saturation)
        except TunerError as error:
            print(f"  {profile}: {error}", flush=True)
            return
        yield PointRecord.of(Phase.SEARCH, measurement, bench.budget)


def _load(bench: Bench, profile: LoadProfile, saturation: float) -> Measurement:
    budget = bench.budget
    length_s = _LADDER_REQUESTS / saturation if saturation else _LADDER_SHORTEST_S
    length_s = max(length_s, _LADDER_SHORTEST_S, 10 * budget.limit_s)
    return bench.load.engine.measure(
        LoadRun(
            endpoint=bench.target.endpoint(bench.deployment.server),
            profile=profile,
            duration_s=min(length_s, _LADDER_LONGEST_S),
            timeout_s=max(20 * budget.limit_s, 2.0),
            drain_s=2 * budget.limit_s + 0.2,
        )
    )


def _point(point: PointRecord) -> dict[str, Any]:
    return {
        "phase": point.phase,
        "kind": point.kind,
        "load": round(point.load, 3),
        "duration_s": round(point.duration_s, 3),
        "throughput": round(point.throughput, 2),
        "requests": point.requests,
        "failed": sum(point.errors.values()) + point.unanswered,
        "percentiles_s": {str(q): round(v, 7) for q, v in point.percentiles_s.items()},
        "stopped_early": point.stopped_early,
    }


@contextmanager
def open_bench(
    landscape: Landscape, *, space_file: Path | None
) -> Iterator[tuple[Bench, SearchSpace]]:
    """What runs trials of the landscape's model; without `space_file` in the built-in space."""
    prepared = job.prepare(
        job.Job(
            budget=landscape.budget,
            repository=landscape.repository,
            model=landscape.name,
            space_file=space_file,
        )
    )
    with ExitStack() as stack:
        workspace = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        setup = TargetSetup(workspace=workspace, form=prepared.job.form)
        target = prepared.kind.target(prepared.model, prepared.space, setup)
        target.stage()
        load = TrialLoad(stack.enter_context(LoadEngine()), landscape.budget)
        runner = ProcessRunner(log_directory=workspace / "logs")
        deployment = stack.enter_context(Deployment(target, runner))
        yield Bench(target, deployment, load, Silent()), prepared.space


def _rows(table: Path) -> list[dict[str, Any]]:
    if not table.exists():
        return []
    return [json.loads(line) for line in table.read_text().splitlines()]


def _append(table: Path, row: dict[str, Any]) -> None:
    with table.open("a") as file:
        file.write(json.dumps(row, allow_nan=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("landscape", choices=LANDSCAPES)
    parser.add_argument("--passes", type=count, default=1)
    options = parser.parse_args()
    measure(LANDSCAPES[options.landscape], options.passes)


if __name__ == "__main__":
    main()

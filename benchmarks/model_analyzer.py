"""Compares `tuner optimize` with Triton Model Analyzer: time taken, and what comes of it.

    python -m benchmarks.model_analyzer --model-analyzer PATH --perf-analyzer PATH --json FILE

Both get the same model and the same latency budget, and run in turn with their own defaults. Then
what they recommend is measured in the same way, on fresh starts of Triton in random order. The
file keeps every step: the same command goes on where it was cut short.
"""

import argparse
import json
import math
import random
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from benchmarks.known_devices import Device
from benchmarks.landscapes.base import FOLDER, LANDSCAPES, Landscape
from benchmarks.model_analyzer_runs import ModelAnalyzer, Tool, ToolFailedError, Tuner
from benchmarks.options import count, program, seconds
from benchmarks.perf_analyzer import PerfAnalyzer
from benchmarks.recommendations import Carried, Recommendation, measure
from benchmarks.tables import machine, median, table
from runners.errors import RunnerError
from tuner.analysis import comparison
from tuner.errors import TunerError
from tuner.goals import LatencyBudget
from tuner.load.client import LoadEngine

_MODELS = {
    "mlp": replace(LANDSCAPES["mlp"], budget=LatencyBudget(99, 0.005)),
    "encoder": replace(LANDSCAPES["encoder"], budget=LatencyBudget(99, 0.050)),
    "accelerator": replace(LANDSCAPES["accelerator"], budget=LatencyBudget(99, 0.025)),
    "ranker": Landscape("ranker", FOLDER / "models", LatencyBudget(99, 0.020)),
}
# Three slots of four rows carry 12 / 4.6 ms, or 2,609 rows per second.
_DEVICE_NAME = "three_slots"
_DEVICE = Device(fixed_s=0.003, each_s=0.0004, rows=4, slots=3, limit_s=0.030)
_METERS = {"engine": "our engine", "perf_analyzer": "perf_analyzer"}


class Results:
    """What is known so far; `path` holds it after every step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.machine: str = kept.get("machine", machine())
        answers = kept.get("answers", {})
        self._recommendations = {
            question: [Recommendation(**each) for each in answer["recommendations"]]
            for question, answer in answers.items()
        }
        self._carried = {
            question: [Carried(**each) for each in answer["carried"]]
            for question, answer in answers.items()
        }

    def recommendations(self, landscape: Landscape) -> list[Recommendation]:
        return self._recommendations.setdefault(_question(landscape), [])

    def carried(self, landscape: Landscape) -> list[Carried]:
        return self._carried.setdefault(_question(landscape), [])

    def save(self) -> None:
        answers = {
            question: {
                "recommendations": [asdict(each) for each in recommendations],
                "carried": [asdict(each) for each in self._carried.get(question, [])],
            }
            for question, recommendations in self._recommendations.items()
        }
        content = {"machine": self.machine, "answers": answers}
        beside = self._path.with_suffix(".part")
        beside.write_text(json.dumps(content, indent=2) + "\n")
        beside.replace(self._path)


def _question(landscape: Landscape) -> str:
    return f"{landscape.name}, {landscape.budget}"


@dataclass(frozen=True)
class Pair:
    """What the tuner and another tool of the same run were measured to carry, by round."""

    ours: Recommendation
    theirs: Recommendation
    rounds: tuple[tuple[Carried, Carried], ...]

    def capacities(self, meter: str) -> list[tuple[float, float]]:
        """Both capacities of every round in which both were measured."""
        read = attrgetter(meter)
        pairs = [(read(ours), read(theirs)) for ours, theirs in self.rounds]
        return [pair for pair in pairs if None not in pair]


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what runs is stopped
    results = Results(options.json)
    perf_analyzer = PerfAnalyzer(options.perf_analyzer, options.library_path)
    tools = _tools(options, perf_analyzer)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        landscapes = [_landscape(name, Path(folder)) for name in options.model]
        for landscape in landscapes:
            failures += _recommend(landscape, tools, options.runs, results)
            failures += _measure(landscape, perf_analyzer, options.rounds, results)
    print(f"{results.machine}. perf_analyzer {perf_analyzer.version}.\n")
    print(_tools_table(landscapes, results), _pairs_table(landscapes, results), sep="\n\n")
    if failures:
        raise SystemExit(f"{failures} steps failed; the same command tries them again")


def _landscape(name: str, folder: Path) -> Landscape:
    """That of a model; the one of a device is written into `folder`."""
    if name != _DEVICE_NAME:
        return _MODELS[name]
    _DEVICE.write(folder / name)
    return Landscape(name, folder, _DEVICE.budget)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model-analyzer", type=program, required=True, help="its program")
    parser.add_argument("--perf-analyzer", type=program, required=True, help="its program")
    parser.add_argument("--library-path", default="", help="LD_LIBRARY_PATH for perf_analyzer")
    parser.add_argument("--json", type=Path, required=True, help="what is known so far")
    names = (*_MODELS, _DEVICE_NAME)
    parser.add_argument("--model", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--mode", nargs="+", choices=["quick", "optuna"], default=["quick"], help="its searches"
    )
    parser.add_argument("--runs", type=count, default=1, help="how often each tool is run")
    parser.add_argument("--rounds", type=count, default=3, help="fresh starts of what it gives")
    parser.add_argument("--trials", help="for `tuner optimize`; its default without it")
    parser.add_argument("--timeout", help="for `tuner optimize`; its default without it")
    parser.add_argument(
        "--limit", type=seconds, default=3600.0, help="seconds after which a run is given up"
    )
    return parser.parse_args()


def _tools(options: argparse.Namespace, perf_analyzer: PerfAnalyzer) -> list[Tool]:
    given = {"--trials": options.trials, "--timeout": options.timeout}
    words = tuple(word for option in given.items() if option[1] for word in option)
    return [
        Tuner(words, options.limit),
        *(
            ModelAnalyzer(options.model_analyzer, perf_analyzer, mode, options.limit)
            for mode in options.mode
        ),
    ]


def _recommend(landscape: Landscape, tools: Sequence[Tool], runs: int, results: Results) -> int:
    """Run what has not been run; how many failed."""
    failures = 0
    known = results.recommendations(landscape)
    for run in range(runs):
        for tool in tools if run % 2 == 0 else reversed(tools):
            if any((each.tool, each.run) == (tool.name, run) for each in known):
                continue
            print(f"{landscape.name}: {tool.name}, run {run}", file=sys.stderr)
            try:
                with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                    known.append(tool.recommend(landscape, run, Path(folder)))
            except (ToolFailedError, RunnerError) as error:
                print(f"{tool.name} failed: {error}", file=sys.stderr)
                failures += 1
                continue
            results.save()
            print(f"    {known[-1].wall_s:.0f} s: {known[-1].words}", file=sys.stderr)
    return failures


def _measure(
    landscape: Landscape, perf_analyzer: PerfAnalyzer, rounds: int, results: Results
) -> int:
    """Measure what has not been measured; how many measurements failed."""
    failures = 0
    carried = results.carried(landscape)
    done = {(each.tool, each.run, each.round) for each in carried}
    with LoadEngine() as engine:
        for number in range(1, rounds + 1):
            for each in _shuffled(results.recommendations(landscape), number):
                if (each.tool, each.run, number) in done:
                    continue
                try:
                    carried.append(measure(landscape, each, engine, perf_analyzer, number=number))
                except (TunerError, RunnerError) as error:
                    print(f"{landscape.name}: {each.tool}: {error}", file=sys.stderr)
                    failures += 1
                    continue
                results.save()
                print(f"{landscape.name}: {carried[-1]}", file=sys.stderr)
    return failures


def _shuffled(recommendations: Sequence[Recommendation], number: int) -> list[Recommendation]:
    order = random.Random(number)  # noqa: S311 - an order, not a secret
    return order.sample(recommendations, len(recommendations))


def _tools_table(landscapes: Sequence[Landscape], results: Results) -> str:
    headings = ["model", "latency budget", "tool", "wall-clock s", "configurations measured"]
    headings += ["instances", "max batch", "dynamic batching", "server started with", "it says"]
    rows = [
        [
            landscape.name,
            str(landscape.budget),
            each.tool,
            f"{each.wall_s:.0f}",
            str(each.configurations),
            *each.words,
            f"{each.claimed:.0f}/s",
        ]
        for landscape in landscapes
        for each in results.recommendations(landscape)
    ]
    return table(headings, rows)


def _pairs_table(landscapes: Sequence[Landscape], results: Results) -> str:
    headings = ["model", "tuner and", "wall-clock: tuner / other", "capacity measured by"]
    headings += ["tuner's /s", "other's /s", "tuner / other, by round", "median", "95 % interval"]
    rows = []
    for landscape in landscapes:
        pairs = list(_pairs(results.recommendations(landscape), results.carried(landscape)))
        for tool in dict.fromkeys(pair.theirs.tool for pair in pairs):
            chosen = [pair for pair in pairs if pair.theirs.tool == tool]
            rows += [[landscape.name, tool, *_row(chosen, meter)] for meter in _METERS]
    return table(headings, rows)


def _row(pairs: Sequence[Pair], meter: str) -> list[str]:
    faster = median([pair.ours.wall_s / pair.theirs.wall_s for pair in pairs], 2)
    capacities = [both for pair in pairs for both in pair.capacities(meter)]
    if not capacities:
        return [faster, _METERS[meter], *["no answer"] * 5]
    ratios = [ours / theirs if theirs else math.inf for ours, theirs in capacities]
    bounds = interval(ratios)
    return [
        faster,
        _METERS[meter],
        median([ours for ours, _ in capacities], 0),
        median([theirs for _, theirs in capacities], 0),
        ", ".join(f"{ratio:.2f}" for ratio in ratios),
        median(ratios, 2),
        f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else "-",
    ]


def _pairs(
    recommendations: Sequence[Recommendation], carried: Sequence[Carried]
) -> Iterator[Pair]:
    """The tuner's recommendation and each other one of the same run."""
    by_start = {(each.tool, each.run, each.round): each for each in carried}
    numbers = sorted({each.round for each in carried})
    ours = {each.run: each for each in recommendations if each.tool == "tuner"}
    for theirs in recommendations:
        if theirs.tool == "tuner" or theirs.run not in ours:
            continue
        rounds = (
            (by_start.get(("tuner", theirs.run, number)), by_start.get((*_key(theirs), number)))
            for number in numbers
        )
        both = tuple((one, other) for one, other in rounds if one and other)
        yield Pair(ours[theirs.run], theirs, both)


def _key(recommendation: Recommendation) -> tuple[str, int]:
    return recommendation.tool, recommendation.run


def interval(ratios: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of their geometric mean: Student's t on logarithms.

    None for a single ratio, and where one of them is 0 or infinite.
    """
    if len(ratios) < 2 or min(ratios) == 0 or max(ratios) == math.inf:
        return None
    centre = comparison.mean([math.log(ratio) for ratio in ratios], [0.0] * len(ratios))
    return math.exp(centre.value - centre.margin), math.exp(centre.value + centre.margin)


if __name__ == "__main__":
    main()

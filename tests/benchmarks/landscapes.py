"""Landscapes that nobody measured: tables in memory, and their files."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.landscapes.base import Landscape
from benchmarks.landscapes.table import Point, Row, Table
from tests.spaces import choice, space, switch
from tuner.errors import Reason
from tuner.goals import LatencyBudget
from tuner.records import Phase, TrialState
from tuner.space.space import Configuration

BUDGET = LatencyBudget(99, 0.010)
SPACE = space(
    choice(1, 2, 3, name="instance_count"),
    switch("dynamic_batching"),
    choice(4, 1, 2, name="max_batch_size", when="dynamic_batching"),
    choice(0, 1000, name="max_queue_delay_microseconds", when="dynamic_batching"),
    hints=({"dynamic_batching": True},),
)
SOME = next(SPACE.grid())


def point(phase: Phase, load: float, p95_s: float, p99_s: float) -> Point:
    kind = "open" if phase is Phase.SEARCH else "closed"
    return Point(phase, kind, load, 2.0, load, {50: p95_s / 2, 95: p95_s, 99: p99_s})


def row(capacity: float, configuration: Configuration = SOME, **wishes: Any) -> Row:
    """Two probes, then 90, 110 and 103 % of the capacity; the last is over by its p99 alone."""
    facts: dict[str, Any] = {
        "configuration": configuration,
        "state": TrialState.FEASIBLE,
        "reason": None,
        "throughput": capacity,
        "log_error": 0.01,
        "unloaded_s": 0.002,
        "saturation": 1.2 * capacity,
        "timings_s": {"apply": 1.0, "verify": 0.5, "search": 6.6, "total": 12.0},
        "points": (
            point(Phase.UNLOADED, 1, 0.001, 0.002),
            point(Phase.SATURATION, 8, 0.02, 0.03),
            point(Phase.SEARCH, 0.90 * capacity, 0.004, 0.007),
            point(Phase.SEARCH, 1.10 * capacity, 0.012, 0.015),
            point(Phase.SEARCH, 1.03 * capacity, 0.009, 0.011),
        ),
        "ladder": (
            ladder_point(1, 0.25 * capacity, 0.002),
            ladder_point(4, capacity, 0.008),
            ladder_point(16, capacity, math.inf),
        ),
    }
    return Row(**(facts | wishes))


def ladder_point(concurrency: int, throughput: float, p99_s: float) -> Point:
    return Point(Phase.SEARCH, "closed", concurrency, 0.6, throughput, {95: p99_s, 99: p99_s})


def failed(configuration: Configuration = SOME) -> Row:
    return row(
        0.0,
        configuration,
        state=TrialState.FAILED,
        reason=Reason.CRASHED,
        saturation=0.0,
        points=(point(Phase.UNLOADED, 1, 0.001, 0.002),),
        ladder=(),
        timings_s={"apply": 3.0, "total": 4.0},
    )


def table(rows: Sequence[Row], *, noise: float = 0.0) -> Table:
    by_configuration = {each.configuration: each for each in rows}
    return Table("tiny", "a machine", BUDGET, SPACE, by_configuration, noise)


def grid_table() -> Table:
    """All of the space: more of everything is better, but three instances fail with a delay."""
    rows = []
    for configuration in SPACE.grid():
        instances, batch = configuration["instance_count"], configuration.get("max_batch_size", 1)
        delay = configuration.get("max_queue_delay_microseconds", 0)
        capacity = 100.0 * int(instances) * {1: 1.0, 2: 1.5, 4: 2.0}[int(batch)]
        ladder = (ladder_point(1, capacity, 0.001), ladder_point(128, capacity, 0.008))
        broken = instances == 3 and delay
        rows.append(
            failed(configuration) if broken else row(capacity, configuration, ladder=ladder)
        )
    return table(rows)


@dataclass(frozen=True)
class Elsewhere(Landscape):
    """A landscape whose files are in its repository's folder."""

    @property
    def space_file(self) -> Path:
        return self.repository / "space.yaml"

    @property
    def table(self) -> Path:
        return self.repository / "table.jsonl"


SPACE_FILE = """
server: triton
description: tiny
parameters:
  instance_count:
    type: categorical
    choices: [1, 2]
    default: 1
    sets: {config: "instance_group[0].count"}
  dynamic_batching:
    type: boolean
    default: false
    sets: {config: dynamic_batching}
  max_batch_size:
    type: categorical
    choices: [4, 8]
    default: 8
    when: dynamic_batching
    sets: {config: max_batch_size}
  max_queue_delay_microseconds:
    type: categorical
    choices: [0]
    default: 0
    when: dynamic_batching
    sets: {config: dynamic_batching.max_queue_delay_microseconds}
hints:
  - {dynamic_batching: true}
"""


def entry(instances: int, batch: int, throughput: float, **wishes: Any) -> dict[str, Any]:
    """A line of a table, as the measuring writes it; batch 0 is without batching."""
    configuration: dict[str, Any] = {"instance_count": instances, "dynamic_batching": batch > 0}
    if batch:
        configuration |= {"max_batch_size": batch, "max_queue_delay_microseconds": 0}
    fast = {"50": 0.001, "90": 0.002, "95": 0.003, "99": 0.004}
    loads = [("warm-up", "closed", 1), ("unloaded", "closed", 1), ("saturation", "closed", 4)]
    facts: dict[str, Any] = {
        "configuration": configuration,
        "state": "feasible",
        "reason": "",
        "throughput": throughput,
        "log_error": 0.02,
        "unloaded_s": 0.001,
        "saturation": 1.1 * throughput,
        "timings_s": {"apply": 1.0, "verify": 0.1, "search": 2.0, "total": 4.0},
        "points": [
            load_point(phase, kind, load, 100.0, fast)
            for phase, kind, load in [*loads, ("search", "open", throughput)]
        ],
        "more": [
            load_point("search", "closed", 4, throughput, fast),
            load_point("search", "closed", 1, throughput / 2, fast),
            load_point("search", "open", throughput / 3, throughput / 3, fast),
        ],
    }
    return facts | wishes


def load_point(
    phase: str, kind: str, load: float, throughput: float, percentiles_s: dict[str, float]
) -> dict[str, Any]:
    return {
        "phase": phase,
        "kind": kind,
        "load": load,
        "duration_s": 1.0,
        "throughput": throughput,
        "requests": 1000,
        "failed": 0,
        "percentiles_s": percentiles_s,
        "stopped_early": "",
    }


BROKEN = {
    "state": "failed",
    "reason": "crashed",
    "log_error": math.inf,
    "saturation": 0.0,
    "points": [],
    "more": [],
    "timings_s": {"apply": 2.0, "total": 2.0},
}
ENTRIES = [
    entry(1, 0, 100.0),
    entry(1, 4, 300.0),
    entry(2, 0, 150.0),
    entry(1, 0, 121.0),
    entry(1, 8, 320.0),
    entry(2, 4, 0.0, **BROKEN),
    entry(2, 8, 350.0),
    entry(1, 0, 110.0),
]


def written(folder: Path, entries: Sequence[dict[str, Any]]) -> Landscape:
    landscape = Elsewhere("tiny", folder, BUDGET)
    landscape.space_file.write_text(SPACE_FILE)
    lines = [{"landscape": "tiny", "machine": "2 x Something"}, *entries]
    landscape.table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return landscape

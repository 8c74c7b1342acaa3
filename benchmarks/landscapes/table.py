"""What was measured of a landscape, read back: one row for each configuration."""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.landscapes.base import Landscape
from tuner.errors import InputError, Reason
from tuner.goals import LatencyBudget
from tuner.records import Phase, TrialState
from tuner.space.resolution import search_space
from tuner.space.space import Configuration, SearchSpace

# Load points that count. Bursts of a warm-up are none.
_SEARCHED = (Phase.UNLOADED, Phase.SATURATION, Phase.SEARCH)


@dataclass(frozen=True)
class Point:
    """One load point; `load` is the concurrency of a closed loop, the rate of an open one."""

    phase: Phase
    kind: str
    load: float
    duration_s: float
    throughput: float
    percentiles_s: Mapping[int, float]


@dataclass(frozen=True)
class Row:
    """What one configuration measured, nothing pruned.

    `points` are those of the capacity search, in order and without the bursts of the warm-up;
    `ladder` is the closed loop, by rising concurrency, empty where the trial failed.
    """

    configuration: Configuration
    state: TrialState
    reason: Reason | None
    throughput: float
    log_error: float
    unloaded_s: float
    saturation: float
    timings_s: Mapping[str, float]
    points: tuple[Point, ...]
    ladder: tuple[Point, ...]

    @property
    def capacity(self) -> float:
        """Inferences per second, 0 where no load meets the latency budget."""
        return self.throughput if self.state is TrialState.FEASIBLE else 0.0


@dataclass(frozen=True)
class Table:
    """A whole landscape; `noise` is the standard deviation of a capacity's logarithm.

    It is that of the configurations that were measured several times: the server's defaults and
    the best ones.
    """

    name: str
    machine: str
    budget: LatencyBudget
    space: SearchSpace
    rows: Mapping[Configuration, Row]
    noise: float

    @property
    def best(self) -> Row:
        return max(self.rows.values(), key=lambda row: row.capacity)


def read(landscape: Landscape) -> Table:
    """The table of `landscape`.

    Raises:
        InputError: There is none, or it lacks configurations of the space.
    """
    path = landscape.table
    lines = path.read_text().splitlines() if path.exists() else []
    header, *entries = [json.loads(line) for line in lines] or [{}]
    measured: dict[Configuration, list[Row]] = defaultdict(list)
    for entry in entries:
        row = _row(entry)
        measured[row.configuration].append(row)
    space = search_space(landscape.space_file, {})
    grid = list(space.grid())
    missing = [configuration for configuration in grid if configuration not in measured]
    if missing:
        raise InputError(
            f"{path}: every configuration of the space must be there, but {len(missing)} of "
            f"{len(grid)} are not, such as `{missing[0]}`",
            hint=f"`python -m benchmarks.landscapes.measure {landscape.name}` measures them",
        )
    return Table(
        landscape.name,
        header["machine"],
        landscape.budget,
        space,
        {configuration: _typical(measured[configuration]) for configuration in grid},
        _noise(measured.values()),
    )


def _row(entry: Mapping[str, Any]) -> Row:
    points = [_point(each) for each in entry["points"]]
    more = [_point(each) for each in entry["more"]]
    return Row(
        configuration=Configuration.of(entry["configuration"]),
        state=TrialState(entry["state"]),
        reason=Reason(entry["reason"]) if entry["reason"] else None,
        throughput=entry["throughput"],
        log_error=entry["log_error"],
        unloaded_s=entry["unloaded_s"],
        saturation=entry["saturation"],
        timings_s=entry["timings_s"],
        points=tuple(point for point in points if point.phase in _SEARCHED),
        ladder=tuple(
            sorted((p for p in more if p.kind == "closed"), key=lambda point: point.load)
        ),
    )


def _point(entry: Mapping[str, Any]) -> Point:
    return Point(
        phase=Phase(entry["phase"]),
        kind=entry["kind"],
        load=entry["load"],
        duration_s=entry["duration_s"],
        throughput=entry["throughput"],
        percentiles_s={int(q): value for q, value in entry["percentiles_s"].items()},
    )


def _typical(rows: Sequence[Row]) -> Row:
    """The median of the feasible ones, with the one ladder; the first one where none is."""
    feasible = [row for row in rows if row.state is TrialState.FEASIBLE]
    feasible.sort(key=lambda row: row.throughput)
    median = feasible[(len(feasible) - 1) // 2] if feasible else rows[0]
    return replace(median, ladder=next((row.ladder for row in rows if row.ladder), ()))


def _noise(measured: Iterable[Sequence[Row]]) -> float:
    """Within one configuration, over all that have repeats (the pooled standard deviation)."""
    squares, freedom = 0.0, 0
    for rows in measured:
        logs = [math.log(row.throughput) for row in rows if row.state is TrialState.FEASIBLE]
        if len(logs) > 1:
            squares += (len(logs) - 1) * statistics.variance(logs)
            freedom += len(logs) - 1
    return math.sqrt(squares / freedom) if freedom else 0.0

"""Model Analyzer's quick search on a table: what it would measure, when, and recommend.

It sees closed loops, because it measures with them: throughput and percentile are interpolated
between the concurrencies of the table (on logarithmic scales), and beyond the highest one they are
those of the highest. What it recommends counts with its open-loop capacity, as for all others.

It may try what the table has of its two dimensions, with dynamic batching and without a delay.
Every change of the configuration restarts its server; the time for that is the table's, which is
often that of a reload, so its times here are rather too short.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.landscapes.table import Point, Row, Table
from benchmarks.quick_search import Grid, Result, Run, Variant, quick_search, recommended
from benchmarks.replayed_trials import Cost, Moment, Noise
from tuner.space.expressions import Value
from tuner.space.space import Configuration, SearchSpace

# perf_analyzer answers after three windows that agree, of 5 s each: this is the least it takes.
MEASUREMENT_S = 15.0

# Latencies of requests that failed are infinite; the logarithm of this is finite.
_NEVER_S = 1e3
_LEAST_THROUGHPUT = 1e-3


def replayed_quick(table: Table, seed: int) -> Iterator[Moment]:
    """The whole search, load point by load point; a trial is a configuration's first one."""
    noise, space = Noise(table, seed), table.space

    def measure(variant: Variant | None, concurrency: int) -> Result | None:
        row = table.rows[_configuration(space, variant)]
        return measured(row, concurrency, table, noise.factor(row.configuration))

    runs = quick_search(_grid(table), table.budget.limit_s, measure)
    cost = Cost()
    for number, run in enumerate(runs, start=1):
        cost += _cost(run, runs[: number - 1], table.rows[_configuration(space, run.variant)])
        best = recommended(runs[:number], table.budget.limit_s)
        yield Moment(cost, table.rows[_configuration(space, best)].capacity)


def measured(row: Row, concurrency: int, table: Table, factor: float) -> Result | None:
    """What perf_analyzer would say of `row` on a machine that is `factor` times as fast."""
    if not row.ladder:
        return None
    q = int(table.budget.percentile)
    throughputs = [max(p.throughput, _LEAST_THROUGHPUT) for p in row.ladder]
    latencies_s = [min(p.percentiles_s[q], _NEVER_S) for p in row.ladder]
    return Result(
        _interpolated(row.ladder, throughputs, concurrency) * factor,
        _interpolated(row.ladder, latencies_s, concurrency) / factor,
    )


def _interpolated(ladder: Sequence[Point], values: Sequence[float], concurrency: int) -> float:
    loads = np.log([point.load for point in ladder])
    return math.exp(float(np.interp(math.log(concurrency), loads, np.log(values))))


def _grid(table: Table) -> Grid:
    space, ladders = table.space, (row.ladder for row in table.rows.values())
    instances, batches = space["instance_count"], space["max_batch_size"]
    return Grid(
        instances=_ascending(instances.choices),
        batches=_ascending(batches.choices),
        default_concurrency=2 * int(batches.default) * int(instances.default),
        largest_concurrency=int(max(point.load for ladder in ladders for point in ladder)),
    )


def _ascending(choices: Sequence[Value] | None) -> list[int]:
    return sorted(int(choice) for choice in choices or ())


def _configuration(space: SearchSpace, variant: Variant | None) -> Configuration:
    if variant is None:
        return space.defaults
    return space.activate(
        {
            "instance_count": variant.instances,
            "dynamic_batching": True,
            "max_batch_size": variant.largest_batch,
            "max_queue_delay_microseconds": 0,
        }
    )


def _cost(run: Run, before: Sequence[Run], row: Row) -> Cost:
    """One load point, and a start where the server runs something else than for the last one."""
    first = all(each.variant != run.variant for each in before)
    if run.result is None:
        return Cost(int(first), 1, row.timings_s["total"])
    starts = not before or before[-1].variant != run.variant
    start_s = row.timings_s["apply"] + row.timings_s["verify"] if starts else 0.0
    return Cost(int(first), 1, start_s + MEASUREMENT_S)

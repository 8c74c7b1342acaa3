"""Trials that a table answers instead of a server: what they would say, and what they would cost.

A trial of the study drops a configuration at the first proof that it cannot beat the best one. So
does a replayed one, by the points that its row has, in their order: first the saturation, then
each load of the search.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Protocol, Self

import numpy as np

from benchmarks.landscapes.table import Point, Row, Table
from tuner.goals import LatencyBudget
from tuner.numbers.distributions import Z
from tuner.records import Phase, Purpose, TrialRecord, TrialState
from tuner.search.search import Proposal
from tuner.space.space import Configuration

# Loads for each configuration of an exhaustive search: concurrency 1 to 1024, as Model Analyzer's.
EXHAUSTIVE_LOADS = 11

# Tables keep no interval of the throughput: this is half of it (95 %), for the second that the
# saturation takes. It is on the wide side: pruning less makes a search look dearer.
_SATURATION_WIDTH = 0.05
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cost:
    """What measuring takes: configurations, load points (bursts of a warm-up are none), time."""

    trials: int = 0
    points: int = 0
    time_s: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.trials + other.trials, self.points + other.points, self.time_s + other.time_s
        )


@dataclass(frozen=True)
class Moment:
    """A search after one more trial: all that it has cost, and what it would recommend now.

    `capacity` is the recommended configuration's in the table, which the search does not know;
    0 while it has nothing to recommend.
    """

    cost: Cost
    capacity: float


class Proposer(Protocol):
    """Decides what to try next; it is told of each trial before it is asked again."""

    def ask(self) -> Proposal | None: ...

    def tell(self, number: int, record: TrialRecord) -> None: ...


def exhaustive(table: Table) -> Cost:
    """What it costs to measure everything."""
    count = len(table.rows)
    time_s = sum(row.timings_s["total"] for row in table.rows.values())
    return Cost(count, count * EXHAUSTIVE_LOADS, time_s)


class Noise:
    """How much faster than in its row each configuration comes out in one search.

    The same factor goes for everything that is measured of it: it is a start or a moment of the
    machine that was lucky. Searches with the same seed are lucky with the same configurations.
    """

    def __init__(self, table: Table, seed: int) -> None:
        logs = np.random.default_rng(seed).normal(0.0, table.noise, len(table.rows))
        factors: list[float] = np.exp(logs).tolist()
        self._factors = dict(zip(table.rows, factors, strict=True))

    def factor(self, configuration: Configuration) -> float:
        return self._factors[configuration]

    def capacity(self, row: Row) -> float:
        """As it is measured in this search."""
        return row.capacity * self.factor(row.configuration)


def replayed(table: Table, proposer: Proposer, seed: int, in_flight: int = 1) -> Iterator[Moment]:
    """A search, trial by trial as they end, until nothing can change what it recommends.

    That is when it recommends what measures best of the whole table, or has tried everything. The
    first trial runs alone, as a study's baseline does; then as many as are to be `in_flight`, and
    the time is that of the hosts they run on. Each is raced against the best so far for as long as
    it runs.
    """
    noise = Noise(table, seed)
    unbeatable = max(table.rows.values(), key=noise.capacity)
    running: list[_Running] = []
    cost, beat, best, more = Cost(), 0.0, None, True
    while best is not unbeatable:
        hosts = in_flight if cost.trials else 1
        while more and len(running) < hosts:
            proposal = proposer.ask()
            more = proposal is not None
            if proposal is not None:
                row = table.rows[proposal.configuration]
                heappush(running, _Running.begun(row, proposal.number, cost.time_s))
        if not running:
            return
        now = heappop(running)
        proof = beaten(now.row, table.budget, beat / noise.factor(now.row.configuration), now.used)
        if proof is None and now.used < len(now.row.points):
            heappush(running, now.after_another_point())
            continue
        record, spent = ended(now.row, now.number, proof and (now.used, proof[1]), noise)
        proposer.tell(now.number, record)
        cost = Cost(cost.trials + 1, cost.points + spent.points, now.until_s)
        if record.state is TrialState.FEASIBLE:
            beat = max(beat, record.throughput * math.exp(-Z * record.log_error))
            if best is None or record.throughput > noise.capacity(best):
                best = now.row
        yield Moment(cost, best.capacity if best else 0.0)


@dataclass(frozen=True, order=True)
class _Running:
    """A trial in virtual time: the first `used` of its points have ended by `until_s`."""

    until_s: float
    number: int
    row: Row = field(compare=False)
    began_s: float = field(compare=False)
    used: int = field(compare=False)

    @classmethod
    def begun(cls, row: Row, number: int, began_s: float) -> Self:
        """Until its saturation is known, or to its end if it fails."""
        searched = sum(point.phase is Phase.SEARCH for point in row.points)
        used = len(row.points) - (searched if row.state is not TrialState.FAILED else 0)
        return cls(began_s + _time_s(row, used), number, row, began_s, used)

    def after_another_point(self) -> Self:
        used = self.used + 1
        return replace(self, until_s=self.began_s + _time_s(self.row, used), used=used)


def ended(
    row: Row, number: int, proof: tuple[int, float] | None, noise: Noise
) -> tuple[TrialRecord, Cost]:
    """The trial of `row`, to its end or until `proof` that it was beaten, and what it took."""
    factor = noise.factor(row.configuration)
    used, state, throughput = len(row.points), row.state, row.throughput
    if proof:
        used, throughput = proof
        state = TrialState.PRUNED
    record = TrialRecord(
        number=number,
        purpose=Purpose.SEARCH,
        proposal=number,
        configuration=row.configuration,
        state=state,
        reason=row.reason,
        throughput=throughput * factor,
        log_error=math.inf if proof else row.log_error,
        unloaded_s=row.unloaded_s / factor,
        saturation=row.saturation * factor,
        timings_s=row.timings_s,
        started_at=_SOME_DAY,
        finished_at=_SOME_DAY,
    )
    return record, Cost(1, used, _time_s(row, used))


def beaten(
    row: Row, budget: LatencyBudget, beat: float, seen: int | None = None
) -> tuple[int, float] | None:
    """After how many points it is proved that `row` carries less than `beat`, and the bound.

    None where nothing proves it, of the points `seen` (all of them). A failure is no proof: it is
    told as what it is.
    """
    if row.state is TrialState.FAILED:
        return None
    probes = sum(point.phase is not Phase.SEARCH for point in row.points)
    if 0 < row.saturation * (1 + _SATURATION_WIDTH) < beat:
        return probes, row.saturation
    for number, point in enumerate(row.points[probes:seen], start=probes + 1):
        if point.load < beat and _surely_over(point, budget):
            return number, point.load
    return None


def _surely_over(point: Point, budget: LatencyBudget) -> bool:
    """Whether even the next lower percentile of the table is over the limit.

    It stands for the lower end of the percentile's interval, which tables do not keep: of 1000
    requests, the 95th percentile is the lower end of the 99th's where the design effect is 37.
    """
    lower = max(q for q in point.percentiles_s if q < budget.percentile)
    return point.percentiles_s[lower] > budget.limit_s


def _time_s(row: Row, used: int) -> float:
    """The trial's time without that of the points that were not measured."""
    searched_s = sum(p.duration_s for p in row.points if p.phase is Phase.SEARCH)
    unused_s = sum(p.duration_s for p in row.points[used:])
    saved = unused_s / searched_s if searched_s else 0.0
    return row.timings_s["total"] - saved * row.timings_s.get("search", 0.0)

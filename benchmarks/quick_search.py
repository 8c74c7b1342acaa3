"""Model Analyzer's quick search, written anew from what its documentation says it does (1.54).

It climbs over two dimensions, the largest batch and the instances, by steps of indices. Every
configuration is measured once, in a closed loop of 2 x batch x instances. Then the best three and
the server's defaults are measured over a range of concurrencies.

- It starts with the defaults, then at the smallest values.
- Around home (a radius of 3) it measures until three neighbours have a result, those first that
  have values which none of them had.
- It moves by what the neighbours gained over home, for each dimension: 1, 2 or 3 indices for more
  than 9, 30 and 100 % each index.
- Where some meet the latency budget and some do not, it is careful: it measures all that are next
  to home, and moves to the best one that does.
- It steps back from a home that failed, or that misses the budget when an earlier one met it.
- It ends where it stays at home, comes to a place for the third time, or has nothing to measure.

Meeting the budget comes before throughput; of two that miss it, the lower latency is better.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

LARGEST_CONCURRENCY = 1024

_RADIUS = 3
_NEIGHBOURS = 3
_THRESHOLDS = (0.09, 0.3, 1.0)
_VISITS = 2
_SWEPT = 3
# A sweep ends when this many results
_PLATEAU = 4
# in a row gain less than this share.
_PLATEAU_GAIN = 0.05
_BISECTIONS = 5

# Indices of the largest batch and of the instances.
Place = tuple[int, int]


@dataclass(frozen=True)
class Variant:
    """What it changes of the model; dynamic batching is on, without a delay."""

    instances: int
    largest_batch: int

    @property
    def concurrency(self) -> int:
        return 2 * self.largest_batch * self.instances


@dataclass(frozen=True)
class Result:
    """What perf_analyzer said of one concurrency, inferences per second and seconds."""

    throughput: float
    latency_s: float

    def rank(self, limit_s: float) -> tuple[bool, float]:
        """The higher, the better: meets the limit, then by throughput or else by latency."""
        within = self.latency_s <= limit_s
        return within, self.throughput if within else -self.latency_s


@dataclass(frozen=True)
class Run:
    """One measurement; `variant` is None for the defaults, `result` where it failed."""

    variant: Variant | None
    concurrency: int
    result: Result | None


class Measure(Protocol):
    """Measures in a closed loop; None if there is no result."""

    def __call__(self, variant: Variant | None, concurrency: int) -> Result | None: ...


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What may be tried, ascending, and the concurrency that the defaults are measured with."""

    instances: Sequence[int]
    batches: Sequence[int]
    default_concurrency: int
    largest_concurrency: int = LARGEST_CONCURRENCY

    def variant(self, place: Place) -> Variant:
        return Variant(self.instances[place[1]], self.batches[place[0]])

    def clamped(self, place: Place) -> Place:
        largest = (len(self.batches) - 1, len(self.instances) - 1)
        first, second = (max(0, min(a, b)) for a, b in zip(place, largest, strict=True))
        return first, second

    def around(self, home: Place) -> list[Place]:
        """All places within the radius, home among them, small steps up first."""
        steps = itertools.product(range(-_RADIUS, _RADIUS + 1), repeat=2)
        near = sorted(
            (s for s in steps if math.hypot(*s) <= _RADIUS),
            key=lambda s: (abs(s[0]), abs(s[1]), -s[0], -s[1]),
        )
        places = [(home[0] + first, home[1] + second) for first, second in near]
        return [place for place in places if place == self.clamped(place)]

    def next_to(self, home: Place) -> list[Place]:
        return [place for place in self.around(home) if math.dist(place, home) == 1]


def quick_search(grid: Grid, limit_s: float, measure: Measure) -> tuple[Run, ...]:
    """Everything that is measured, in order; `limit_s` is that of the latency budget."""
    log = _Log(measure)
    log.run(None, grid.default_concurrency)
    _Climb(grid, limit_s, log).climb()
    for variant in _best(log, limit_s):
        _sweep(variant, grid.largest_concurrency, limit_s, log)
    return tuple(log.runs.values())


def recommended(runs: Sequence[Run], limit_s: float) -> Variant | None:
    """The best variant after `runs`; None for the defaults, or where nothing has a result."""
    with_result = [(run.result.rank(limit_s), run.variant) for run in runs if run.result]
    return max(with_result, key=lambda each: each[0], default=(None, None))[1]


@dataclass
class _Log:
    """The measurements so far; nothing is measured twice."""

    measure: Measure
    runs: dict[tuple[Variant | None, int], Run] = field(default_factory=dict)

    def run(self, variant: Variant | None, concurrency: int) -> Result | None:
        key = (variant, concurrency)
        if key not in self.runs:
            self.runs[key] = Run(variant, concurrency, self.measure(variant, concurrency))
        return self.runs[key].result


@dataclass
class _Climb:
    """The hill climbing: where home is, and what was seen."""

    grid: Grid
    limit_s: float
    log: _Log
    home: Place = (0, 0)
    careful: bool = False
    home_has_passed: bool = False
    seen: dict[Place, Result | None] = field(default_factory=dict)
    visits: Counter[Place] = field(default_factory=Counter)

    def climb(self) -> None:
        place: Place | None = self.home
        while place is not None:
            self._measure(place)
            place = self._next(place)

    def _next(self, measured: Place) -> Place | None:
        """Where to measure next; None at the end."""
        if measured == self.home and self._is_lost():
            best = self._best_of(self.seen)
            nearest = min(self.grid.around(self.home), key=lambda place: math.dist(place, best))
            return self._move(nearest, careful=True)
        if self._is_careful():
            unseen = [p for p in self.grid.next_to(self.home) if p not in self.seen]
            return unseen[0] if unseen else self._step(self._best_near())
        if len(self._neighbours()) < _NEIGHBOURS:
            return self._newest()
        return self._step(self._uphill())

    def _measure(self, place: Place) -> None:
        variant = self.grid.variant(place)
        self.seen[place] = self.log.run(variant, variant.concurrency)
        if place == self.home and self._passes(place):
            self.home_has_passed = True

    def _is_lost(self) -> bool:
        if self.seen[self.home] is None:
            return True
        return self.home_has_passed and not self._passes(self.home)

    def _is_careful(self) -> bool:
        passing = {self._passes(place) for place in [self.home, *self._neighbours()]}
        return self.careful or len(passing) == 2

    def _step(self, place: Place) -> Place | None:
        return None if self.visits[place] >= _VISITS else self._move(place, careful=False)

    def _move(self, place: Place, *, careful: bool) -> Place | None:
        if place == self.home:
            return None
        self.home, self.careful = place, careful
        self.visits[place] += 1
        return place

    def _best_near(self) -> Place:
        near = [self.home, *self._neighbours()]
        return self._best_of(place for place in near if self._passes(place))

    def _newest(self) -> Place | None:
        """The neighbour with most values that no measured neighbour has."""
        known = self._neighbours()
        values = [{place[dimension] for place in known} for dimension in (0, 1)]
        unseen = [place for place in self.grid.around(self.home) if place not in self.seen]
        return max(
            unseen,
            key=lambda place: sum(place[n] not in values[n] for n in (0, 1)),
            default=None,
        )

    def _uphill(self) -> Place:
        """Home and a step in each dimension, by the gain for each index of distance."""
        steps = []
        for dimension in (0, 1):
            gain, distance = 0.0, 0
            for place in self._neighbours():
                away = place[dimension] - self.home[dimension]
                gain += self._gain(place) * ((away > 0) - (away < 0))
                distance += abs(away)
            steps.append(_indices(gain / distance) if distance else 0)
        return self.grid.clamped((self.home[0] + steps[0], self.home[1] + steps[1]))

    def _gain(self, place: Place) -> float:
        """Of `place` over home, in throughput or, where both miss the budget, in how far."""
        there, here = self.seen[place], self.seen[self.home]
        if there is None or here is None:
            return 0.0
        if here.latency_s > self.limit_s:
            return (here.latency_s - there.latency_s) / self.limit_s
        return _relative(here.throughput, there.throughput)

    def _neighbours(self) -> list[Place]:
        """Those with a result, without home."""
        near = self.grid.around(self.home)
        return [place for place in near if place != self.home and self.seen.get(place)]

    def _best_of(self, places: Iterable[Place]) -> Place:
        """The one with the best result; home where none has any."""
        ranks = {p: result.rank(self.limit_s) for p in places if (result := self.seen[p])}
        return max(ranks, key=lambda place: ranks[place], default=self.home)

    def _passes(self, place: Place) -> bool:
        return _passes(self.seen[place], self.limit_s)


def _indices(gain: float) -> int:
    """How many indices to move for `gain`, which is for each index."""
    steps = sum(abs(gain) > threshold for threshold in _THRESHOLDS)
    return steps if gain > 0 else -steps


def _best(log: _Log, limit_s: float) -> list[Variant | None]:
    """The best three, and the defaults."""
    ranks: dict[Variant | None, tuple[bool, float]] = {}
    for run in log.runs.values():
        if run.result:
            ranks[run.variant] = run.result.rank(limit_s)
    best = sorted(ranks, key=lambda variant: ranks[variant], reverse=True)[:_SWEPT]
    return best if None in best or None not in ranks else [*best, None]


def _sweep(variant: Variant | None, largest: int, limit_s: float, log: _Log) -> None:
    """Double the concurrency while that helps; then halve the gap in which the limit lies."""
    swept: dict[int, Result | None] = {}
    concurrency = 1
    while concurrency <= largest and not _is_flat(list(swept.values())):
        swept[concurrency] = log.run(variant, concurrency)
        concurrency *= 2
    gaps = [
        (low, high)
        for low, high in itertools.pairwise(swept)
        if _passes(swept[low], limit_s) and swept[high] and not _passes(swept[high], limit_s)
    ]
    if gaps:
        _bisect(variant, gaps[-1], limit_s, log)


def _bisect(variant: Variant | None, gap: tuple[int, int], limit_s: float, log: _Log) -> None:
    low, high = gap
    for _ in range(_BISECTIONS):
        middle = (low + high) // 2
        if middle == low:
            return
        if _passes(log.run(variant, middle), limit_s):
            low = middle
        else:
            high = middle


def _is_flat(results: Sequence[Result | None]) -> bool:
    """The best of the last four gains less than 5 % over the first of them."""
    if len(results) < _PLATEAU:
        return False
    last = [result.throughput if result else 0.0 for result in results[-_PLATEAU:]]
    return _relative(last[0], max(last)) < _PLATEAU_GAIN


def _relative(before: float, after: float) -> float:
    """The difference over the mean of both."""
    return 2 * (after - before) / (after + before) if after + before else 0.0


def _passes(result: Result | None, limit_s: float) -> bool:
    return result is not None and result.latency_s <= limit_s

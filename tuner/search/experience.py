"""What the trials so far say: which were good, where they crash, how bad it can be."""

import math
from collections.abc import Iterable, Iterator, Sequence, Set

import numpy as np

from tuner.analysis.pareto import dominates
from tuner.goals import LatencyBudget, Objective
from tuner.records import TrialRecord, TrialState
from tuner.search.crash_regions import CrashRegion, predicted_crash, regions
from tuner.search.promise import Prospects
from tuner.space.space import Configuration, SearchSpace

# After this many failures in a region, and no success, it is sure to crash.
_FAILURES_TO_BE_SURE = 3
# A model of this many trials proposes more wisely than chance;
_TRIALS_FOR_MODEL = 5
# of this many with a throughput it is believed that there is nothing left to gain.
_TRIALS_FOR_STOPPING = 10
# The constraints of a configuration that crashed; positive is violated.
CRASHED = {"crash": 1.0, "latency": 1.0}


class Experience:
    """The first record of each configuration, and what follows from all of them."""

    def __init__(
        self, space: SearchSpace, budget: LatencyBudget, objectives: Sequence[Objective]
    ) -> None:
        self._space = space
        self._budget = budget
        self._objectives = tuple(objectives)
        self._records: dict[Configuration, TrialRecord] = {}
        self._regions: tuple[CrashRegion, ...] | None = ()
        self._turn = 0

    def learn(self, record: TrialRecord) -> None:
        self._records.setdefault(record.configuration, record)
        self._regions = None

    def of(self, configuration: Configuration) -> TrialRecord | None:
        return self._records.get(configuration)

    @property
    def regions(self) -> Sequence[CrashRegion]:
        """Where nearly every trial failed; worked out when somebody asks."""
        if self._regions is None:
            self._regions = regions(self._space, list(self._records.values()))
        return self._regions

    def crashes(self, configuration: Configuration) -> bool:
        return any(configuration in region for region in self.regions)

    def surely_crashes(self, configuration: Configuration) -> bool:
        return any(
            configuration in region and region.failed == region.tried >= _FAILURES_TO_BE_SURE
            for region in self.regions
        )

    def best(self) -> Iterator[Configuration]:
        """Feasible ones, the best first; with several objectives, the Pareto front in turn."""
        feasible = [t for t in self._records.values() if t.state is TrialState.FEASIBLE]
        feasible.sort(key=lambda t: t.throughput, reverse=True)
        if len(self._objectives) > 1 and feasible:
            feasible = self._front_first(feasible)
        return (t.configuration for t in feasible)

    def _front_first(self, feasible: Sequence[TrialRecord]) -> list[TrialRecord]:
        values = np.array(self.values(feasible))
        maximize = [objective.maximize for objective in self._objectives]
        beaten = dominates(values[None, :], values[:, None], maximize).any(axis=1)
        front = [t for t, each in zip(feasible, beaten, strict=True) if not each]
        rest = [t for t, each in zip(feasible, beaten, strict=True) if each]
        self._turn = (self._turn + 1) % len(front)
        return [*front[self._turn :], *front[: self._turn], *rest]

    def expected(
        self,
        prospects: Prospects,
        tried: Set[Configuration],
        more: Sequence[Configuration] = (),
    ) -> dict[Configuration, float]:
        """What `prospects`, and `more`, promise if they do not crash; {} while little is known.

        {} with several objectives, too: nobody knows how much each counts.
        """
        if len(self._records) < _TRIALS_FOR_MODEL or len(self._objectives) > 1:
            return {}
        gains = prospects.expected(list(self._records.values()), tried, more)
        return {c: gain * (1 - predicted_crash(self.regions, c)) for c, gain in gains.items()}

    def promise(
        self,
        prospects: Prospects,
        tried: Set[Configuration],
        more: Sequence[Configuration] = (),
    ) -> float:
        """The most that `prospects`, and `more`, promise; infinite while too little is known."""
        states = [t.state for t in self._records.values()]
        measured = states.count(TrialState.FEASIBLE) + states.count(TrialState.PRUNED)
        unknown = measured < _TRIALS_FOR_STOPPING or TrialState.FEASIBLE not in states
        if unknown or len(self._objectives) > 1:
            return math.inf
        return max(self.expected(prospects, tried, more).values(), default=0.0)

    def values(self, records: Iterable[TrialRecord]) -> list[list[float]]:
        """The objectives of each, or the worst yet where one was not measured, or it failed."""
        worst = self.worst
        return [
            [
                value if record.state is not TrialState.FAILED and math.isfinite(value) else bad
                for value, bad in zip(map(record.value, self._objectives), worst, strict=True)
            ]
            for record in records
        ]

    @property
    def worst(self) -> list[float]:
        """The worst that was measured of each objective; 1 as long as nothing was."""
        measured = [t for t in self._records.values() if t.state is not TrialState.FAILED]
        return [
            0.0
            if objective.maximize
            else max(filter(math.isfinite, (t.value(objective) for t in measured)), default=1.0)
            for objective in self._objectives
        ]

    def constraints(self, record: TrialRecord) -> dict[str, float]:
        """Positive where violated: all of them, always.

        `latency` is the log of the unloaded latency over the limit where no load meets it.
        """
        if record.state is TrialState.FAILED:
            return CRASHED
        latency = -1.0
        if record.state is TrialState.INFEASIBLE:
            latency = 1.0
            if math.isfinite(record.unloaded_s) and record.unloaded_s > 0:
                ratio = math.log(record.unloaded_s / self._budget.limit_s)
                latency = min(2.0, max(0.01, ratio))
        return {"crash": -1.0, "latency": latency}

"""A study in virtual time: which of 24 simulated configurations is recommended?

Every trial is a fresh start, and no two starts of one configuration are of the same speed.
"""

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from benchmarks.known_capacities import Scenario
from tests.capacity.simulated_server import Batching, SimulatedServer, fresh_start
from tuner.capacity.find import find_capacity
from tuner.capacity.probes import Beat, Capacity, Expected, RisingBeat
from tuner.goals import LatencyBudget
from tuner.numbers.distributions import Z
from tuner.records import Outcome

_BUDGET = LatencyBudget(99, 0.02)
# By the number of instances: how many times as long each takes as one that has the machine alone.
_SHARING = {1: 1.0, 2: 1.5}
# The largest batches and the queue delays of the family.
_SIZES = (4, 8, 12, 16, 24, 32)
_DELAYS_S = (0.0, 4e-3)

# Of the service times, from start to start: here that is some 6 % of the capacity.
_START_VARIATION = 0.03

# As in a study: finalists, rounds of the finals, and how far apart the seeds of two rounds are.
_FINALISTS = 3
_ROUNDS = 3
_FINAL_SEEDS = 1000


def _configuration(instances: int, most: int, delay_s: float) -> Scenario:
    sharing = _SHARING[instances]
    server = Batching(3e-3 * sharing, 0.4e-3 * sharing, most, delay_s, instances=instances)
    return Scenario.batching(server, _BUDGET)


FAMILY = tuple(_configuration(*each) for each in product(_SHARING, _SIZES, _DELAYS_S))


@dataclass(frozen=True)
class Recommendation:
    """Positions in the family, and the virtual seconds of measuring that led there.

    `confirmed` won the finals; `best_once` had the best single measurement of the search.
    """

    confirmed: int
    best_once: int
    search_s: float
    finals_s: float


def recommend(seed: int) -> Recommendation:
    """Search through the whole family, in random order; then the finals."""
    study = _Study(seed)
    for index in study.random.permutation(len(FAMILY)).tolist():
        study.search(index)
    search_s = study.spent_s
    ranked = sorted(study.found, key=lambda index: -study.found[index].throughput)
    confirmed = study.confirm(ranked[:_FINALISTS])
    return Recommendation(confirmed, ranked[0], search_s, study.spent_s - search_s)


class _Study:
    """A study while it runs; `found` are the feasible configurations."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng([seed, 5])
        self.found: dict[int, Capacity] = {}
        self.spent_s = 0.0
        self._seed = 100_000 * seed

    def search(self, index: int) -> None:
        capacity = self._trial(index, seed=self._seed, beat=self._to_beat())
        if capacity.outcome is Outcome.FEASIBLE:
            self.found[index] = capacity

    def confirm(self, finalists: list[int]) -> int:
        """The best geometric mean over the rounds; one that fails once is out."""
        logs = dict.fromkeys(finalists, 0.0)
        for number in range(_ROUNDS):
            for index in self.random.permutation(finalists).tolist():
                before = self.found[index]
                capacity = self._trial(
                    index,
                    seed=self._seed + _FINAL_SEEDS * (1 + number),
                    expected=Expected(before.throughput, before.saturation),
                )
                feasible = capacity.outcome is Outcome.FEASIBLE
                logs[index] += math.log(capacity.throughput) if feasible else -math.inf
        return max(logs, key=lambda index: logs[index])

    def _trial(
        self, index: int, *, seed: int, beat: float = 0.0, expected: Expected | None = None
    ) -> Capacity:
        scenario = FAMILY[index]
        started = fresh_start(scenario.simulation, self.random, variation=_START_VARIATION)
        server = SimulatedServer(started, seed=int(self.random.integers(1 << 32)))
        plan = replace(scenario.plan(seed), beat=RisingBeat(Beat(beat)), expected=expected)
        capacity = find_capacity(server, plan)
        self.spent_s += server.spent_s
        return capacity

    def _to_beat(self) -> float:
        """As a study has it: the lower end of the best capacity so far."""
        ends = [c.throughput * math.exp(-Z * c.log_error) for c in self.found.values()]
        return max(ends, default=0.0)

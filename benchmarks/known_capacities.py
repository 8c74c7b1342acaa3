"""Simulated servers whose capacity is known, for models with service times up to 5 ms."""

from dataclasses import dataclass

import numpy as np

from tests.capacity.simulated_server import (
    Batching,
    Instances,
    Simulation,
    Stalling,
    exponential,
    lognormal,
    true_capacity,
)
from tuner.capacity.probes import CapacityPlan
from tuner.goals import LatencyBudget
from tuner.load.arrivals import schedule
from tuner.load.histogram import percentile
from tuner.load.profile import OpenLoop

_ASIDE = 0.02


@dataclass(frozen=True)
class Scenario:
    """A server, the latency that its users accept, and what it carries without that limit.

    `saturation` is in requests per second, on paper; `concurrency` keeps the server full.
    """

    simulation: Simulation
    budget: LatencyBudget
    saturation: float
    concurrency: int
    largest_batch: int = 1

    @classmethod
    def batching(cls, server: Batching, budget: LatencyBudget) -> "Scenario":
        full_s = server.base_s + server.each_s * server.most
        return cls(
            simulation=server,
            budget=budget,
            saturation=server.instances * server.most / full_s,
            concurrency=2 * server.instances * server.most,
            largest_batch=server.most,
        )

    def plan(self, seed: int) -> CapacityPlan:
        return CapacityPlan(
            budget=self.budget,
            concurrency=self.concurrency,
            largest_batch=self.largest_batch,
            seed=seed,
        )

    def capacity(self, *, runs: int, requests: int) -> float:
        """The highest requests per second within the budget.

        Interpolated from `runs` at each of two loads beside a first guess, since one long
        run is not enough on a machine that stalls. One over the percentile is nearly straight over
        the load (exactly so in M/M/1).
        """
        guess = true_capacity(
            self.simulation, self.budget, highest=self.saturation, requests=requests
        )
        low, high = (1 - _ASIDE) * guess, (1 + _ASIDE) * guess
        below, above = (
            float(np.mean([self._inverse(rate, requests, seed) for seed in range(runs)]))
            for rate in (low, high)
        )
        return low + (high - low) * (below - 1) / (below - above)

    def _inverse(self, rate: float, requests: int, seed: int) -> float:
        """The limit over the percentile."""
        arrivals = schedule(OpenLoop(rate, seed=seed), requests / rate)
        departures = self.simulation.open_loop(arrivals, np.random.default_rng([seed, 9]))
        steady = np.sort((departures - arrivals)[requests // 20 :])
        return self.budget.limit_s / percentile(steady, self.budget.percentile)


def _stalling(scenario: Scenario, *, gap_s: float, stall_s: float) -> Scenario:
    """The same server where everything stops now and then, for `stall_s` on average."""
    return Scenario(
        simulation=Stalling(scenario.simulation, gap_s, lognormal(stall_s, 1.0)),
        budget=scenario.budget,
        saturation=scenario.saturation * gap_s / (gap_s + stall_s),
        concurrency=scenario.concurrency,
        largest_batch=scenario.largest_batch,
    )


_BATCHES_OF_16 = Batching(base_s=4e-3, each_s=0.5e-3, most=16, delay_s=2e-3)

SCENARIOS = {
    "M/M/1, 5 ms": Scenario(Instances(1, exponential(5e-3)), LatencyBudget(95, 0.05), 200, 2),
    "M/G/4, 5 ms": Scenario(Instances(4, lognormal(5e-3, 0.5)), LatencyBudget(95, 0.02), 800, 8),
    "batches of 16": Scenario.batching(_BATCHES_OF_16, LatencyBudget(95, 0.03)),
    "batches of 64, fast": Scenario.batching(
        Batching(base_s=2e-3, each_s=0.1e-3, most=64), LatencyBudget(99, 0.01)
    ),
    "batches of 16, stalls": _stalling(
        Scenario.batching(_BATCHES_OF_16, LatencyBudget(95, 0.03)), gap_s=2.0, stall_s=15e-3
    ),
    "4 instances, stalls": _stalling(
        Scenario(Instances(4, lognormal(5e-3, 0.5)), LatencyBudget(99, 0.04), 800, 8),
        gap_s=2.0,
        stall_s=15e-3,
    ),
}

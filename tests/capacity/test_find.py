"""The capacity search on simulated servers whose true capacity is known."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.capacity.simulated_server import (
    Batching,
    Instances,
    SimulatedServer,
    Simulation,
    exponential,
    lognormal,
    true_capacity,
)
from tuner.capacity.find import expected_s, find_capacity
from tuner.capacity.open_search import duration_s
from tuner.capacity.probes import Beat, Capacity, CapacityPlan, RisingBeat
from tuner.capacity.typical_arrivals import typical_seed
from tuner.errors import Reason, TrialFailure
from tuner.goals import LatencyBudget
from tuner.load.measurement import LATE, Measurement
from tuner.load.profile import ClosedLoop, OpenLoop
from tuner.numbers.arrays import FloatArray
from tuner.records import Outcome, Phase

BATCHING = Batching(base_s=4e-3, each_s=0.5e-3, most=16, delay_s=2e-3)  # 1333/s at most


@dataclass(frozen=True)
class Scenario:
    """A server, and how near its capacity must be found by all seeds."""

    simulation: Simulation
    budget: LatencyBudget
    highest: float
    concurrency: int
    all: float = 0.10

    def plan(self, *, seed: int = 0, beat: float = 0.0, points: int = 4) -> CapacityPlan:
        return CapacityPlan(
            budget=self.budget,
            concurrency=self.concurrency,
            largest_batch=self.simulation.most if isinstance(self.simulation, Batching) else 1,
            seed=seed,
            beat=RisingBeat(Beat(beat)),
            points=points,
        )


# One queue with exponential service times is the worst case: with 1000 requests, its p95 is known
# to 20 % only, and that is 9 % of the load.
SCENARIOS = {
    "M/M/1": Scenario(Instances(1, exponential(5e-3)), LatencyBudget(95, 0.05), 200, 2, all=0.25),
    "M/G/4": Scenario(
        Instances(4, lognormal(10e-3, 0.5)), LatencyBudget(95, 0.04), 400, 8, all=0.15
    ),
    "M/G/2, p99": Scenario(
        Instances(2, lognormal(1e-3, 1.0)), LatencyBudget(99, 0.02), 2000, 4, all=0.12
    ),
    "batches of 16": Scenario(BATCHING, LatencyBudget(95, 0.03), 1333, 32),
    "batches of 64, p99": Scenario(
        Batching(base_s=2e-3, each_s=0.1e-3, most=64), LatencyBudget(99, 0.01), 7619, 128
    ),
    "batches of 32, slow": Scenario(
        Batching(base_s=10e-3, each_s=0.2e-3, most=32, delay_s=5e-3),
        LatencyBudget(95, 0.1),
        1951,
        64,
    ),
}
TIGHT = {
    "M/M/1": Scenario(Instances(1, exponential(5e-3)), LatencyBudget(95, 0.025), 200, 2),
    "M/G/1, p99": Scenario(Instances(1, lognormal(2e-3, 0.3)), LatencyBudget(99, 0.01), 500, 2),
    "batches of 16": Scenario(BATCHING, LatencyBudget(95, 0.015), 1333, 32),
}


def found(scenario: Scenario, seed: int) -> Capacity:
    server = SimulatedServer(scenario.simulation, seed=seed)
    return find_capacity(server, scenario.plan(seed=seed))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_capacity_is_found(name: str) -> None:
    """Within 5 % of the truth by most seeds; bias and scatter are small."""
    scenario = SCENARIOS[name]
    truth = true_capacity(scenario.simulation, scenario.budget, highest=scenario.highest)
    capacities = [found(scenario, seed) for seed in range(20)]
    assert {each.outcome for each in capacities} == {Outcome.FEASIBLE}
    errors = np.log([each.throughput / truth for each in capacities])
    assert abs(np.median(errors)) < 0.05
    assert abs(errors).max() < scenario.all
    assert all(0 < each.log_error < 1 for each in capacities)


@pytest.mark.parametrize("name", TIGHT)
def test_a_capacity_far_below_saturation_is_found(name: str) -> None:
    """A limit near the unloaded latency is met at half the saturation or less."""
    scenario = TIGHT[name]
    truth = true_capacity(scenario.simulation, scenario.budget, highest=scenario.highest)
    capacities = [found(scenario, seed) for seed in range(20)]
    assert {each.outcome for each in capacities} == {Outcome.FEASIBLE}
    ratios = [each.throughput / truth for each in capacities]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", TIGHT)
def test_what_was_too_high_is_followed_by_what_is_not_far_below(name: str) -> None:
    """Half of it at least: deep down there is nothing to learn of the root."""
    scenario = TIGHT[name]
    for seed in range(10):
        server = SimulatedServer(scenario.simulation, seed=seed)
        find_capacity(server, scenario.plan(seed=seed))
        rates = [p.rate for _, p, _ in server.measured if isinstance(p, OpenLoop)]
        assert rates[1] >= 0.5 * rates[0]


def test_a_capacity_that_is_a_tenth_of_saturation_is_no_less_found() -> None:
    """Where the latency hardly falls with the load, the last points go down in large steps."""
    # M/M/1: the p99 is 4.605 / (1000 - load), so 114/s are within 5.2 ms.
    simulation = Instances(1, exponential(1e-3))
    scenario = Scenario(simulation, LatencyBudget(99, 5.2e-3), 1000.0, 4)
    capacities = [found(scenario, seed) for seed in range(10)]
    assert {each.outcome for each in capacities} == {Outcome.FEASIBLE}


def test_what_is_found_is_told() -> None:
    """The answer carries the points that led to it."""
    capacity = found(SCENARIOS["batches of 16"], 0)
    phases = [point.phase for point in capacity.points]
    assert phases == sorted(phases, key=list(Phase).index)
    assert capacity.best in capacity.points
    assert capacity.best is not None
    assert capacity.best.within(SCENARIOS["batches of 16"].budget)
    # Alone, a request waits for a batch that does not come, then has it for itself.
    assert capacity.unloaded_s == pytest.approx(6.5e-3, rel=0.15)
    assert capacity.saturation == pytest.approx(1333, rel=0.05)


def test_one_seed_is_one_answer() -> None:
    """The search itself has no randomness."""
    first, again = (found(SCENARIOS["M/G/4"], 5) for _ in range(2))
    assert (first.throughput, first.log_error) == (again.throughput, again.log_error)


@pytest.mark.parametrize("points", [2, 4, 6])
def test_no_more_points_than_planned(points: int) -> None:
    """Once a load was within, `points` at most, each with typical arrivals of its own."""
    scenario = SCENARIOS["M/M/1"]
    server = SimulatedServer(scenario.simulation, seed=1)
    find_capacity(server, scenario.plan(points=points, seed=8))
    search = [(profile, d) for phase, profile, d in server.measured if phase is Phase.SEARCH]
    assert 1 <= len(search) <= points
    for number, (profile, spent_s) in enumerate(search):
        assert isinstance(profile, OpenLoop)
        assert spent_s == duration_s(scenario.budget, profile.rate)
        requests = round(profile.rate * spent_s)
        assert profile.seed == typical_seed(800 + number, requests, scenario.budget.percentile)


def test_a_load_that_is_far_too_high_takes_no_more_time_than_that_takes() -> None:
    """It ends early, and still says by how much it was too high."""
    scenario = SCENARIOS["M/M/1"]
    capacity = found(dataclasses.replace(scenario, budget=LatencyBudget(95, 0.025)), 0)
    late = [p for p in capacity.points if p.measurement.stopped_early == LATE]
    assert late
    for point in late:
        planned_s = duration_s(LatencyBudget(95, 0.025), point.rate)
        assert 1.0 <= point.measurement.duration_s < planned_s
        assert point.interval.estimate > 0.025


def test_no_open_loop_carries_more_than_the_closed_one() -> None:
    """Within a long limit, a short point does not show a load that is a little too high."""
    scenario = SCENARIOS["batches of 32, slow"]
    for seed in range(5):
        capacity = found(scenario, seed)
        assert capacity.throughput <= 1.02 * capacity.saturation


@pytest.mark.parametrize(("beat", "points"), [(200.0, 2), (0.0, 3)])
def test_what_is_far_better_than_the_best_is_measured_less(beat: float, points: int) -> None:
    """It will hardly stay the best for long."""
    scenario = SCENARIOS["M/G/4"]
    server = SimulatedServer(scenario.simulation, seed=3)
    find_capacity(server, scenario.plan(beat=beat, points=3))
    assert [phase for phase, *_ in server.measured].count(Phase.SEARCH) == points


def test_inferences_are_what_counts() -> None:
    """A request of 4 inferences is worth 4, in all that is told."""
    scenario = SCENARIOS["batches of 16"]
    one, four = (
        find_capacity(SimulatedServer(scenario.simulation, inferences=inferences), scenario.plan())
        for inferences in (1, 4)
    )
    assert four.throughput == pytest.approx(4 * one.throughput)
    assert four.saturation == pytest.approx(4 * one.saturation)


class Warming(Simulation):
    """Answers slowly until it has answered `cold` requests."""

    def __init__(self, cold: int) -> None:
        self._cold = cold

    def open_loop(self, arrivals: FloatArray, random: np.random.Generator) -> FloatArray:
        return arrivals + random.normal(2e-3, 1e-4, len(arrivals))

    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        arrivals, departures, now = [], [], 0.0
        while now < duration_s:
            arrivals.append(now)
            now += 2e-3 + 1e-4 * self._cold + 1e-5 * random.random()
            departures.append(now)
            self._cold = max(0, self._cold - 1)
        return np.array(arrivals), np.array(departures)


def test_a_cold_server_is_given_time() -> None:
    """The unloaded latency is measured again, for longer, until it is steady."""
    server = SimulatedServer(Warming(cold=300))
    plan = CapacityPlan(budget=LatencyBudget(95, 0.05), concurrency=2)
    capacity = find_capacity(server, plan)
    lengths = [d for phase, _, d in server.measured if phase is Phase.UNLOADED]
    assert len(lengths) > 1
    assert lengths[1] == 2 * lengths[0]
    assert capacity.unloaded_s < 5e-3


def test_a_server_that_never_warms_up_is_measured_all_the_same() -> None:
    """The warm-up ends after ten seconds."""
    server = SimulatedServer(Warming(cold=10_000))
    plan = CapacityPlan(budget=LatencyBudget(95, 0.001), concurrency=2)
    assert find_capacity(server, plan).outcome is Outcome.INFEASIBLE
    lengths = [d for phase, _, d in server.measured if phase is Phase.UNLOADED]
    assert sum(lengths) == pytest.approx(10.0)


def test_saturation_takes_more_in_flight_where_that_helps() -> None:
    """The closed loop's concurrency is doubled while the throughput rises."""
    budget = LatencyBudget(95, 0.5)
    server = SimulatedServer(Instances(8, exponential(0.01)))
    capacity = find_capacity(server, CapacityPlan(budget=budget, concurrency=2))
    tried = [profile for phase, profile, _ in server.measured if phase is Phase.SATURATION]
    assert tried[:3] == [ClosedLoop(2), ClosedLoop(4), ClosedLoop(8)]
    assert len(tried) == 4
    assert capacity.saturation == pytest.approx(800, rel=0.1)


def test_an_unloaded_latency_over_the_limit_is_infeasible() -> None:
    """What is too slow alone needs no load: it is said at once."""
    scenario = SCENARIOS["batches of 16"]
    server = SimulatedServer(scenario.simulation)
    capacity = find_capacity(
        server, dataclasses.replace(scenario.plan(), budget=LatencyBudget(95, 0.004))
    )
    assert capacity.outcome is Outcome.INFEASIBLE
    assert (capacity.throughput, capacity.log_error) == (0.0, math.inf)
    assert capacity.best is None
    assert {phase for phase, *_ in server.measured} == {Phase.WARM_UP, Phase.UNLOADED}


def test_what_cannot_beat_the_best_ends_with_its_saturation() -> None:
    """No server carries more within the limit than without one."""
    scenario = SCENARIOS["batches of 16"]
    server = SimulatedServer(scenario.simulation)
    capacity = find_capacity(server, scenario.plan(beat=1600.0))
    assert capacity.outcome is Outcome.PRUNED
    assert capacity.throughput == pytest.approx(1333, rel=0.05)
    assert Phase.SEARCH not in {phase for phase, *_ in server.measured}


def test_what_is_beaten_ends_at_its_first_point() -> None:
    """Over the limit at a load that would not have been enough: the chance to win is gone."""
    scenario = TIGHT["batches of 16"]
    server = SimulatedServer(scenario.simulation)
    capacity = find_capacity(server, scenario.plan(beat=1300.0))
    assert capacity.outcome is Outcome.PRUNED
    assert 763 < capacity.throughput < 1300
    assert [phase for phase, *_ in server.measured].count(Phase.SEARCH) == 1


@pytest.mark.parametrize(("beat", "first"), [(900.0, 900.0), (300.0, 1066.0), (1200.0, 1066.0)])
def test_the_first_load_is_what_the_best_carries(beat: float, first: float) -> None:
    """But no more than 80 % of the saturation, and no less than half of that."""
    scenario = SCENARIOS["batches of 16"]
    server = SimulatedServer(scenario.simulation)
    find_capacity(server, scenario.plan(beat=beat))
    rates = [p.rate for _, p, _ in server.measured if isinstance(p, OpenLoop)]
    assert rates[0] == pytest.approx(first, rel=0.05)


def test_what_may_win_is_not_pruned() -> None:
    """The capacity is 1234 of 1333: 1200 is beaten by it."""
    scenario = SCENARIOS["batches of 16"]
    for seed in range(10):
        server = SimulatedServer(scenario.simulation, seed=seed)
        capacity = find_capacity(server, scenario.plan(beat=1200.0, seed=seed))
        assert capacity.outcome is Outcome.FEASIBLE


@pytest.mark.parametrize(("during", "searched"), [(Phase.SATURATION, 0), (Phase.SEARCH, 1)])
def test_what_is_beaten_meanwhile_ends_there(during: Phase, searched: int) -> None:
    """Another server turns out to carry more: the load point in progress is the last one."""
    scenario = SCENARIOS["batches of 16"]
    server, plan = SimulatedServer(scenario.simulation), scenario.plan(beat=900.0)

    def measure(phase: Phase, *load: Any, **facts: Any) -> Measurement:
        if phase is during:
            plan.beat.raise_to(Beat(1600.0))
        return server(phase, *load, **facts)

    assert find_capacity(server, plan).outcome is Outcome.FEASIBLE
    server.measured.clear()
    assert find_capacity(measure, plan).outcome is Outcome.PRUNED
    assert [phase for phase, *_ in server.measured].count(Phase.SEARCH) == searched


@pytest.mark.parametrize(
    ("kind", "reason"), [("http_503", Reason.LOAD_FAILED), ("timeout", Reason.UNRESPONSIVE)]
)
def test_many_failures_are_a_failure(kind: str, reason: Reason) -> None:
    """Where most requests fail, nothing is measured; the message says what happened."""
    scenario = SCENARIOS["M/G/4"]
    server = SimulatedServer(scenario.simulation, failing_share=0.7, kind=kind)
    with pytest.raises(TrialFailure, match=rf"\d+ of \d+ requests failed.* as {kind}") as raised:
        find_capacity(server, scenario.plan())
    assert raised.value.reason is reason


def test_some_failures_are_violations() -> None:
    """One failure in five requests is beyond any p95: no load meets the limit."""
    scenario = SCENARIOS["M/G/4"]
    server = SimulatedServer(scenario.simulation, failing_share=0.2)
    capacity = find_capacity(server, scenario.plan())
    assert (capacity.outcome, capacity.throughput) == (Outcome.INFEASIBLE, 0.0)


@dataclass(frozen=True)
class OneAtATime(Instances):
    """Locks up as soon as there are two."""

    def closed_loop(
        self, concurrency: int, duration_s: float, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        if concurrency > 1:
            return np.zeros(concurrency), np.full(concurrency, 100.0)
        return super().closed_loop(concurrency, duration_s, random)


def test_no_answer_under_load_is_a_failure() -> None:
    """A server that answers one user and no more is unresponsive."""
    server = SimulatedServer(OneAtATime(1, exponential(2e-3)))
    plan = CapacityPlan(budget=LatencyBudget(95, 0.05), concurrency=4)
    with pytest.raises(TrialFailure, match="no request was answered under full load") as raised:
        find_capacity(server, plan)
    assert raised.value.reason is Reason.UNRESPONSIVE


@pytest.mark.parametrize(
    ("percentile", "limit_s", "rule"),
    [
        # The maximum is no percentile: it grows with the length of the run.
        *((q, 0.1, "0 < percentile < 100") for q in (0.0, 100.0, -1.0, math.nan)),
        # Without a limit there is no capacity.
        *((95, limit_s, "0 < limit") for limit_s in (0.0, -1.0, math.inf, math.nan)),
    ],
)
def test_a_budget_that_cannot_be_used(percentile: float, limit_s: float, rule: str) -> None:
    """A percentile is between 0 and 100, a limit is positive and finite."""
    with pytest.raises(ValueError, match=f"`{rule}` must hold, but got"):
        LatencyBudget(percentile, limit_s)


def test_a_budget_reads_as_one_would_say_it() -> None:
    """Percentile and milliseconds."""
    assert str(LatencyBudget(99.9, 0.0125)) == "p99.9 <= 12.5 ms"


def test_points_are_long_enough_and_no_longer() -> None:
    """16 limits or 800 requests, within bounds; a slow server has fewer requests."""
    budget = LatencyBudget(95, 0.01)
    assert duration_s(budget, 10_000.0) == 1.5
    assert duration_s(budget, 320.0) == 2.5
    assert duration_s(LatencyBudget(95, 0.2), 10_000.0) == pytest.approx(3.2)
    assert duration_s(LatencyBudget(95, 10.0), 1.0) == 30.0
    assert duration_s(budget, 1.0) <= 30.0
    assert expected_s(budget) > 3 * duration_s(budget, 500)

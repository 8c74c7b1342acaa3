"""The capacity search on simulated language-model servers, under several limits at once."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.capacity.simulated_server import Draw
from tests.capacity.simulated_streams import Streaming, StreamingServer, true_capacity
from tuner.capacity.find import expected_s, find_capacity, prove
from tuner.capacity.open_search import duration_s
from tuner.capacity.probes import Capacity, CapacityPlan, Expected
from tuner.capacity.proof import LoadVerdict, first_look_s
from tuner.goals import AnswerLimits, LatencyBudget
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadProfile, OpenLoop
from tuner.records import Outcome, Phase


def between(least: int, most: int) -> Draw:
    """Any whole number of tokens, as likely as another."""
    return lambda random, count: random.integers(least, most + 1, count).astype(float)


# Alone a token takes 11 ms, with all 16 slots taken 26 ms and more; then requests wait.
SERVER = Streaming(16, base_s=10e-3, each_s=1e-3, prompt_s=5e-3, tokens=between(20, 60))
# What a budget limits, and how near the capacity is found.
LIMITS = {
    "the time between tokens": (AnswerLimits(ttft_s=0.5, itl_s=0.02), 0.25),
    "the first token": (AnswerLimits(ttft_s=0.06, itl_s=0.05), 0.2),
    "the first token alone": (AnswerLimits(ttft_s=0.1), 0.15),
    "whole answers": (AnswerLimits(whole_s=1.0, ttft_s=0.2), 0.25),
}


def planned(limits: AnswerLimits, seed: int, percentile: float = 95) -> CapacityPlan:
    budget = LatencyBudget.of_answers(percentile, limits)
    return CapacityPlan(budget=budget, concurrency=16, seed=seed, points=4)


def found(limits: AnswerLimits, seed: int) -> tuple[Capacity, StreamingServer]:
    server = StreamingServer(SERVER, limits, seed=seed)
    return find_capacity(server, planned(limits, seed)), server


@pytest.mark.parametrize("name", LIMITS)
def test_the_capacity_under_two_limits_is_found(name: str) -> None:
    """Whichever of them is met first."""
    limits, near = LIMITS[name]
    truth = true_capacity(SERVER, planned(limits, 0).budget, highest=20, requests=8_000)
    capacities = [found(limits, seed)[0] for seed in range(6)]
    assert {each.outcome for each in capacities} == {Outcome.FEASIBLE}
    ratios = [each.throughput / truth for each in capacities]
    assert np.median(ratios) == pytest.approx(1.0, abs=near)


def test_a_point_lasts_for_many_answers() -> None:
    """As many are under way for most of it as there would be, though its limits are milliseconds.

    Full load lasts for several of the answers that it makes slower.
    """
    capacity, server = found(AnswerLimits(ttft_s=0.5, itl_s=0.02), 0)
    lengths = [length_s for phase, _, length_s in server.measured if phase is Phase.SEARCH]
    assert min(lengths) >= 15 * 0.6
    assert capacity.answer_s == pytest.approx(0.75, rel=0.2)
    full = [length_s for phase, _, length_s in server.measured if phase is Phase.SATURATION]
    assert full[1] >= 4.5 * 0.6
    assert capacity.saturation == pytest.approx(14.0, rel=0.1)


def test_a_capacity_may_be_beyond_what_full_load_showed() -> None:
    """Few users show less than an open loop within the limits, which is believed."""
    limits = AnswerLimits(ttft_s=0.5, itl_s=0.03)
    truth = true_capacity(SERVER, planned(limits, 0).budget, highest=20)
    too_little = Expected(0.4 * truth, 0.5 * truth, 0.8)
    plan = CapacityPlan(
        budget=planned(limits, 0).budget, concurrency=16, points=4, expected=too_little
    )
    capacity = find_capacity(StreamingServer(SERVER, limits), plan)
    assert capacity.throughput > 1.15 * too_little.saturation


def test_one_loop_without_a_rise_is_not_taken_for_the_most() -> None:
    """A server may be slow the first times that it works on 8 at once, and faster with 16."""
    limits = AnswerLimits(ttft_s=0.5, itl_s=0.1)
    usual = StreamingServer(SERVER, limits)
    cold = StreamingServer(replace(SERVER, base_s=2 * SERVER.base_s), limits)

    def measure(phase: Phase, profile: LoadProfile, **options: Any) -> Measurement:
        stumbles = profile == ClosedLoop(8) and len(cold.measured) < 2
        return (cold if stumbles else usual)(phase, profile, **options)

    plan = CapacityPlan(budget=LatencyBudget.of_answers(95, limits), concurrency=4)
    capacity = find_capacity(measure, plan)
    assert len(cold.measured) == 2
    assert capacity.saturation == pytest.approx(14.0, rel=0.15)


def test_users_that_a_server_refuses_are_too_many() -> None:
    """What it did with fewer is the full load."""
    limits = AnswerLimits(ttft_s=5.0, itl_s=0.1)
    server = StreamingServer(SERVER, limits)

    def measure(phase: Phase, profile: LoadProfile, **options: Any) -> Measurement:
        measured = server(phase, profile, **options)
        refused = isinstance(profile, ClosedLoop) and profile.concurrency > 32
        return replace(measured, errors={"http_503": measured.requests}) if refused else measured

    plan = CapacityPlan(budget=LatencyBudget.of_answers(95, limits), concurrency=8)
    capacity = find_capacity(measure, plan)
    assert ClosedLoop(64) in [profile for _, profile, _ in server.measured]
    assert capacity.saturation == pytest.approx(14.0, rel=0.15)


def test_no_load_is_within_a_limit_that_one_request_is_over() -> None:
    """Alone a token takes 11 ms: no load keeps 10."""
    capacity, server = found(AnswerLimits(ttft_s=0.5, itl_s=0.01), 0)
    assert capacity.outcome is Outcome.INFEASIBLE
    assert server.spent_s < 20


def test_what_was_expected_of_answers_sets_the_first_point() -> None:
    """In the finals there is no probe that would show how long they take."""
    limits = AnswerLimits(ttft_s=0.5, itl_s=0.02)
    server = StreamingServer(SERVER, limits)
    budget = planned(limits, 0).budget
    plan = CapacityPlan(budget=budget, concurrency=16, expected=Expected(6.0, 14.0, 0.8))
    find_capacity(server, plan)
    lengths = [length_s for phase, _, length_s in server.measured if phase is Phase.SEARCH]
    assert lengths[0] == pytest.approx(15 * 0.8)


@pytest.mark.parametrize(("share", "wanted"), [(0.7, LoadVerdict.WITHIN), (1.4, LoadVerdict.OVER)])
def test_a_load_is_proved_or_disproved(share: float, wanted: LoadVerdict) -> None:
    """The first look has as many requests as a verdict takes."""
    limits = AnswerLimits(ttft_s=0.5, itl_s=0.02)
    plan = planned(limits, 3)
    rate = share * true_capacity(SERVER, plan.budget, highest=20)
    _, verdict = prove(StreamingServer(SERVER, limits), plan, rate, math.inf)
    assert verdict is wanted


def test_how_long_a_proof_takes_at_least() -> None:
    """As many requests as p99 needs, or sixteen answers; limits alone would be over at once."""
    budget = LatencyBudget.of_answers(99, AnswerLimits(ttft_s=0.05, itl_s=0.02))
    assert first_look_s(budget, 10.0) == pytest.approx(1.5 * 2.5**2 * 99 / 10)
    assert first_look_s(budget, 1000.0, 5.0) == pytest.approx(80.0)
    assert first_look_s(budget, 1000.0) == pytest.approx(10.0)


def test_requests_beyond_the_percentile() -> None:
    """A p99 takes more requests than a p90, up to half a minute of them."""
    limits = AnswerLimits(ttft_s=0.2, itl_s=0.02)
    assert duration_s(LatencyBudget.of_answers(90, limits), 10.0, 0.1) == pytest.approx(5.0)
    assert duration_s(LatencyBudget.of_answers(99, limits), 10.0, 0.1) == pytest.approx(20.0)
    assert duration_s(LatencyBudget.of_answers(99, limits), 1.0, 0.1) == pytest.approx(30.0)


def test_what_is_expected_of_parts_of_answers() -> None:
    """Of 128 tokens, as long as nobody knows how many there are."""
    short = LatencyBudget.of_answers(99, AnswerLimits(ttft_s=0.2, itl_s=0.002))
    long = LatencyBudget.of_answers(99, AnswerLimits(ttft_s=0.2, itl_s=0.05))
    assert expected_s(long) > 3 * expected_s(short)
    first = LatencyBudget.of_answers(99, AnswerLimits(ttft_s=0.7))
    assert expected_s(first) > expected_s(LatencyBudget(99, 0.7))


def test_arrivals_are_those_of_no_other_load() -> None:
    """Each point has its own stream."""
    _, server = found(AnswerLimits(ttft_s=0.5, itl_s=0.02), 5)
    seeds = [p.seed for _, p, _ in server.measured if isinstance(p, OpenLoop)]
    assert len(set(seeds)) == len(seeds)

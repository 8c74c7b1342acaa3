"""Whether a load is within the latency budget: proved, disproved, or left open."""

import pytest

from tests.capacity.simulated_server import Batching, SimulatedServer, true_capacity
from tuner.capacity.proof import LoadVerdict, certify, first_look_s
from tuner.goals import LatencyBudget
from tuner.load.profile import OpenLoop
from tuner.records import Phase

BUDGET = LatencyBudget(95, 0.03)
SERVER = Batching(base_s=4e-3, each_s=0.5e-3, most=16, delay_s=2e-3)
CAPACITY = true_capacity(SERVER, BUDGET, highest=1333)


def verdicts(share: float, seeds: int) -> list[LoadVerdict]:
    """What is said of that share of the capacity, one verdict for each seed."""
    return [
        certify(SimulatedServer(SERVER, seed=seed), BUDGET, share * CAPACITY, seed=seed).verdict
        for seed in range(seeds)
    ]


def test_a_load_well_below_the_capacity_is_proved_at_the_first_look() -> None:
    """Half of the capacity needs one look, after 8 s."""
    server = SimulatedServer(SERVER)
    certificate = certify(server, BUDGET, 0.5 * CAPACITY, seed=3)
    assert certificate.verdict is LoadVerdict.WITHIN
    assert certificate.rate == 0.5 * CAPACITY
    assert certificate.duration_s == pytest.approx(8.0)
    [(phase, _, duration_s)] = server.measured
    assert phase is Phase.PROOF
    assert duration_s == pytest.approx(8.0)


def test_a_load_above_the_capacity_is_disproved() -> None:
    """A fifth too much is over, every time."""
    assert set(verdicts(1.2, 10)) == {LoadVerdict.OVER}


def test_an_overload_is_disproved_at_once() -> None:
    """Twice of what the server carries stops early, and needs no second look."""
    server = SimulatedServer(SERVER)
    assert certify(server, BUDGET, 2700.0, seed=0).verdict is LoadVerdict.OVER
    assert len(server.measured) == 1


def test_a_load_5_percent_above_the_capacity_is_hardly_ever_called_within() -> None:
    """The stated error: at most 5 of 100."""
    assert verdicts(1.05, 60).count(LoadVerdict.WITHIN) <= 3


def test_a_load_10_percent_below_the_capacity_is_mostly_proved() -> None:
    """The power of the proof: it does not only say no."""
    assert verdicts(0.9, 20).count(LoadVerdict.WITHIN) >= 12


def test_what_is_near_the_capacity_is_looked_at_longer() -> None:
    """Other arrivals at each look, and what was measured before counts."""
    server = SimulatedServer(SERVER, seed=1)
    certify(server, BUDGET, CAPACITY, seed=10)
    looks = [profile for _, profile, _ in server.measured]
    assert len(looks) > 1
    assert [each.seed for each in looks if isinstance(each, OpenLoop)] == list(
        range(10, 10 + len(looks))
    )


def test_how_long_a_proof_takes_at_least() -> None:
    """Two hundred limits, or 8 s where the limit is short."""
    assert first_look_s(LatencyBudget(99, 0.1), 100.0) == pytest.approx(20.0)
    assert first_look_s(LatencyBudget(99, 0.001), 100.0) == pytest.approx(8.0)


def test_a_proof_ends_with_its_time() -> None:
    """A look that would come too late is left out, and what is not proved is undecided."""
    server = SimulatedServer(SERVER, seed=1)
    longest_s = first_look_s(BUDGET, CAPACITY) + 0.1
    certificate = certify(server, BUDGET, CAPACITY, seed=10, longest_s=longest_s)
    assert certificate.verdict is LoadVerdict.UNDECIDED
    assert certificate.duration_s == first_look_s(BUDGET, CAPACITY)

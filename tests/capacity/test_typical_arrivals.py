"""Arrivals that are as bursty as in the long run, and how much less short load points scatter."""

import math

import numpy as np
import pytest

from tests.capacity.simulated_server import Instances, constant
from tuner.capacity.typical_arrivals import typical_seed
from tuner.load.arrivals import schedule
from tuner.load.profile import OpenLoop

# Two servers at once with constant service times: not the queue by which streams are chosen.
SERVER = Instances(2, constant(1.0))
RATE = 1.8
REQUESTS = 1500


def percentile_s(seed: int, requests: int = REQUESTS) -> float:
    """The p95 of what the server makes of the first requests under that seed."""
    due_s = schedule(OpenLoop(RATE, seed=seed), requests / RATE)
    done_s = SERVER.open_loop(due_s, np.random.default_rng(0))
    return float(np.percentile(done_s - due_s, 95))


def test_short_runs_are_nearer_to_the_long_one() -> None:
    """On another queue than theirs: their p95 is as far away on average as twice the requests'."""
    truth = percentile_s(1, 1_000_000)

    def error(seeds: list[int], requests: int = REQUESTS) -> float:
        logs = [math.log(percentile_s(seed, requests) / truth) for seed in seeds]
        return float(np.sqrt(np.mean(np.square(logs))))

    typical = [typical_seed(seed, REQUESTS, 95) for seed in range(40)]
    assert error(typical) < error(list(range(40)), 2 * REQUESTS)


def test_one_seed_is_one_stream() -> None:
    """The same question has the same answer, and no two seeds share a stream."""
    assert typical_seed(3, 1000, 99) == typical_seed(3, 1000, 99)
    assert len({typical_seed(seed, 1000, 99) for seed in range(30)}) == 30


@pytest.mark.parametrize("requests", [1, 2, 10])
def test_a_handful_of_requests_has_a_stream_as_well(requests: int) -> None:
    """Slow servers get few requests."""
    assert typical_seed(0, requests, 99.9) >= 0


def test_long_runs_are_taken_as_they_come() -> None:
    """There the choice would take time and change nothing."""
    assert typical_seed(7, 1_000_000, 99) == typical_seed(7, 2_000_000, 99)


def test_as_many_answers_are_under_way_as_in_the_long_run() -> None:
    """Where all of them share the server, so that short points scatter less by their number."""

    def most(seed: int, requests: int) -> float:
        due_s = schedule(OpenLoop(1.0, seed=seed), requests)
        return float(np.percentile(np.arange(requests) - np.searchsorted(due_s, due_s - 8.0), 95))

    truth = most(1, 1_000_000)
    typical = [most(typical_seed(seed, 150, 95, 8.0), 150) for seed in range(30)]
    taken = [most(seed, 150) for seed in range(30)]
    assert np.std(typical) < 0.5 * np.std(taken)
    assert np.mean(typical) == pytest.approx(truth, rel=0.05)

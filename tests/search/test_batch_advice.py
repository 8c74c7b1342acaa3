"""The largest batch to try next, from the times that a server tells of its own batches."""

import math

import pytest

from tests.report import studies
from tests.targets.triton.triton_targets import built_in
from tuner.records import ServerStatistics, TrialRecord
from tuner.search.batch_advice import advised, best_size
from tuner.space.expressions import Value
from tuner.space.space import Configuration

SPACE = built_in()
SIZES = (2, 4, 8, 16, 32, 64)


def statistics(fixed_s: float, each_s: float, rows: int, largest: int = 64) -> ServerStatistics:
    """Of a device that takes so many rows a call, at ten batches of every size up to `largest`."""
    times_s = {n: math.ceil(n / rows) * fixed_s + n * each_s for n in range(1, largest + 1)}
    return ServerStatistics(
        batches=dict.fromkeys(times_s, 10),
        batch_times_s={n: 10 * time_s for n, time_s in times_s.items()},
    )


def configuration(**values: Value) -> Configuration:
    return SPACE.activate({"dynamic_batching": True, "max_batch_size": 64, **values})


def record(tried: Configuration, seen: ServerStatistics) -> TrialRecord:
    return studies.trial(1, 100.0, configuration=tried, statistics=seen)


@pytest.mark.parametrize(
    ("rows", "limit_s", "best"),
    [
        (8, 0.030, 8),
        (16, 0.060, 16),
        (64, 1.000, 64),
        (64, 0.050, 32),
        (64, 0.006, None),
    ],
)
def test_the_best_size_by_its_own_times(rows: int, limit_s: float, best: int | None) -> None:
    """As many rows as a call takes, or fewer where they take too much of the latency limit."""
    assert best_size(statistics(6e-3, 0.5e-3, rows), SIZES, limit_s) == best


def test_sizes_that_were_never_made_are_not_proposed() -> None:
    """Of them nothing is known."""
    assert best_size(statistics(6e-3, 0.5e-3, 64, largest=12), SIZES, 1.0) == 8


@pytest.mark.parametrize(
    "seen",
    [
        ServerStatistics(),
        ServerStatistics(batches={1: 10, 8: 10}),
        ServerStatistics(batches={1: 10, 8: 1}, batch_times_s={1: 0.1, 8: 0.1}),
    ],
)
def test_a_server_that_tells_too_little(seen: ServerStatistics) -> None:
    """Without times, or with a handful of batches, there is no advice."""
    assert best_size(seen, SIZES, 1.0) is None
    assert advised(SPACE, record(configuration(), seen), 1.0) is None


def test_the_rest_of_the_configuration_stays() -> None:
    """Only the largest batch changes, and what a rule forbids beside it."""
    seen = statistics(6e-3, 0.5e-3, 8)
    tried = configuration(instance_count=2, threads=1, max_queue_delay_microseconds=500)
    expected = {**tried, "max_batch_size": 8}
    advice = advised(SPACE, record(tried, seen), 0.03)
    assert advice is not None
    assert dict(advice) == expected
    preferring = configuration(preferred_batch_size=16)
    advice = advised(SPACE, record(preferring, seen), 0.03)
    assert advice is not None
    assert dict(advice) == {**preferring, "max_batch_size": 8, "preferred_batch_size": 0}


def test_what_has_it_already_needs_no_advice() -> None:
    """Nor does a server that makes no batches."""
    seen = statistics(6e-3, 0.5e-3, 8)
    assert advised(SPACE, record(configuration(max_batch_size=8), seen), 0.03) is None
    assert advised(SPACE, record(SPACE.defaults, seen), 0.03) is None

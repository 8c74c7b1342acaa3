"""The benchmark of the capacity search: its runs give answers, and its figures are right."""

import math

import numpy as np
import pytest

from benchmarks.capacity_truth import SEARCHES, VERDICTS, Found, Said, _accuracy, _said
from benchmarks.known_capacities import SCENARIOS
from benchmarks.simulated_study import FAMILY, recommend
from benchmarks.tables import share

MM1 = "M/M/1, 5 ms"
MM1_CAPACITY = 200 + math.log(0.05) / 0.05


@pytest.mark.parametrize("method", SEARCHES)
def test_a_search_answers(method: str) -> None:
    """Somewhere near the capacity, after some seconds of virtual time."""
    found = SEARCHES[method](MM1, 1)
    assert found.rate == 0 or found.rate == pytest.approx(MM1_CAPACITY, rel=0.3)
    assert found.spent_s > 5.0


@pytest.mark.parametrize("method", VERDICTS)
def test_a_verdict_is_given(method: str) -> None:
    """A load far over the capacity is never called within the budget."""
    said = VERDICTS[method](MM1, 1.3 * MM1_CAPACITY, 1)
    assert said.verdict != "within"
    assert said.spent_s > 0


def test_a_study_recommends() -> None:
    """One of the family, after a search and finals."""
    recommended = recommend(0)
    assert {recommended.confirmed, recommended.best_once} <= set(range(len(FAMILY)))
    assert recommended.search_s > 0
    assert recommended.finals_s > 0


def test_the_capacity_that_can_be_computed() -> None:
    """That of one queue with exponential service times."""
    found = SCENARIOS[MM1].capacity(runs=4, requests=300_000)
    assert found == pytest.approx(MM1_CAPACITY, rel=0.01)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_server_has_a_capacity_below_its_saturation(name: str) -> None:
    """Its latency budget is met by some load, and not by every load."""
    scenario = SCENARIOS[name]
    capacity = scenario.capacity(runs=1, requests=20_000)
    assert 0.5 * scenario.saturation < capacity < 0.99 * scenario.saturation


def test_accuracy() -> None:
    """Bias is the median, and an answer that was not given is not near the truth."""
    found = [Found(99, 10, 0.01), Found(101, 10, 0.001), Found(108, 10, 0.01), Found(0, 30)]
    none, bias, rmse, within_5, within_10, coverage, median_s, ninety_s = _accuracy(found, 100)
    assert (none, bias) == ("1", "+1.0")
    logs = np.log([0.99, 1.01, 1.08])
    assert rmse == f"{100 * np.sqrt(np.mean(logs**2)):.1f}"
    assert within_5.startswith("50.0 (")
    assert within_10.startswith("75.0 (")
    assert coverage.startswith("33.3 (")
    assert (median_s, ninety_s) == ("10", "24")


def test_accuracy_without_an_answer() -> None:
    """There is nothing to say but how long it took."""
    assert _accuracy([Found(0, 18), Found(0, 20)], 100) == ["2", *["-"] * 5, "19", "20"]


def test_what_was_said() -> None:
    """Shares of the verdicts; all that is neither within nor over is none."""
    said = [Said("within", 18), Said("over", 20), Said("unstable", 60), Said("undecided", 60)]
    within, over, none, median_s = _said(said)
    assert within.startswith("25.0 (")
    assert (over, none, median_s) == ("25.0", "50.0", "40")


@pytest.mark.parametrize(
    ("number", "of", "expected"),
    [(0, 200, "0.0 (0.0 to 1.9)"), (10, 200, "5.0 (2.7 to 9.0)"), (9, 9, "100.0 (70.1 to 100.0)")],
)
def test_a_share_with_its_interval(number: int, of: int, expected: str) -> None:
    """Wilson's, which has a width even where nothing or everything was counted."""
    assert share(number, of) == expected

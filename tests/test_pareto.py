"""The throughput-against-latency trade-off."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.report_tests import studies
from tuner.capacity import LatencyBudget
from tuner.errors import Reason
from tuner.pareto import budget_curve, dominates, front, load_points, trade_off
from tuner.records import TrialState


def points(*pairs: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["throughput", "latency_ms"])


def front_of(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
    kept = front(points(*pairs), maximize=["throughput"], minimize=["latency_ms"])
    return list(zip(kept["throughput"], kept["latency_ms"], strict=True))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param((200, 10), (100, 20), True, id="better in both"),
        pytest.param((200, 20), (100, 20), True, id="better in one, equal in the other"),
        pytest.param((100, 10), (100, 20), True, id="equal in one, better in the other"),
        pytest.param((100, 20), (100, 20), False, id="equal in both"),
        pytest.param((200, 30), (100, 20), False, id="better in one, worse in the other"),
        pytest.param((100, 20), (200, 10), False, id="worse in both"),
        pytest.param((100, 20), (100, math.inf), True, id="finite against infinite"),
        pytest.param((100, math.inf), (100, math.inf), False, id="infinite against infinite"),
    ],
)
def test_dominates(a: tuple[float, float], b: tuple[float, float], *, expected: bool) -> None:
    """A point dominates another if it is nowhere worse and somewhere better."""
    assert bool(dominates(a, b, [True, False])) is expected


def test_dominates_broadcasts() -> None:
    """Many points are compared with one at once."""
    many = np.array([[200.0, 10.0], [50.0, 10.0]])

    assert dominates(many, [100.0, 20.0], [True, False]).tolist() == [True, False]


def test_front_keeps_what_nothing_beats() -> None:
    """The front is ascending in throughput, and so in latency."""
    found = front_of((300, 40), (100, 10), (90, 15), (200, 20), (250, 60))

    assert found == [(100, 10), (200, 20), (300, 40)]


def test_front_keeps_duplicates_once() -> None:
    """Of equal points the first one stays."""
    assert front_of((100, 10), (100, 10)) == [(100, 10)]


def test_front_leaves_out_what_is_no_number() -> None:
    """A point with an infinite or a missing objective is on no front."""
    assert front_of((100, 10), (500, math.inf), (500, math.nan), (math.inf, 5)) == [(100, 10)]


def test_front_of_nothing_is_empty() -> None:
    """A front of no rows keeps the columns."""
    empty = front(points(), maximize=["throughput"], minimize=["latency_ms"])

    assert empty.empty
    assert list(empty.columns) == ["throughput", "latency_ms"]


def test_front_agrees_with_the_definition() -> None:
    """A row is on the front exactly if no other row dominates it."""
    random = np.random.default_rng(7)
    values = random.integers(0, 12, size=(60, 3)).astype(float)
    frame = pd.DataFrame(values, columns=["throughput", "goodput", "latency_ms"])
    directions = [True, True, False]

    kept = front(frame, maximize=["throughput", "goodput"], minimize=["latency_ms"])

    expected = {
        tuple(row)
        for row in values
        if not any(bool(dominates(other, row, directions)) for other in values)
    }
    assert {tuple(row) for row in kept.to_numpy()} == expected
    assert len(kept) == len(expected)


def test_load_points_of_a_trial() -> None:
    """There is a row for each open-loop load point, in units for people."""
    slow = studies.point(120.0, 0.060, errors={"timeout": 2, "http_503": 1})
    fast = studies.point(80.0, 0.020, throughput=160.0)
    warm = studies.point(1, 0.01, kind="closed", phase="unloaded")
    study = studies.study([studies.baseline(points=(warm, fast, slow))])

    frame = load_points(study)

    assert frame["load"].tolist() == [80.0, 120.0]
    assert frame["throughput"].tolist() == [160.0, 120.0]
    assert frame["latency_ms"].tolist() == pytest.approx([20.0, 60.0])
    assert frame["p99_ms"].tolist() == frame["latency_ms"].tolist()
    assert frame["within"].tolist() == [True, False]
    assert frame["errors"].tolist() == [0, 3]
    assert set(frame["purpose"]) == {"baseline"}
    assert set(frame["configuration"]) == {str(studies.DEFAULTS)}


def test_load_points_follow_the_budget_percentile() -> None:
    """The latency is the exact one that the budget limits, whatever its percentile."""
    point = studies.point(80.0, 0.100, latency_s=0.0987)
    study = studies.study(
        [studies.baseline(points=(point,))], budget=LatencyBudget(98, limit_s=0.2)
    )

    assert load_points(study)["latency_ms"].tolist() == [98.7]


def test_load_points_leave_out_failed_trials() -> None:
    """A fast wrong server never wins."""
    wrong = replace(studies.trial(1, 900.0), state=TrialState.FAILED, reason=Reason.WRONG_OUTPUT)
    study = studies.study([studies.baseline(), wrong])

    assert set(load_points(study)["trial"]) == {0}


def test_load_points_of_an_empty_study() -> None:
    """Without trials there are no rows, but all columns with their types."""
    frame = load_points(studies.study())

    assert frame.empty
    assert frame["within"].dtype == bool
    assert "p95_ms" in frame.columns


def test_trade_off_leaves_out_what_was_stopped_early() -> None:
    """Behind an endless queue a latency says only how long one looked."""
    steady = studies.point(100.0, 0.020)
    lost = studies.point(300.0, 0.045, stopped_early="overload")
    study = studies.study([studies.baseline(points=(steady, lost))])

    assert trade_off(study)["throughput"].tolist() == [100.0]


def test_trade_off_of_an_empty_study() -> None:
    """An empty study has an empty front."""
    assert trade_off(studies.study()).empty


def test_budget_curve() -> None:
    """Each limit gets the highest throughput within it, and who reached it."""
    slow = studies.trial(1, points=(studies.point(300.0, 0.045), studies.point(400.0, 0.090)))
    quick = studies.trial(2, points=(studies.point(200.0, 0.010),))
    study = studies.study([slow, quick])

    curve = budget_curve(study, [5.0, 10.0, 50.0, 100.0])

    assert curve["limit_ms"].tolist() == [5.0, 10.0, 50.0, 100.0]
    assert curve["throughput"].tolist() == [0.0, 200.0, 300.0, 400.0]
    assert curve["trial"].tolist() == [pd.NA, 2, 1, 1]
    assert curve["configuration"].tolist() == [
        "",
        str(quick.configuration),
        str(slow.configuration),
        str(slow.configuration),
    ]


def test_budget_curve_of_an_empty_study() -> None:
    """Nothing was carried within any limit."""
    curve = budget_curve(studies.study(), [50.0])

    assert curve["throughput"].tolist() == [0.0]
    assert curve["trial"].isna().all()

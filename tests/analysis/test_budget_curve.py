"""What each latency limit would allow."""

import math
from collections.abc import Sequence

import pandas as pd
import pytest

from tests.analysis.test_answers import small
from tests.report import studies
from tuner.analysis.answers import answer
from tuner.analysis.budget_curve import budget_curve
from tuner.analysis.load_curves import load_curves
from tuner.goals import LatencyBudget
from tuner.records import StudyRecord

ROOT_2 = math.sqrt(2)


def curve_of(study: StudyRecord, limits_ms: Sequence[float]) -> pd.DataFrame:
    return budget_curve(study, load_curves(study, study.budget.percentile), limits_ms)


def test_has_the_best_of_each_limit() -> None:
    """Each limit gets the highest capacity, its trial, how it is known, and the baseline's."""
    curve = curve_of(small(), [5.0, 10.0, 20.0, 50.0])

    assert curve["limit_ms"].tolist() == [5.0, 10.0, 20.0, 50.0]
    assert curve["throughput"].tolist() == pytest.approx([0.0, 200.0, 200 * ROOT_2, 400.0])
    assert curve["kind"].tolist() == ["none", "measured", "interpolated", "at least"]
    assert curve["trial"].tolist() == [pd.NA, 1, 1, 1]
    assert curve["configuration"].tolist() == ["", *[str(studies.configuration(1))] * 3]
    assert curve["baseline"].tolist() == pytest.approx([0.0, 100.0, 100 * ROOT_2, 200.0])
    assert curve["baseline_kind"].tolist() == ["none", "measured", "interpolated", "at least"]


def test_agrees_with_the_answer() -> None:
    """It is the same estimate, limit by limit."""
    night = studies.night()
    curve = curve_of(night, [15.0, 30.0, 80.0])

    for row in curve.to_dict("records"):
        found = answer(night, LatencyBudget(99, row["limit_ms"] / 1e3)).best
        assert found is not None
        assert (row["throughput"], row["trial"]) == (found.throughput, found.trial.number)


def test_of_an_empty_study() -> None:
    """Nothing is carried within any limit."""
    curve = curve_of(studies.study(), [50.0])

    assert curve["throughput"].tolist() == [0.0]
    assert curve["trial"].isna().all()
    assert curve["baseline"].tolist() == [0.0]

"""The throughput-against-latency trade-off: load points, their Pareto front, the budget curve."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tuner.capacity import LatencyBudget
from tuner.records import (
    LATENCY_PERCENTILES,
    PointRecord,
    StudyRecord,
    TrialRecord,
    TrialState,
)

_TYPES = {
    "trial": "int64",
    "purpose": "str",
    "configuration": "str",
    "load": "float64",
    "throughput": "float64",
    **{f"p{q}_ms": "float64" for q in LATENCY_PERCENTILES},
    "latency_ms": "float64",
    "errors": "int64",
    "within": "bool",
    "stopped_early": "bool",
}
_CURVE_TYPES = {
    "limit_ms": "float64",
    "throughput": "float64",
    "trial": "Int64",
    "configuration": "str",
}


def load_points(study: StudyRecord) -> pd.DataFrame:
    """One row per open-loop load point of every trial that did not fail.

    `load` is in requests per second, `throughput` in inferences per second, `latency_ms` is at the
    budget's percentile and `within` says whether that meets the limit. A failed trial is left out
    with whatever was measured of it: a fast wrong server never wins.
    """
    rows = [
        _row(trial, point, study.budget)
        for trial in study.trials
        if trial.state is not TrialState.FAILED
        for point in trial.points
        if point.kind == "open"
    ]
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def dominates(a: ArrayLike, b: ArrayLike, maximize: Sequence[bool]) -> NDArray[np.bool_]:
    """Whether `a` is nowhere worse than `b` and somewhere better.

    `maximize` says of each objective, along the last axis, whether more is better; the other axes
    are broadcast.
    """
    signs = np.where(maximize, 1.0, -1.0)
    left, right = np.asarray(a) * signs, np.asarray(b) * signs
    return np.asarray((left >= right).all(axis=-1) & (left > right).any(axis=-1))


def front(
    frame: pd.DataFrame, *, maximize: Sequence[str], minimize: Sequence[str]
) -> pd.DataFrame:
    """The rows that no other row dominates, ascending by the first objective.

    Of rows that are equal in all objectives the first one is kept; rows in which an objective is
    infinite or missing are left out.
    """
    objectives = [*maximize, *minimize]
    finite = frame[np.isfinite(frame[objectives].to_numpy(dtype=np.float64)).all(axis=1)]
    unique = finite.drop_duplicates(subset=objectives)
    values = unique[objectives].to_numpy(dtype=np.float64)
    directions = [True] * len(maximize) + [False] * len(minimize)
    beaten = np.array([dominates(values, row, directions).any() for row in values], dtype=bool)
    kept: pd.DataFrame = unique[~beaten].sort_values(objectives[0])
    return kept.reset_index(drop=True)


def trade_off(study: StudyRecord) -> pd.DataFrame:
    """The study's Pareto front: the load points with more throughput or less latency than others.

    Points that were stopped early are left out: behind a queue that grows without end, a latency
    says only how long one looked.
    """
    points = load_points(study)
    return front(_steady(points), maximize=["throughput"], minimize=["latency_ms"])


def budget_curve(study: StudyRecord, limits_ms: Sequence[float]) -> pd.DataFrame:
    """For each latency limit the highest throughput that was measured within it, and by what.

    `throughput` is 0 and `trial` missing where no load point meets the limit. The search measures
    close to its own limit, so far from it the real maximum is higher.
    """
    points = _steady(load_points(study))
    rows = [_best_within(points, limit_ms) for limit_ms in limits_ms]
    return pd.DataFrame(rows, columns=list(_CURVE_TYPES)).astype(_CURVE_TYPES)


def _row(trial: TrialRecord, point: PointRecord, budget: LatencyBudget) -> dict[str, object]:
    return {
        "trial": trial.number,
        "purpose": trial.purpose.value,
        "configuration": str(trial.configuration),
        "load": point.load,
        "throughput": point.throughput,
        **{f"p{q}_ms": 1e3 * point.percentile(q) for q in LATENCY_PERCENTILES},
        "latency_ms": 1e3 * point.latency_s,
        "errors": sum(point.errors.values()),
        "within": point.latency_s <= budget.limit_s,
        "stopped_early": bool(point.stopped_early),
    }


def _steady(points: pd.DataFrame) -> pd.DataFrame:
    return points[~points["stopped_early"]]


def _best_within(points: pd.DataFrame, limit_ms: float) -> dict[str, object]:
    within = points[points["latency_ms"] <= limit_ms]
    if within.empty:
        return {"limit_ms": limit_ms, "throughput": 0.0, "trial": pd.NA, "configuration": ""}
    best = within.iloc[int(within["throughput"].to_numpy().argmax())]
    return {"limit_ms": limit_ms, **{name: best[name] for name in list(_CURVE_TYPES)[1:]}}

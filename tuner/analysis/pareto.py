"""The trade-offs of a study: load points, the Pareto fronts through them, their hypervolume."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tuner.analysis.load_curves import loaded_points
from tuner.analysis.one_host import as_on_one_host
from tuner.analysis.token_figures import AnswerTimes, has_tokens
from tuner.goals import LatencyBudget
from tuner.numbers.arrays import BoolArray, FloatArray
from tuner.records import (
    LATENCY_PERCENTILES,
    PointRecord,
    StudyRecord,
    TrialRecord,
    TrialState,
)

Row = Mapping[str, Any]
"""Values by their names."""


def load_points(study: StudyRecord) -> list[Row]:
    """One row per point of the load curve of every trial that did not fail.

    `load` is in requests per second, or the concurrency of a closed loop; `throughput` is in
    inferences per second, `latency_ms` is at the budget's percentile, with its 95 % interval, and
    `within` says whether it meets the limit. A failed trial is left out with whatever was measured
    of it: a fast wrong server never wins. In a fleet rates are those of the first host.

    Where answers are made of output tokens, a row has `tokens_per_s`, the times of an answer at
    the budget's percentile (`ttft_ms`, `itl_ms`, `whole_ms`), and the `speed` that a user sees
    then in tokens per second.
    """
    return [
        _row(trial, point, study.budget)
        for trial in as_on_one_host(study).trials
        if trial.state is not TrialState.FAILED
        for point in loaded_points(study, trial)
    ]


def dominates(a: ArrayLike, b: ArrayLike, maximize: Sequence[bool]) -> BoolArray:
    """Whether `a` is nowhere worse than `b` and somewhere better.

    `maximize` says of each objective, along the last axis, whether more is better; the other axes
    are broadcast.
    """
    signs = np.where(maximize, 1.0, -1.0)
    left, right = np.asarray(a) * signs, np.asarray(b) * signs
    return np.asarray((left >= right).all(axis=-1) & (left > right).any(axis=-1))


def front(rows: Sequence[Row], *, maximize: Sequence[str], minimize: Sequence[str]) -> list[Row]:
    """The rows that no other row dominates, ascending by the first objective.

    Of rows that are equal in all objectives the first one is kept; rows in which an objective is
    infinite or missing are left out.
    """
    unique: dict[tuple[float, ...], Row] = {}
    for row in rows:
        values = tuple(row[name] for name in (*maximize, *minimize))
        if all(map(math.isfinite, values)):
            unique.setdefault(values, row)
    directions = [True] * len(maximize) + [False] * len(minimize)
    beaten = _beaten(np.array(list(unique)).reshape(-1, len(directions)), directions)
    kept = [each for each, lost in zip(unique, beaten, strict=True) if not lost]
    return [unique[values] for values in sorted(kept, key=lambda values: values[0])]


def _beaten(values: FloatArray, maximize: Sequence[bool]) -> BoolArray:
    """Which rows some other row dominates; no two are equal.

    Of two objectives one sweep is enough, from the best row in the first of them on: a row is
    beaten where an earlier one has as much of the second (Kung, Luccio and Preparata, JACM 22,
    1975).
    """
    if len(maximize) != 2:
        return np.array([dominates(values, row, maximize).any() for row in values], dtype=bool)
    costs = values * np.where(maximize, -1.0, 1.0)
    order = np.lexsort((costs[:, 1], costs[:, 0]))
    second = costs[order, 1]
    least = np.minimum.accumulate(np.concatenate(([np.inf], second)))[:-1]
    beaten = np.empty(len(values), dtype=bool)
    beaten[order] = second >= least
    return beaten


def trade_off(study: StudyRecord) -> list[Row]:
    """The study's Pareto front: the load points with more throughput or less latency than others.

    Points that were stopped early are left out: behind a queue that grows without end, a latency
    says only how long one looked.
    """
    steady = [point for point in load_points(study) if not point["stopped_early"]]
    return front(steady, maximize=["throughput"], minimize=["latency_ms"])


def token_fronts(study: StudyRecord) -> dict[str, list[Row]]:
    """What output tokens per second cost, by `speed` and `ttft_ms`: the fronts of two trade-offs.

    The load points that no other beats in both `tokens_per_s` and the speed that a user sees, or
    the time to the first token. One is left out where no load point has such a time: answers that
    come at once have none.
    """
    steady = [
        point
        for point in load_points(study)
        if "tokens_per_s" in point and not point["stopped_early"]
    ]
    fronts = {
        "speed": front(steady, maximize=["tokens_per_s", "speed"], minimize=[]),
        "ttft_ms": front(steady, maximize=["tokens_per_s"], minimize=["ttft_ms"]),
    }
    return {name: rows for name, rows in fronts.items() if rows}


def objectives_front(study: StudyRecord) -> list[Row]:
    """The feasible trials of the search that no other beats in all of the study's objectives.

    Besides `trial` and `configuration` a row has a value for each objective, by its name and in
    its unit (see Objective). A trial that lacks a finite value of one is left out.
    """
    rows = [
        {"trial": trial.number, "configuration": str(trial.configuration)}
        | {objective.value: trial.value(objective) for objective in study.objectives}
        for trial in as_on_one_host(study).searched
        if trial.state is TrialState.FEASIBLE
    ]
    return front(
        rows,
        maximize=[each.value for each in study.objectives if each.maximize],
        minimize=[each.value for each in study.objectives if not each.maximize],
    )


def hypervolume(values: ArrayLike, reference: Sequence[float], maximize: Sequence[bool]) -> float:
    """The volume of what is better than `reference` and not better than some of the `values`.

    Exact, by slicing along the last objective (While, Hingston, Barone and Huband, IEEE
    Transactions on Evolutionary Computation 10, 2006) down to two objectives, of which one sweep
    is enough. Values that are not better than the reference in every objective add nothing.

    Args:
        values: One row for each trial, one column for each of the two or more objectives.
        reference: The corner of the volume, one number for each objective.
        maximize: Of each objective, whether more is better.
    """
    signs = np.where(maximize, 1.0, -1.0)
    rows = np.asarray(values, dtype=np.float64).reshape(-1, len(signs))
    gains = (rows - np.asarray(reference)) * signs
    return _volume(gains[(gains > 0).all(axis=1)])


def hypervolume_over_baseline(study: StudyRecord) -> float:
    """The hypervolume of `objectives_front` with the baseline as the reference point.

    Each objective in units of the baseline's own value, so that it has none itself. NaN where the
    baseline lacks a value of some objective.
    """
    if study.baseline is None or study.baseline.state is not TrialState.FEASIBLE:
        return math.nan
    reference = np.array([study.baseline.value(each) for each in study.objectives])
    if not (np.isfinite(reference) & (reference > 0)).all():
        return math.nan
    names = [each.value for each in study.objectives]
    values = [
        [row[name] / own for name, own in zip(names, reference, strict=True)]
        for row in objectives_front(study)
    ]
    ones = [1.0] * len(reference)
    return hypervolume(values, ones, [each.maximize for each in study.objectives])


def _row(trial: TrialRecord, point: PointRecord, budget: LatencyBudget) -> Row:
    return {
        "trial": trial.number,
        "purpose": trial.purpose.value,
        "configuration": str(trial.configuration),
        "load": point.load,
        "throughput": point.throughput,
        **{f"p{q}_ms": 1e3 * point.percentile(q) for q in LATENCY_PERCENTILES},
        "latency_ms": 1e3 * point.latency_s,
        "latency_low_ms": 1e3 * point.latency_low_s,
        "latency_high_ms": 1e3 * point.latency_high_s,
        "errors": sum(point.errors.values()),
        "within": point.latency_s <= budget.limit_s,
        "stopped_early": bool(point.stopped_early),
        **(_of_tokens(point, budget) if has_tokens(point) else {}),
    }


def _of_tokens(point: PointRecord, budget: LatencyBudget) -> Row:
    times = AnswerTimes.of(point, budget.percentile)
    return {
        "tokens_per_s": point.tokens_per_s,
        "speed": times.speed,
        "ttft_ms": 1e3 * times.ttft_s,
        "itl_ms": 1e3 * times.itl_s,
        "whole_ms": 1e3 * times.whole_s,
    }


def _volume(gains: FloatArray) -> float:
    """Of boxes from the origin to each row."""
    ordered = gains[np.argsort(-gains[:, -1])]
    thicknesses = -np.diff(ordered[:, -1], append=0.0)
    if gains.shape[1] == 2:
        return float(thicknesses @ np.maximum.accumulate(ordered[:, 0]))
    slices = (_volume(ordered[: number + 1, :-1]) for number in range(len(ordered)))
    return math.fsum(thick * area for thick, area in zip(thicknesses, slices, strict=True))

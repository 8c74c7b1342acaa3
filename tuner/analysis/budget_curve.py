"""What each latency limit would allow: the highest capacity within it, and the baseline's."""

from collections.abc import Sequence

import pandas as pd

from tuner.analysis.answers import of_baseline
from tuner.analysis.interpolation import EstimateKind, capacity
from tuner.analysis.load_curves import LoadCurve
from tuner.records import StudyRecord

_TYPES = {
    "limit_ms": "float64",
    "throughput": "float64",
    "kind": "str",
    "trial": "Int64",
    "configuration": "str",
    "baseline": "float64",
    "baseline_kind": "str",
}


def budget_curve(
    study: StudyRecord, curves: Sequence[Sequence[LoadCurve]], limits_ms: Sequence[float]
) -> pd.DataFrame:
    """For each latency limit the highest capacity of all configurations, and the baseline's.

    `throughput` is 0 and `trial` missing where no load point is within the limit, `kind` says how
    the capacity is known; so do `baseline` and `baseline_kind` for the baseline. `curves` are
    the study's, at the percentile of its budget.
    """
    measured = [each for each in curves if each]
    rows = [_curve_row(study, measured, limit_ms) for limit_ms in limits_ms]
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def _curve_row(
    study: StudyRecord, curves: Sequence[Sequence[LoadCurve]], limit_ms: float
) -> dict[str, object]:
    estimates = [capacity(each, limit_ms / 1e3) for each in curves]
    carrying = [each for each in estimates if each.kind is not EstimateKind.NONE]
    best = max(carrying, key=lambda each: each.throughput, default=None)
    baseline = of_baseline(study, carrying)
    return {
        "limit_ms": limit_ms,
        "throughput": best.throughput if best else 0.0,
        "kind": best.kind.value if best else EstimateKind.NONE.value,
        "trial": best.trial.number if best else pd.NA,
        "configuration": str(best.trial.configuration) if best else "",
        "baseline": baseline.throughput if baseline else 0.0,
        "baseline_kind": baseline.kind.value if baseline else EstimateKind.NONE.value,
    }

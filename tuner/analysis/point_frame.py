"""The load points of a study as a frame, for charts."""

import pandas as pd

from tuner.analysis.pareto import load_points
from tuner.records import LATENCY_PERCENTILES, StudyRecord

_TYPES = {
    "trial": "int64",
    "purpose": "str",
    "configuration": "str",
    "load": "float64",
    "throughput": "float64",
    **{f"p{q}_ms": "float64" for q in LATENCY_PERCENTILES},
    "latency_ms": "float64",
    "latency_low_ms": "float64",
    "latency_high_ms": "float64",
    "errors": "int64",
    "within": "bool",
    "stopped_early": "bool",
}


def point_frame(study: StudyRecord) -> pd.DataFrame:
    """The rows of `load_points`, with their types also where there are none."""
    return pd.DataFrame(load_points(study), columns=list(_TYPES)).astype(_TYPES)

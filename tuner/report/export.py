"""A study as plain data: JSON documents, and one row for each load point as a table."""

import importlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from tuner.analysis.standings import Standing, Standings
from tuner.errors import InputError, TunerError
from tuner.records import PointRecord, StudyRecord, TrialRecord
from tuner.report import effects_text
from tuner.report.studies import summary


def study_document(study: StudyRecord, result: Standings) -> dict[str, Any]:
    """A whole study: its result and its trials."""
    return {
        **summary(study),
        "baseline": standing(result.baseline, study) if result.baseline else None,
        "winner": standing(result.winner, study) if result.winner else None,
        "fastest": standing(result.fastest, study) if result.fastest else None,
        "recommended_for": result.advantage.cost.value if result.advantage else None,
        "gain": asdict(result.gain) if result.gain else None,
        "effects": effects_text.effects_document(effects_text.of(study, result), result)[
            "effects"
        ],
        "tied": [dict(each.configuration) for each in result.tied],
        "hardware": dict(study.hardware),
        "environment": dict(study.environment),
        "request": dict(study.request),
        "comparison": comparison(study),
        "trials": [_trial(trial) for trial in study.trials],
    }


def standing(standing: Standing, study: StudyRecord) -> dict[str, Any]:
    """A configuration with its capacity, and its latencies at the highest load within budget."""
    point = standing.trial.best_point(study.budget)
    latencies = {f"p{q}_ms": s * 1e3 for q, s in point.percentiles_s.items()} if point else {}
    firsts = _firsts_s(point) if point else {}
    return {
        "configuration": dict(standing.configuration),
        "throughput": standing.throughput,
        "log_error": standing.log_error,
        "fresh_starts": standing.confirmations,
        **latencies,
        **{f"first_p{q}_ms": s * 1e3 for q, s in firsts.items()},
    }


def _firsts_s(point: PointRecord) -> dict[int, float]:
    """Percentiles of the time to the first of several responses; none where there is but one."""
    firsts = point.first_response
    return {q: firsts.percentile(q) for q in point.percentiles_s} if firsts else {}


def comparison(study: StudyRecord) -> dict[str, Any]:
    """What of the outputs counted (null: all), and what differs from one answer to the next."""
    return {
        "compare": study.request.get("compare"),
        "left_out": list(study.comparison.left_out),
        "nothing_left": study.comparison.nothing_left,
    }


def table(study: StudyRecord) -> pd.DataFrame:
    """One row for each load point; durations in seconds, `p..._s` among them."""
    rows = []
    for trial in study.trials:
        for position, point in enumerate(trial.points):
            rows.append(
                {
                    "study": study.name,
                    "trial": trial.number,
                    "purpose": trial.purpose.value,
                    "state": trial.state.value,
                    **{f"parameter.{n}": trial.configuration.get(n) for n in study.parameters},
                    "position": position,
                    "phase": point.phase,
                    "kind": point.kind,
                    "load": point.load,
                    "duration_s": point.duration_s,
                    "throughput": point.throughput,
                    "requests": point.requests,
                    "mean_s": point.mean_s,
                    **{f"p{q}_s": value for q, value in point.percentiles_s.items()},
                    **{f"first_p{q}_s": s for q, s in _firsts_s(point).items()},
                    "failed": sum(point.errors.values()),
                    "unanswered": point.unanswered,
                    "reconnected": point.reconnected,
                    "send_lag_p99_s": point.send_lag_p99_s,
                }
            )
    return pd.DataFrame(rows)


def as_text(study: StudyRecord, form: str) -> str:
    """The table as `csv` or `json`."""
    if form == "csv":
        return table(study).to_csv(index=False)
    return str(table(study).to_json(orient="records", indent=2))


def write(study: StudyRecord, form: str, path: Path) -> None:
    """Write the table to `path`.

    Raises:
        InputError: parquet needs a package that is not installed, or does not fit.
        TunerError: The file cannot be written.
    """
    if form == "parquet":
        _check_pyarrow()
    try:
        if form == "parquet":
            table(study).to_parquet(path, index=False)
        else:
            path.write_text(as_text(study, form))
    except OSError as error:
        reason = error.strerror or str(error)
        raise TunerError(f"{path}: cannot be written: {reason}") from None


def _check_pyarrow() -> None:
    """Pandas asks for pyarrow only when it writes, and hides why it cannot be imported."""
    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise InputError(
            f"`--format parquet` needs pyarrow: {error}",
            hint="pip install 'serving-tuner[parquet]'",
        ) from None


def _trial(trial: TrialRecord) -> dict[str, Any]:
    return {
        "number": trial.number,
        "purpose": trial.purpose.value,
        "state": trial.state.value,
        "reason": trial.reason.value if trial.reason else None,
        "message": trial.message,
        "configuration": dict(trial.configuration),
        "throughput": trial.throughput,
        "output_difference": trial.difference,
        "log_error": trial.log_error,
        "unloaded_ms": trial.unloaded_s * 1e3,
        "saturation": trial.saturation,
        "applied": trial.applied,
        "verdicts": {name: v.grade.value for name, v in trial.verdicts.items()},
        "mean_batch": trial.statistics.mean_batch,
        "timings_s": dict(trial.timings_s),
        "seed": trial.seed,
    }

"""All load points of a study as a table, one row each."""

import importlib
from pathlib import Path

import pandas as pd

from tuner.errors import InputError, TunerError
from tuner.records import StudyRecord
from tuner.report.export import firsts_s


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
                    **{f"first_p{q}_s": s for q, s in firsts_s(point).items()},
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

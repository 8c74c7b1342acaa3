"""The data of a study as pandas DataFrames, and as files."""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tuner.analysis.drift import middle
from tuner.analysis.hosts import speeds
from tuner.analysis.token_figures import AnswerTimes, has_tokens
from tuner.errors import InputError, TunerError
from tuner.records import LATENCY_PERCENTILES, PointRecord, StudyRecord, TrialRecord
from tuner.report import figures, formats
from tuner.report.export import firsts_s
from tuner.report.study_tables import COLUMNS, PARAMETERS, DataColumn, StudyTable
from tuner.report.whole_file import write_whole


def frame(study: StudyRecord, table: StudyTable) -> pd.DataFrame:
    """One row for each trial, load point or verified parameter; `study_tables` has the columns."""
    columns = dict(_columns(study, COLUMNS[table]))
    found = pd.DataFrame(list(_ROWS[table](study)), columns=list(columns))
    found = found.astype({name: dtype for name, dtype in columns.items() if dtype})
    for name in (name for name, dtype in columns.items() if not dtype):
        found[name] = _values_of_parameter(found[name])
    return found


def as_text(study: StudyRecord, table: StudyTable, form: str) -> str:
    """The table as `csv` or `json`."""
    if form == "csv":
        return frame(study, table).to_csv(index=False)
    # Of decimals pandas keeps ten unless told otherwise.
    text = frame(study, table).to_json(
        orient="records", indent=2, date_format="iso", date_unit="us", double_precision=15
    )
    return str(text)


def write(study: StudyRecord, table: StudyTable, form: str, path: Path) -> None:
    """Write the table to `path`.

    Raises:
        InputError: A text cannot be written; parquet needs a package that is not installed, or
            does not fit.
        TunerError: A parquet file cannot be written.
    """
    if form != "parquet":
        write_whole(path, as_text(study, table, form))
        return
    _check_pyarrow()
    try:
        frame(study, table).to_parquet(path, index=False)
    except OSError as error:
        reason = error.strerror or str(error)
        raise TunerError(f"{path}: cannot be written: {reason}") from None


def _columns(study: StudyRecord, columns: Sequence[DataColumn]) -> Iterator[tuple[str, str]]:
    """Names and types; none for those of parameters, which their values tell."""
    for column in columns:
        if column.name == PARAMETERS:
            for name in study.parameters:
                yield PARAMETERS.replace("NAME", name), ""
        else:
            yield column.name, column.dtype


def _values_of_parameter(found: "pd.Series[Any]") -> "pd.Series[Any]":
    """Of the type that they have; numbers beside texts are texts."""
    if len({type(value) for value in found.dropna()}) <= 1:
        return found.convert_dtypes()
    return found.map(formats.value, na_action="ignore").astype("string")


def _of_trial(study: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    return {
        "study": study.name,
        "trial": trial.number,
        "purpose": trial.purpose.value,
        "state": trial.state.value,
    }


def _parameters(study: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    return {
        PARAMETERS.replace("NAME", name): trial.configuration.get(name)
        for name in study.parameters
    }


def _trials(study: StudyRecord) -> Iterator[dict[str, Any]]:
    known = speeds(study.trials)
    for trial in study.trials:
        yield {
            **_of_trial(study, trial),
            "reason": trial.reason.value if trial.reason else None,
            "message": trial.message,
            **_parameters(study, trial),
            "throughput": trial.throughput,
            "log_error": trial.log_error,
            "unloaded_s": trial.unloaded_s,
            "saturation": trial.saturation,
            "reference_s": trial.reference_s,
            "difference": trial.difference,
            "cpu_s": trial.usage.cpu_s,
            "memory_bytes": trial.usage.memory_bytes,
            "energy_j": trial.usage.energy_j,
            "mean_batch": trial.statistics.mean_batch,
            "preemptions": trial.statistics.preemptions,
            "round": trial.round,
            "proof": trial.proof,
            "applied": trial.applied,
            "proposal": trial.proposal,
            "seed": trial.seed,
            "total_s": figures.total_s(trial),
            "host": trial.host,
            "factor": known.factor(middle(trial), trial.host),
            "factor_log_error": known.log_error(middle(trial), trial.host),
            "attempt": trial.attempt,
            "started_at": trial.started_at,
            "finished_at": trial.finished_at,
        }


def _load_points(study: StudyRecord) -> Iterator[dict[str, Any]]:
    for trial in study.trials:
        for position, point in enumerate(trial.points):
            yield {
                **_of_trial(study, trial),
                **_parameters(study, trial),
                "position": position,
                **_latencies(point),
                **_conditions(point),
                "within": point.latency_s <= study.budget.limit_s,
            }


def _latencies(point: PointRecord) -> dict[str, Any]:
    firsts = firsts_s(point)
    tokens = {q: AnswerTimes.of(point, q) for q in LATENCY_PERCENTILES if has_tokens(point)}
    return {
        "phase": point.phase,
        "kind": point.kind,
        "load": point.load,
        "duration_s": point.duration_s,
        "throughput": point.throughput,
        "requests": point.requests,
        "mean_s": point.mean_s,
        **{f"p{q}_s": value for q, value in point.percentiles_s.items()},
        **{f"first_p{q}_s": firsts.get(q) for q in LATENCY_PERCENTILES},
        **{f"itl_p{q}_s": times.itl_s for q, times in tokens.items()},
        **{f"whole_p{q}_s": times.whole_s for q, times in tokens.items()},
        "output_tokens_per_s": point.tokens_per_s,
        "together": point.together,
        "counted_by": point.counted_by or None,
        "latency_s": point.latency_s,
        "latency_low_s": point.latency_low_s,
        "latency_high_s": point.latency_high_s,
    }


def _conditions(point: PointRecord) -> dict[str, Any]:
    return {
        "failed": sum(point.errors.values()),
        "unanswered": point.unanswered,
        "reconnected": point.reconnected,
        "send_lag_p99_s": point.send_lag_p99_s,
        "stopped_early": point.stopped_early,
        "runs": point.runs,
        "disturbed": ", ".join(point.disturbed),
        "engine_cpu_s": point.engine_cpu_s,
        "priority": point.priority,
        "cpu_s": point.usage.cpu_s,
        "memory_bytes": point.usage.memory_bytes,
        "energy_j": point.usage.energy_j,
    }


def _verifications(study: StudyRecord) -> Iterator[dict[str, Any]]:
    for trial in study.trials:
        for name, verdict in trial.verdicts.items():
            yield {
                **_of_trial(study, trial),
                "parameter": name,
                "value": formats.value(trial.configuration.get(name)),
                "grade": verdict.grade.value,
                "found": verdict.found,
            }


_ROWS: Mapping[StudyTable, Callable[[StudyRecord], Iterator[dict[str, Any]]]] = {
    StudyTable.TRIALS: _trials,
    StudyTable.LOAD_POINTS: _load_points,
    StudyTable.VERIFICATIONS: _verifications,
}


def _check_pyarrow() -> None:
    """Pandas asks for pyarrow only when it writes, and hides why it cannot be imported."""
    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise InputError(
            f"`--format parquet` needs pyarrow: {error}",
            hint="pip install 'serving-tuner[parquet]'",
        ) from None

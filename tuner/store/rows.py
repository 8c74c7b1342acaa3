"""Records as rows of the tables, and rows as records again."""

import base64
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from tuner.errors import Reason
from tuner.goals import AnswerLimits, LatencyBudget, Loop, Objective
from tuner.load.histogram import Histogram
from tuner.load.requests import Tensor
from tuner.records import (
    LATENCY_PERCENTILES,
    Comparison,
    Golden,
    Grade,
    PointRecord,
    Purpose,
    ServerStatistics,
    SettingVerdict,
    StudyRecord,
    TrialRecord,
    TrialState,
    Usage,
)
from tuner.space.document import space_document, stored_space
from tuner.space.space import Configuration, SearchSpace
from tuner.store.database import aware

Row = Mapping[Any, Any]
"""Values by the names of their columns."""
_Record = TypeVar("_Record", StudyRecord, LatencyBudget, TrialRecord, PointRecord, Usage, Tensor)
_Made = Callable[[Any], Any]


def study_row(study: StudyRecord) -> dict[str, Any]:
    """Without its trials."""
    return _columns(study, without=("budget", "comparison", "trials")) | _columns(study.budget)


def trial_row(trial: TrialRecord) -> dict[str, Any]:
    """Without its load points."""
    return _columns(trial, without=("usage", "points")) | _columns(trial.usage)


def point_row(point: PointRecord) -> dict[str, Any]:
    percentiles = {f"p{q}_s": value for q, value in point.percentiles_s.items()}
    return (
        _columns(point, without=("usage", "percentiles_s")) | _columns(point.usage) | percentiles
    )


def point_document(point: PointRecord) -> dict[str, Any]:
    """All columns of a load point, as JSON: NaN is nothing, and infinity a text."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in point_row(point).items()
    }


def study_of(row: Row, trials: tuple[TrialRecord, ...]) -> StudyRecord:
    golden = golden_of(row["golden"])
    return _read(
        StudyRecord,
        row,
        budget=_read(LatencyBudget, row),
        comparison=golden.comparison if golden else Comparison(),
        trials=trials,
    )


def golden_of(stored: Any) -> Golden | None:
    """Versions before kept the outputs alone, of which all were compared."""
    if stored is None:
        return None
    content = {"outputs": stored} if isinstance(stored, list) else stored
    return Golden(
        tuple(_read(Tensor, each) for each in content["outputs"]),
        tuple(content.get("varying", ())),
        tuple(content.get("shapeless", ())),
    )


def trial_of(row: Row, **others: Any) -> TrialRecord:
    """`others` are the fields that are not in the row, its load points among them."""
    return _read(TrialRecord, row, usage=_read(Usage, row), **others)


def point_of(row: Row) -> PointRecord:
    stored = {q: row[f"p{q}_s"] for q in LATENCY_PERCENTILES}
    percentiles = {q: math.nan if s is None else s for q, s in stored.items()}
    return _read(PointRecord, row, usage=_read(Usage, row), percentiles_s=percentiles)


def stored(value: Any) -> Any:
    """A value as the database takes it, alone or within JSON."""
    for kind, made in _STORED.items():
        if isinstance(value, kind):
            return made(value)
    return _columns(value) if is_dataclass(value) else value


def _columns(record: Any, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass by their names, `without` those that have columns of their own."""
    names = [field.name for field in fields(record) if field.name not in without]
    return {name: stored(getattr(record, name)) for name in names}


_STORED: Mapping[type, _Made] = {
    StrEnum: lambda value: value.value,
    # PostgreSQL keeps no null character; a log may have one.
    str: lambda text: text.replace("\0", "\N{REPLACEMENT CHARACTER}"),
    # As SQLite keeps it, which has no NaN; nor has JSON.
    float: lambda number: None if math.isnan(number) else number,
    datetime: lambda moment: moment.astimezone(UTC),
    bytes: lambda data: base64.b64encode(data).decode(),
    tuple: lambda values: [stored(each) for each in values],
    SearchSpace: space_document,
    AnswerLimits: AnswerLimits.as_record,
    Mapping: lambda values: {name: stored(each) for name, each in values.items()},
}


def _read(kind: type[_Record], row: Row, **others: Any) -> _Record:
    """The record of this kind in `row`; `others` are the fields that have no column."""
    values = dict(others)
    for name, absent, made in _PLANS[kind]:
        if name not in others:
            value = row[name]
            # SQLite keeps no NaN: it comes back as NULL.
            values[name] = absent if value is None else made(value) if made else value
    return kind(**values)


def _counts(stored: Mapping[str, int]) -> dict[int, int]:
    """JSON has texts for keys only."""
    return {int(key): count for key, count in stored.items()}


def _histogram(stored: Mapping[str, Any]) -> Histogram:
    return Histogram(_counts(stored["counts"]), stored["failures"])


# What is made of a field's value, where it is not kept as it is.
_VALUES: Mapping[str, _Made] = {
    **dict.fromkeys(("created_at", "started_at", "finished_at"), aware),
    "space": stored_space,
    "objectives": lambda stored: tuple(map(Objective, stored)),
    "arrivals": Loop,
    "warm_start": tuple,
    "purpose": Purpose,
    "state": TrialState,
    "reason": Reason,
    "configuration": Configuration.of,
    "verdicts": lambda stored: {
        name: SettingVerdict(Grade(each["grade"]), each["found"]) for name, each in stored.items()
    },
    "statistics": lambda stored: ServerStatistics(
        **{
            **stored,
            "batches": _counts(stored["batches"]),
            "batch_times_s": {int(n): s for n, s in stored.get("batch_times_s", {}).items()},
        }
    ),
    "answers": lambda stored: AnswerLimits(**stored),
    **dict.fromkeys(("histogram", "first_response", "itl", "whole"), _histogram),
    **dict.fromkeys(("shape", "disturbed", "remarks"), tuple),
    "data": base64.b64decode,
}
# Of each field its name, what it is where nothing is stored, and what makes its value.
_PLANS = {
    kind: tuple(
        (each.name, math.nan if each.type is float else None, _VALUES.get(each.name))
        for each in fields(kind)
    )
    for kind in (StudyRecord, LatencyBudget, TrialRecord, PointRecord, Usage, Tensor)
}

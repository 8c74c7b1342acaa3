"""The only door to SQLAlchemy, with database.py: studies, trials and load points.

Every trial is written in one transaction when it ends, so a crash of anything costs at most the
trial in progress. Opening a database brings its tables up to date.
"""

import base64
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, asdict, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tuner.errors import InputError, Reason
from tuner.goals import LatencyBudget, Loop, Objective
from tuner.load.calibration import Calibration
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
from tuner.space.document import fingerprint, space_document, stored_space
from tuner.space.space import Configuration, SearchSpace
from tuner.store.database import Database, aware
from tuner.store.events import EventKind, append, forget_points
from tuner.store.schema import (
    tuner_calibrations,
    tuner_jobs,
    tuner_load_points,
    tuner_studies,
    tuner_trials,
)

# A machine is kept up and updated: what the load engine could do long ago says little.
_CALIBRATION_HOLDS = timedelta(days=30)
_NEWEST_FIRST = (tuner_studies.c.created_at.desc(), tuner_studies.c.id.desc())

_Record = TypeVar("_Record", StudyRecord, LatencyBudget, TrialRecord, PointRecord, Usage, Tensor)


class Storage(Database):
    """A database of studies, open for the length of a `with` block."""

    def create_study(self, study: StudyRecord) -> bool:
        """Write a new study, without its trials; whether there was none of that name."""
        row = _columns(study, without=("budget", "comparison", "trials")) | _columns(study.budget)
        known = sa.select(tuner_studies.c.id).where(tuner_studies.c.name == study.name)

        def create(connection: Connection) -> bool:
            if connection.execute(known).first() is not None:
                return False
            connection.execute(tuner_studies.insert().values(row))
            return True

        return self.write(create)

    def save_trial(self, study_name: str, trial: TrialRecord) -> None:
        """Write one trial with all its load points, in one transaction."""

        def save(connection: Connection) -> None:
            study_id = connection.execute(
                sa.select(tuner_studies.c.id).where(tuner_studies.c.name == study_name)
            ).scalar_one()
            row = _columns(trial, without=("usage", "points")) | _columns(trial.usage)
            insert = tuner_trials.insert().values(**row, study_id=study_id)
            key = connection.execute(insert).inserted_primary_key
            points = [
                {**_point_row(point), "position": position, "trial_id": key[0] if key else None}
                for position, point in enumerate(trial.points)
            ]
            if points:
                connection.execute(tuner_load_points.insert(), points)
            forget_points(connection, study_id, trial.number)
            append(
                connection,
                study_id=study_id,
                fence=_fence(connection, study_id),
                at=trial.finished_at,
                kind=EventKind.TRIAL_ENDED.value,
                trial=trial.number,
                content={"state": trial.state.value},
            )

        self.write(save)

    def save_stopped(self, study_name: str, why: str) -> None:
        """Keep why the search ended."""
        self._update(study_name, stopped=why)

    def save_space(self, study_name: str, space: SearchSpace) -> None:
        """Keep the space of a study that a version began which did not store it."""
        self._update(study_name, space=space_document(space), space_fingerprint=fingerprint(space))

    def save_golden(self, study_name: str, golden: Golden) -> None:
        """Keep the baseline's outputs, which all other configurations are compared with."""
        self._update(study_name, golden=_stored(golden))

    def golden(self, study_name: str) -> Golden | None:
        """The baseline's outputs; None while there are none."""
        query = sa.select(tuner_studies.c.golden).where(tuner_studies.c.name == study_name)
        with self.reading() as connection:
            content = connection.execute(query).scalar_one_or_none()
        return _golden(content)

    def studies(self) -> tuple[StudyRecord, ...]:
        """All studies, the newest first, without their load points."""
        query = sa.select(tuner_studies).order_by(*_NEWEST_FIRST)
        with self.reading() as connection:
            rows = connection.execute(query).mappings().all()
            return tuple(_study(row, _trials(connection, row["id"], points=False)) for row in rows)

    def study(self, name: str | None, *, points: bool = True) -> StudyRecord:
        """The study called `name`, or the newest one; without `points`, which are many, sooner.

        Raises:
            InputError: There is no such study.
        """
        query = sa.select(tuner_studies).order_by(*_NEWEST_FIRST)
        if name is not None:
            query = query.where(tuner_studies.c.name == name)
        with self.reading() as connection:
            row = connection.execute(query.limit(1)).mappings().first()
            if row is not None:
                return _study(row, _trials(connection, row["id"], points=points))
            names = connection.execute(sa.select(tuner_studies.c.name)).scalars().all()
        raise InputError(
            f"no study is called `{name}`" if name else "there is no study yet",
            hint="studies here: " + ", ".join(sorted(names))
            if names
            else "`tuner optimize --budget-ms 50` makes one",
        )

    def save_calibration(self, host: str, payload_bytes: int, calibration: Calibration) -> None:
        """Keep what the load engine can do on `host` with requests of that size."""
        row = {
            "host": host,
            "payload_bytes": payload_bytes,
            "measured_at": datetime.now(UTC),
            **asdict(calibration),
        }

        def save(connection: Connection) -> None:
            connection.execute(tuner_calibrations.delete().where(*_of(host, payload_bytes)))
            connection.execute(tuner_calibrations.insert().values(row))

        self.write(save)

    def calibration(self, host: str, payload_bytes: int) -> Calibration | None:
        """What was measured of the load engine in the last 30 days; None if nothing was.

        `host` is the fingerprint of the hardware, `payload_bytes` the size of a request.
        """
        query = sa.select(tuner_calibrations).where(*_of(host, payload_bytes))
        with self.reading() as connection:
            row = connection.execute(query).mappings().first()
            if row is None or aware(row["measured_at"]) < datetime.now(UTC) - _CALIBRATION_HOLDS:
                return None
            return Calibration(row["rate"], row["send_lag_p99_s"])

    def _update(self, study_name: str, **values: Any) -> None:
        update = tuner_studies.update().where(tuner_studies.c.name == study_name).values(values)
        self.write(lambda connection: connection.execute(update))


def point_document(point: PointRecord) -> dict[str, Any]:
    """All columns of a load point, as JSON: NaN is nothing, and infinity a text."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in _point_row(point).items()
    }


def _fence(connection: Connection, study_id: int) -> int:
    """That of who runs the study."""
    query = sa.select(tuner_jobs.c.fence).where(tuner_jobs.c.study_id == study_id)
    return connection.execute(query).scalar_one_or_none() or 0


def _of(host: str, payload_bytes: int) -> tuple[sa.ColumnElement[bool], ...]:
    columns = tuner_calibrations.c
    return columns.host == host, columns.payload_bytes == payload_bytes


def _stored(value: Any) -> Any:
    """A value as the database takes it, alone or within JSON."""
    for kind, stored in _STORED.items():
        if isinstance(value, kind):
            return stored(value)
    return _columns(value) if is_dataclass(value) else value


def _columns(record: Any, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass by their names, `without` those that have columns of their own."""
    names = [field.name for field in fields(record) if field.name not in without]
    return {name: _stored(getattr(record, name)) for name in names}


_STORED: Mapping[type, Callable[[Any], Any]] = {
    StrEnum: lambda value: value.value,
    # PostgreSQL keeps no null character; a log may have one.
    str: lambda text: text.replace("\0", "\N{REPLACEMENT CHARACTER}"),
    # As SQLite keeps it, which has no NaN; nor has JSON.
    float: lambda number: None if math.isnan(number) else number,
    datetime: lambda moment: moment.astimezone(UTC),
    bytes: lambda data: base64.b64encode(data).decode(),
    tuple: lambda values: [_stored(each) for each in values],
    SearchSpace: space_document,
    Mapping: lambda values: {name: _stored(each) for name, each in values.items()},
}


def _read(kind: type[_Record], row: Mapping[Any, Any], **others: Any) -> _Record:
    """The record of this kind in `row`; `others` are the fields that have no column."""
    values = {
        field.name: _value(field, row[field.name])
        for field in fields(kind)
        if field.name not in others
    }
    return kind(**values, **others)


def _value(field: Field[Any], stored: Any) -> Any:
    if stored is None:  # SQLite keeps no NaN: it comes back as NULL
        return math.nan if field.type is float else None
    made = _VALUES.get(field.name)
    return made(stored) if made else stored


def _counts(stored: Mapping[str, int]) -> dict[int, int]:
    """JSON has texts for keys only."""
    return {int(key): count for key, count in stored.items()}


def _histogram(stored: Mapping[str, Any]) -> Histogram:
    return Histogram(_counts(stored["counts"]), stored["failures"])


# What is made of a field's value, where it is not kept as it is.
_VALUES: Mapping[str, Callable[[Any], Any]] = {
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
    **dict.fromkeys(("histogram", "first_response"), _histogram),
    "shape": tuple,
    "data": base64.b64decode,
}


def _study(row: sa.RowMapping, trials: tuple[TrialRecord, ...]) -> StudyRecord:
    golden = _golden(row["golden"])
    return _read(
        StudyRecord,
        row,
        budget=_read(LatencyBudget, row),
        comparison=golden.comparison if golden else Comparison(),
        trials=trials,
    )


def _golden(stored: Any) -> Golden | None:
    """Versions before kept the outputs alone, of which all were compared."""
    if stored is None:
        return None
    content = {"outputs": stored} if isinstance(stored, list) else stored
    return Golden(
        tuple(_read(Tensor, each) for each in content["outputs"]),
        tuple(content.get("varying", ())),
        tuple(content.get("shapeless", ())),
    )


def _trials(connection: Connection, study_id: int, *, points: bool) -> tuple[TrialRecord, ...]:
    query = sa.select(tuner_trials).where(tuner_trials.c.study_id == study_id)
    rows = connection.execute(query.order_by(tuner_trials.c.number)).mappings().all()
    by_trial: dict[int, list[PointRecord]] = {}
    if points:
        of_study = sa.select(tuner_trials.c.id).where(tuner_trials.c.study_id == study_id)
        for row in connection.execute(
            sa.select(tuner_load_points)
            .where(tuner_load_points.c.trial_id.in_(of_study))
            .order_by(tuner_load_points.c.trial_id, tuner_load_points.c.position)
        ).mappings():
            by_trial.setdefault(row["trial_id"], []).append(_point(row))
    return tuple(_trial(row, tuple(by_trial.get(row["id"], ()))) for row in rows)


def _trial(row: sa.RowMapping, points: tuple[PointRecord, ...]) -> TrialRecord:
    return _read(TrialRecord, row, usage=_read(Usage, row), points=points)


def _point_row(point: PointRecord) -> dict[str, Any]:
    percentiles = {f"p{q}_s": value for q, value in point.percentiles_s.items()}
    return (
        _columns(point, without=("usage", "percentiles_s")) | _columns(point.usage) | percentiles
    )


def _point(row: sa.RowMapping) -> PointRecord:
    stored = {q: row[f"p{q}_s"] for q in LATENCY_PERCENTILES}
    percentiles = {q: math.nan if s is None else s for q, s in stored.items()}
    return _read(PointRecord, row, usage=_read(Usage, row), percentiles_s=percentiles)

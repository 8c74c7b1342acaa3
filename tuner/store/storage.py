"""The only door to SQLAlchemy, with database.py: studies, trials and load points.

Every trial is written in one transaction when it ends, so a crash of anything costs at most the
trial in progress. Opening a database brings its tables up to date.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tuner.errors import InputError, Reason
from tuner.goals import LatencyBudget, Loop, Objective
from tuner.load.calibration import Calibration
from tuner.load.histogram import Histogram
from tuner.load.requests import Tensor
from tuner.records import (
    LATENCY_PERCENTILES,
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
from tuner.store.database import Database
from tuner.store.schema import tuner_calibrations, tuner_load_points, tuner_studies, tuner_trials

# How long to wait for another process that writes, unless somebody says otherwise.
_BUSY_S = 5.0
# A machine is kept up and updated: what the load engine could do long ago says little.
_CALIBRATION_HOLDS = timedelta(days=30)
_NEWEST_FIRST = (tuner_studies.c.created_at.desc(), tuner_studies.c.id.desc())


class Storage:
    """A database of studies, open for the length of a `with` block.

    `location` is a path or an SQLAlchemy URL. Without `create`, a database that does not exist is
    an error: that of somebody who asks for results where there are none. `busy_s` is how long to
    wait for another process that writes.
    """

    def __init__(self, location: str, *, create: bool = False, busy_s: float = _BUSY_S) -> None:
        self._database = Database(location, create=create, busy_s=busy_s)
        self.url = self._database.url

    def __enter__(self) -> Self:
        self._database.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._database.__exit__(*error)

    def create_study(self, study: StudyRecord) -> None:
        """Write a new study, without its trials."""
        with self._database.transaction() as connection:
            connection.execute(tuner_studies.insert().values(_study_row(study)))

    def save_trial(self, study_name: str, trial: TrialRecord) -> None:
        """Write one trial with all its load points, in one transaction."""
        with self._database.transaction() as connection:
            study_id = connection.execute(
                sa.select(tuner_studies.c.id).where(tuner_studies.c.name == study_name)
            ).scalar_one()
            row = {**_trial_row(trial), "study_id": study_id}
            key = connection.execute(tuner_trials.insert().values(row)).inserted_primary_key
            points = [
                {**_point_row(point), "position": position, "trial_id": key[0] if key else None}
                for position, point in enumerate(trial.points)
            ]
            if points:
                connection.execute(tuner_load_points.insert(), points)

    def save_stopped(self, study_name: str, why: str) -> None:
        """Keep why the search ended."""
        self._update(study_name, stopped=why)

    def save_space(self, study_name: str, space: SearchSpace) -> None:
        """Keep the space of a study that a version began which did not store it."""
        self._update(study_name, space=space_document(space), space_fingerprint=fingerprint(space))

    def save_golden(self, study_name: str, outputs: tuple[Tensor, ...]) -> None:
        """Keep the baseline's outputs, which all other configurations are compared with."""
        self._update(study_name, golden=[_tensor_json(tensor) for tensor in outputs])

    def golden(self, study_name: str) -> tuple[Tensor, ...] | None:
        """The baseline's outputs; None while there are none."""
        query = sa.select(tuner_studies.c.golden).where(tuner_studies.c.name == study_name)
        with self._database.reading() as connection:
            content = connection.execute(query).scalar_one_or_none()
        return None if content is None else tuple(_tensor(each) for each in content)

    def studies(self) -> tuple[StudyRecord, ...]:
        """All studies, the newest first, without their load points."""
        query = sa.select(tuner_studies).order_by(*_NEWEST_FIRST)
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
            return tuple(_study(row, _trials(connection, row["id"], points=False)) for row in rows)

    def study(self, name: str | None) -> StudyRecord:
        """The study called `name`, or the newest one.

        Raises:
            InputError: There is no such study.
        """
        query = sa.select(tuner_studies).order_by(*_NEWEST_FIRST)
        if name is not None:
            query = query.where(tuner_studies.c.name == name)
        with self._database.reading() as connection:
            row = connection.execute(query.limit(1)).mappings().first()
            if row is not None:
                return _study(row, _trials(connection, row["id"], points=True))
            names = connection.execute(sa.select(tuner_studies.c.name)).scalars().all()
        raise InputError(
            f"no study is called `{name}`" if name else "there is no study yet",
            hint="studies here: " + ", ".join(sorted(names))
            if names
            else "`tuner optimize --budget-ms 50` makes one",
        )

    def has_study(self, name: str) -> bool:
        query = sa.select(tuner_studies.c.id).where(tuner_studies.c.name == name)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def save_calibration(self, host: str, payload_bytes: int, calibration: Calibration) -> None:
        """Keep what the load engine can do on `host` with requests of that size."""
        with self._database.transaction() as connection:
            connection.execute(tuner_calibrations.delete().where(*_of(host, payload_bytes)))
            row = {
                "host": host,
                "payload_bytes": payload_bytes,
                "measured_at": datetime.now(UTC),
                **asdict(calibration),
            }
            connection.execute(tuner_calibrations.insert().values(row))

    def calibration(self, host: str, payload_bytes: int) -> Calibration | None:
        """What was measured of the load engine in the last 30 days; None if nothing was.

        `host` is the fingerprint of the hardware, `payload_bytes` the size of a request.
        """
        query = sa.select(tuner_calibrations).where(*_of(host, payload_bytes))
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
            if row is None or _aware(row["measured_at"]) < datetime.now(UTC) - _CALIBRATION_HOLDS:
                return None
            return Calibration(row["rate"], row["send_lag_p99_s"])

    def _update(self, study_name: str, **values: Any) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                tuner_studies.update().where(tuner_studies.c.name == study_name).values(values)
            )


def _of(host: str, payload_bytes: int) -> tuple[sa.ColumnElement[bool], ...]:
    columns = tuner_calibrations.c
    return columns.host == host, columns.payload_bytes == payload_bytes


def _study_row(study: StudyRecord) -> dict[str, Any]:
    return {
        "name": study.name,
        "created_at": study.created_at.astimezone(UTC),
        "server": study.server,
        "model": study.model,
        "model_fingerprint": study.model_fingerprint,
        "space_fingerprint": study.space_fingerprint,
        "percentile": study.budget.percentile,
        "limit_s": study.budget.limit_s,
        "parameters": dict(study.parameters),
        "request": dict(study.request),
        "hardware": dict(study.hardware),
        "environment": dict(study.environment),
        "space": space_document(study.space) if study.space else None,
        "place": dict(study.place) if study.place is not None else None,
        "options": dict(study.options),
        "objectives": [objective.value for objective in study.objectives],
        "arrivals": study.arrivals.value,
        "sampler": study.sampler,
        "warm_start": list(study.warm_start),
        "stopped": study.stopped,
    }


def _study(row: sa.RowMapping, trials: tuple[TrialRecord, ...]) -> StudyRecord:
    return StudyRecord(
        name=row["name"],
        created_at=_aware(row["created_at"]),
        server=row["server"],
        model=row["model"],
        model_fingerprint=row["model_fingerprint"],
        space_fingerprint=row["space_fingerprint"],
        budget=LatencyBudget(row["percentile"], row["limit_s"]),
        parameters=row["parameters"],
        request=row["request"],
        hardware=row["hardware"],
        environment=row["environment"],
        space=stored_space(row["space"]) if row["space"] else None,
        place=row["place"],
        options=row["options"],
        objectives=tuple(Objective(each) for each in row["objectives"]),
        arrivals=Loop(row["arrivals"]),
        sampler=row["sampler"],
        warm_start=tuple(row["warm_start"]),
        stopped=row["stopped"],
        trials=trials,
    )


def _trial_row(trial: TrialRecord) -> dict[str, Any]:
    row = {column: getattr(trial, column) for column in _PLAIN_TRIAL_COLUMNS}
    return row | {
        "started_at": trial.started_at.astimezone(UTC),
        "finished_at": trial.finished_at.astimezone(UTC),
        "purpose": trial.purpose.value,
        "state": trial.state.value,
        "reason": trial.reason.value if trial.reason else None,
        "configuration": dict(trial.configuration),
        "verdicts": {
            name: {"grade": verdict.grade.value, "found": verdict.found}
            for name, verdict in trial.verdicts.items()
        },
        "statistics": asdict(trial.statistics),
        "timings_s": dict(trial.timings_s),
        **asdict(trial.usage),
    }


_PLAIN_TRIAL_COLUMNS = (
    "number",
    "proposal",
    "message",
    "throughput",
    "log_error",
    "unloaded_s",
    "saturation",
    "reference_s",
    "difference",
    "round",
    "proof",
    "applied",
    "log_tail",
    "export",
    "seed",
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
    values = {column: row[column] for column in _PLAIN_TRIAL_COLUMNS}
    statistics = dict(row["statistics"])
    statistics["batches"] = {int(k): v for k, v in statistics["batches"].items()}
    return TrialRecord(
        **values
        | {
            "log_error": _number(row["log_error"]),
            "unloaded_s": _number(row["unloaded_s"]),
            "reference_s": _number(row["reference_s"]),
            "difference": _number(row["difference"]),
        },
        usage=_usage(row),
        started_at=_aware(row["started_at"]),
        finished_at=_aware(row["finished_at"]),
        purpose=Purpose(row["purpose"]),
        state=TrialState(row["state"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        configuration=Configuration.of(row["configuration"]),
        verdicts={
            name: SettingVerdict(Grade(each["grade"]), each["found"])
            for name, each in row["verdicts"].items()
        },
        statistics=ServerStatistics(**statistics),
        timings_s=row["timings_s"],
        points=points,
    )


_PLAIN_POINT_COLUMNS = (
    "phase",
    "kind",
    "load",
    "duration_s",
    "throughput",
    "requests",
    "mean_s",
    "latency_s",
    "latency_low_s",
    "latency_high_s",
    "unanswered",
    "send_lag_p99_s",
    "engine_cpu_s",
    "priority",
    "stopped_early",
)


def _point_row(point: PointRecord) -> dict[str, Any]:
    row = {column: getattr(point, column) for column in _PLAIN_POINT_COLUMNS}
    histogram = {
        "counts": {str(each): count for each, count in point.histogram.counts.items()},
        "failures": point.histogram.failures,
    }
    percentiles = {f"p{q}_s": value for q, value in point.percentiles_s.items()}
    return (
        row
        | percentiles
        | asdict(point.usage)
        | {"errors": dict(point.errors), "histogram": histogram}
    )


def _point(row: sa.RowMapping) -> PointRecord:
    values = {column: row[column] for column in _PLAIN_POINT_COLUMNS}
    counts = {int(each): count for each, count in row["histogram"]["counts"].items()}
    return PointRecord(
        **values
        | {
            "mean_s": _number(row["mean_s"]),
            "latency_low_s": _number(row["latency_low_s"]),
            "latency_high_s": _number(row["latency_high_s"]),
            "send_lag_p99_s": _number(row["send_lag_p99_s"]),
        },
        usage=_usage(row),
        percentiles_s={q: _number(row[f"p{q}_s"]) for q in LATENCY_PERCENTILES},
        errors=row["errors"],
        histogram=Histogram(counts, row["histogram"]["failures"]),
    )


def _tensor_json(tensor: Tensor) -> Mapping[str, Any]:
    data = base64.b64encode(tensor.data).decode()
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "data": data}


def _tensor(content: Mapping[str, Any]) -> Tensor:
    data = base64.b64decode(content["data"])
    return Tensor(content["name"], content["datatype"], tuple(content["shape"]), data)


def _usage(row: sa.RowMapping) -> Usage:
    return Usage(*(_number(row[name]) for name in ("cpu_s", "memory_bytes", "energy_j")))


def _number(value: float | None) -> float:
    """SQLite keeps no NaN: it comes back as NULL."""
    return math.nan if value is None else value


def _aware(moment: datetime) -> datetime:
    """SQLite keeps no time zone; all moments are written in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

"""The only door to SQLAlchemy, with database.py: studies, trials and load points.

Every trial is written in one transaction when it ends, so a crash of anything costs at most the
trial in progress. Opening a database brings its tables up to date.
"""

import gc
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tuner.errors import StudyMissingError
from tuner.goals import Loop
from tuner.load.calibration import Calibration
from tuner.records import (
    Golden,
    Phase,
    PointRecord,
    ServerStatistics,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from tuner.space.document import fingerprint, space_document
from tuner.space.space import SearchSpace
from tuner.store.database import Database, aware
from tuner.store.events import EventKind, append, forget_points
from tuner.store.rows import (
    golden_of,
    point_of,
    point_row,
    stored,
    study_of,
    study_row,
    trial_of,
    trial_row,
)
from tuner.store.schema import (
    tuner_calibrations,
    tuner_jobs,
    tuner_load_points,
    tuner_studies,
    tuner_trials,
)

# A machine is kept up and updated: what the load engine could do long ago says little.
_CALIBRATION_HOLDS = timedelta(days=30)
# Of more studies than this, those with names like the wanted one are named.
_MOST_NAMED = 20
NEWEST_FIRST = (tuner_studies.c.created_at.desc(), tuner_studies.c.id.desc())


class Storage(Database):
    """A database of studies, open for the length of a `with` block."""

    def create_study(self, study: StudyRecord) -> bool:
        """Write a new study, without its trials; whether there was none of that name."""
        row = study_row(study)
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
            insert = tuner_trials.insert().values(**trial_row(trial), study_id=study_id)
            key = connection.execute(insert).inserted_primary_key
            points = [
                {**point_row(point), "position": position, "trial_id": key[0] if key else None}
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
        self._update(study_name, golden=stored(golden))

    def golden(self, study_name: str) -> Golden | None:
        """The baseline's outputs; None while there are none."""
        query = sa.select(tuner_studies.c.golden).where(tuner_studies.c.name == study_name)
        with self.reading() as connection:
            content = connection.execute(query).scalar_one_or_none()
        return golden_of(content)

    def names(self) -> tuple[str, ...]:
        """Those of all studies, the newest first."""
        query = sa.select(tuner_studies.c.name).order_by(*NEWEST_FIRST)
        with self.reading() as connection:
            return tuple(connection.execute(query).scalars())

    def studies(self) -> tuple[StudyRecord, ...]:
        """All studies in brief (see `study`), the newest first."""
        query = sa.select(tuner_studies).order_by(*NEWEST_FIRST)
        with self.reading() as connection:
            rows = connection.execute(query).mappings().all()
            trials = trials_in_brief(connection, None)
            return tuple(study_of(row, tuple(trials.get(row["id"], ()))) for row in rows)

    def study(self, name: str | None, *, brief: bool = False, trials: bool = True) -> StudyRecord:
        """The study called `name`, or the newest one; without its `trials`, if it is asked for so.

        In `brief`, its trials lack what is shown of a few of them only: load points, verdicts,
        statistics and the file that deploys them.

        Raises:
            StudyMissingError: There is no such study.
        """
        query = sa.select(tuner_studies).order_by(*NEWEST_FIRST)
        if name is not None:
            query = query.where(tuner_studies.c.name == name)
        with self.reading() as connection:
            row = connection.execute(query.limit(1)).mappings().first()
            if row is not None:
                if not trials:
                    return study_of(row, ())
                if brief:
                    briefly = trials_in_brief(connection, [row["id"]])
                    return study_of(row, tuple(briefly.get(row["id"], ())))
                own = tuner_trials.c.study_id == row["id"]
                return study_of(row, _trials(connection, own))
            names = connection.execute(sa.select(tuner_studies.c.name)).scalars().all()
        raise _missing(name, names)

    def in_full(self, study: StudyRecord, trials: Collection[int]) -> StudyRecord:
        """The `study`, read in brief or without trials, with all of these `trials` (numbers)."""
        mine = sa.select(tuner_studies.c.id).where(tuner_studies.c.name == study.name)
        own = tuner_trials.c.study_id == mine.scalar_subquery()
        with self.reading() as connection:
            found = _trials(connection, own & tuner_trials.c.number.in_(list(trials)))
        known = {trial.number: trial for trial in (*study.trials, *found)}
        return replace(study, trials=tuple(known[number] for number in sorted(known)))

    def in_brief(self, study_name: str, numbers: Collection[int]) -> tuple[TrialRecord, ...]:
        """The trials of the study with these `numbers`, in brief: see `study`."""
        known = sa.select(tuner_studies.c.id).where(tuner_studies.c.name == study_name)
        with self.reading() as connection:
            ids = connection.execute(known).scalars().all()
            found = trials_in_brief(connection, ids, numbers=numbers)
            return tuple(trial for each in found.values() for trial in each)

    def front_trials(self, study: StudyRecord) -> frozenset[int]:
        """The numbers of the trials that have a load point of the Pareto front.

        Without a fleet it is that of `tuner.analysis.pareto.trade_off`, which is exact with the
        load points of these trials alone: the database finds them without handing out all that
        there are. One sweep is enough, from the highest throughput down: a point is beaten where
        an earlier one has as little latency (Kung, Luccio and Preparata, JACM 22, 1975).
        """
        points, trials = tuner_load_points.c, tuner_trials.c
        curve = points.kind == "open"
        if study.arrivals is Loop.CLOSED:
            curve = (points.kind == "closed") & (points.phase == Phase.SEARCH.value)
        least_s = sa.func.min(points.latency_s).over(
            # Of equal points the first one is kept, as there.
            order_by=(
                points.throughput.desc(),
                points.latency_s,
                trials.number,
                points.position,
            ),
            rows=(None, -1),
        )
        swept = (
            sa.select(trials.number, points.latency_s, least_s.label("least_s"))
            .join_from(tuner_load_points, tuner_trials)
            .join(tuner_studies)
            .where(tuner_studies.c.name == study.name, curve, points.stopped_early == "")
            .where(trials.state != TrialState.FAILED.value, points.latency_s < math.inf)
            .subquery()
        )
        beats = swept.c.least_s.is_(None) | (swept.c.latency_s < swept.c.least_s)
        with self.reading() as connection:
            found = connection.execute(sa.select(swept.c.number).distinct().where(beats))
            return frozenset(found.scalars())

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

    def calibration(
        self, host: str, payload_bytes: int, *, until: datetime | None = None
    ) -> Calibration | None:
        """What was measured of the load engine in the last 30 days, or `until` that moment.

        `host` is the fingerprint of the hardware, `payload_bytes` the size of a request. None if
        nothing was, or if something newer has taken its place.
        """
        query = sa.select(tuner_calibrations).where(*_of(host, payload_bytes))
        with self.reading() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            measured_at, oldest = aware(row["measured_at"]), datetime.now(UTC) - _CALIBRATION_HOLDS
            counts = measured_at <= until if until else measured_at >= oldest
            return Calibration(row["rate"], row["send_lag_p99_s"]) if counts else None

    def _update(self, study_name: str, **values: Any) -> None:
        update = tuner_studies.update().where(tuner_studies.c.name == study_name).values(values)
        self.write(lambda connection: connection.execute(update))


def _fence(connection: Connection, study_id: int) -> int:
    """That of who runs the study."""
    query = sa.select(tuner_jobs.c.fence).where(tuner_jobs.c.study_id == study_id)
    return connection.execute(query).scalar_one_or_none() or 0


def _of(host: str, payload_bytes: int) -> tuple[sa.ColumnElement[bool], ...]:
    columns = tuner_calibrations.c
    return columns.host == host, columns.payload_bytes == payload_bytes


def _trials(connection: Connection, which: sa.ColumnElement[bool]) -> tuple[TrialRecord, ...]:
    """Those of one study, with their load points."""
    query = sa.select(tuner_trials).where(which).order_by(tuner_trials.c.number)
    rows = connection.execute(query).mappings().all()
    with _many_records():
        found = _points(connection, which)
        return tuple(trial_of(row, points=tuple(found.get(row["number"], ()))) for row in rows)


def trials_in_brief(
    connection: Connection,
    studies: Collection[int] | None,
    *,
    numbers: Collection[int] | None = None,
) -> dict[int, list[TrialRecord]]:
    """The trials of these studies (ids), or of all, by their study; see `Storage.study`.

    Only those with these `numbers`, if any are given.
    """
    left_out = {"verdicts": {}, "statistics": ServerStatistics(), "export": "", "points": ()}
    columns = [column for column in tuner_trials.c if column.name not in left_out]
    query = sa.select(*columns).order_by(tuner_trials.c.study_id, tuner_trials.c.number)
    if studies is not None:
        query = query.where(tuner_trials.c.study_id.in_(studies))
    if numbers is not None:
        query = query.where(tuner_trials.c.number.in_(numbers))
    found: dict[int, list[TrialRecord]] = {}
    with _many_records():
        for row in connection.execute(query).mappings():
            found.setdefault(row["study_id"], []).append(trial_of(row, **left_out))
    return found


def _missing(name: str | None, names: Sequence[str]) -> StudyMissingError:
    if not names:
        hint = "`tuner optimize --budget-ms 50` makes one"
    elif len(names) <= _MOST_NAMED or name is None:
        hint = "studies here: " + ", ".join(sorted(names))
    else:
        close = get_close_matches(name, names, n=3)
        hint = f"studies with a name like it: {', '.join(close)}" if close else ""
        hint = hint or f"`tuner studies list` has the names of all {len(names)}"
    said = "there is no study yet" if name is None else f"no study is called `{name}`"
    return StudyMissingError(said, hint=hint)


@contextmanager
def _many_records() -> Iterator[None]:
    """Look for no garbage meanwhile: there is none, and each look is at all that there is."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _points(
    connection: Connection, of_trials: sa.ColumnElement[bool]
) -> dict[int, list[PointRecord]]:
    """By the numbers of the trials of one study, in the order that they were measured in."""
    found: dict[int, list[PointRecord]] = {}
    columns = tuner_load_points.c
    for row in connection.execute(
        sa.select(tuner_trials.c.number, tuner_load_points)
        .join_from(tuner_load_points, tuner_trials)
        .where(of_trials)
        .order_by(columns.trial_id, columns.position)
    ).mappings():
        found.setdefault(row["number"], []).append(point_of(row))
    return found

"""The load points of a study as a chart needs them: without their histograms."""

import math
from dataclasses import dataclass

import sqlalchemy as sa

from tuner.goals import Loop
from tuner.records import Phase, StudyRecord, TrialState
from tuner.store.database import Database
from tuner.store.schema import tuner_load_points, tuner_studies, tuner_trials


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A load point of a trial: inferences per second, and seconds at the study's percentile.

    `tokens_per_s` are output tokens; NaN where answers are not made of them.
    """

    trial: int
    throughput: float
    latency_s: float
    tokens_per_s: float
    stopped_early: bool


def curve_points(database: Database, study: StudyRecord, *, limit: int) -> tuple[CurvePoint, ...]:
    """Those of the load curves (see `analysis.load_curves`) of trials that did not fail.

    The newest trials first, no more than `limit` points, none without a finite latency.
    """
    points, trials = tuner_load_points.c, tuner_trials.c
    on_curve = points.kind == "open"
    if study.arrivals is Loop.CLOSED:
        on_curve = (points.kind == "closed") & (points.phase == Phase.SEARCH.value)
    query = (
        sa.select(
            trials.number.label("trial"),
            points.throughput,
            points.latency_s,
            points.tokens_per_s,
            (points.stopped_early != "").label("stopped_early"),
        )
        .join_from(tuner_load_points, tuner_trials)
        .join(tuner_studies)
        .where(tuner_studies.c.name == study.name, on_curve)
        .where(trials.state != TrialState.FAILED.value, points.latency_s < 1e9)
        .order_by(trials.number.desc(), points.position.desc())
        .limit(limit)
    )
    with database.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(_point(row) for row in rows)


def tokens_per_answer(database: Database, study: StudyRecord) -> float:
    """The mean output tokens of the answers at the study's load points; NaN without any.

    As `analysis.token_figures`, for a study that was read without its load points.
    """
    points = tuner_load_points.c
    answers = sa.func.sum(points.throughput * points.duration_s)
    query = (
        sa.select(
            sa.func.sum(points.tokens_per_s * points.duration_s) / sa.func.nullif(answers, 0)
        )
        .join_from(tuner_load_points, tuner_trials)
        .join(tuner_studies)
        .where(tuner_studies.c.name == study.name, points.tokens_per_s > 0)
    )
    with database.reading() as connection:
        found = connection.execute(query).scalar_one_or_none()
    return math.nan if found is None else float(found)


def _point(row: sa.RowMapping) -> CurvePoint:
    per_s = row["tokens_per_s"]
    return CurvePoint(
        trial=row["trial"],
        throughput=row["throughput"],
        latency_s=row["latency_s"],
        tokens_per_s=per_s or math.nan,
        stopped_early=bool(row["stopped_early"]),
    )

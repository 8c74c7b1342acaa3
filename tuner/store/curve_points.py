"""The load points of a study as a chart needs them: without their histograms."""

from dataclasses import dataclass

import sqlalchemy as sa

from tuner.goals import Loop
from tuner.records import Phase, StudyRecord, TrialState
from tuner.store.database import Database
from tuner.store.schema import tuner_load_points, tuner_studies, tuner_trials


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A load point of a trial: inferences per second, and seconds at the study's percentile."""

    trial: int
    throughput: float
    latency_s: float
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
    return tuple(
        CurvePoint(**{**row, "stopped_early": bool(row["stopped_early"])}) for row in rows
    )

"""A study for programs: pandas DataFrames with the units that docs/data.md lists."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from tuner.analysis.standings import standings
from tuner.records import StudyRecord
from tuner.report import export, frames
from tuner.report.studies import summary
from tuner.report.study_tables import StudyTable
from tuner.store.storage import Storage


@dataclass(frozen=True, eq=False)
class StudyData:
    """One study: its headline facts, and a row for each trial, load point and verification."""

    study: Mapping[str, Any]
    trials: pd.DataFrame
    load_points: pd.DataFrame
    verifications: pd.DataFrame


def load_study(url: str, name: str | None = None) -> StudyData:
    """Read the study called `name`, or the newest one.

    Args:
        url: Of the database: a path or an SQLAlchemy URL.
        name: Of the study.

    Raises:
        InputError: There is no such database, or no such study.
        StorageError: The database cannot be read.
    """
    with Storage(url) as storage:
        study = storage.study(name)
    return StudyData(
        study=_facts(study),
        trials=frames.frame(study, StudyTable.TRIALS),
        load_points=frames.frame(study, StudyTable.LOAD_POINTS),
        verifications=frames.frame(study, StudyTable.VERIFICATIONS),
    )


def _facts(study: StudyRecord) -> dict[str, Any]:
    found = standings(study)
    return {
        **summary(study),
        "percentile": study.budget.percentile,
        "limit_s": study.budget.limit_s,
        "winner": export.standing(found.winner, study) if found.winner else None,
        "baseline": export.standing(found.baseline, study) if found.baseline else None,
        "gain_interval": asdict(found.gain) if found.gain else None,
        "arrivals": study.arrivals.value,
        "sampler": study.sampler,
        "stopped": study.stopped,
        "model_fingerprint": study.model_fingerprint,
        "space_fingerprint": study.space_fingerprint,
        "hardware": dict(study.hardware),
        "environment": dict(study.environment),
        "request": dict(study.request),
        "options": dict(study.options),
    }

"""Trials of a search that failed, and whose configurations were not measured since."""

from collections.abc import Collection

from tuner.errors import Reason
from tuner.records import Purpose, StudyRecord, TrialRecord


def failed_trials(study: StudyRecord, reasons: Collection[Reason]) -> tuple[TrialRecord, ...]:
    """Those that failed for one of the reasons, the last one of each configuration."""
    last = {t.configuration: t for t in study.searched if t.purpose is Purpose.SEARCH}
    return tuple(trial for trial in last.values() if trial.reason in reasons)

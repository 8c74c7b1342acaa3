"""What the proofs of claimed loads say, in sentences."""

from collections.abc import Iterator

from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import standings
from tuner.planning.proved import Proved
from tuner.records import StudyRecord, TrialRecord
from tuner.report import findings, formats, rates

_VERDICTS = {
    "within": "proved to be within",
    "over": "found over",
    "undecided": "not proved to be within (nor over)",
}


def about_proofs(study: StudyRecord) -> Iterator[str]:
    """Those of the best configuration, a sentence each.

    The trials of a study that went on may have found a better one since.
    """
    told = [trial for trial in study.proofs if trial.proof in _VERDICTS]
    winner = standings(study).winner if told else None
    for trial in told:
        if winner and trial.configuration == winner.configuration:
            yield _about_proof(study, trial)


def planned_with(proved: Proved, study: StudyRecord, tokens: float) -> str:
    """What a configuration is planned with that carries less than its finals said; else nothing.

    An answer has so many output `tokens`, NaN where it has none.
    """
    if not proved.contradicts:
        return ""
    unit = RateUnit.of(study)
    found = (
        f"{rates.said(proved.over, unit, tokens)} were found over {study.budget} on one more start"
    )
    if not proved.within:
        return f"{found}, and nothing less is proved: it may take more replicas"
    within = rates.said(proved.within, unit, tokens)
    return f"{found}: it is planned with {within}, which were proved to be within it on another"


def _about_proof(study: StudyRecord, trial: TrialRecord) -> str:
    load = rates.of_trials(trial.throughput, RateUnit.of(study), [trial])
    where = f" on {trial.host}" if trial.host else ""
    measured_s = sum(point.duration_s for point in trial.points if point.phase == "proof")
    return (
        f"On one more {findings.start(trial)}{where}, {load} of the best configuration were "
        f"{_VERDICTS[trial.proof]} {study.budget}, after {formats.duration(measured_s)} of that "
        "load."
    )

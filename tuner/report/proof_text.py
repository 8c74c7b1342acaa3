"""What the proofs of claimed loads say, in sentences."""

from collections.abc import Iterator

from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import standings
from tuner.capacity.proof import LoadVerdict
from tuner.planning.proved import Proved, proofs_of
from tuner.records import StudyRecord, TrialRecord
from tuner.report import findings, formats, rates

_VERDICTS = {
    LoadVerdict.WITHIN: "proved to be within",
    LoadVerdict.OVER: "found over",
    LoadVerdict.UNDECIDED: "not proved to be within (nor over)",
}


def about_proofs(study: StudyRecord) -> Iterator[str]:
    """Those of the best configuration, a sentence each."""
    winner = standings(study).winner if study.proofs else None
    for trial in proofs_of(study, winner.configuration) if winner else ():
        if trial.proof:
            yield _about_proof(study, trial, _VERDICTS[LoadVerdict(trial.proof)])


def about_plan(proved: Proved, study: StudyRecord, tokens: float) -> str:
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


def _about_proof(study: StudyRecord, trial: TrialRecord, verdict: str) -> str:
    load = rates.of_trials(trial.throughput, RateUnit.of(study), [trial])
    where = f" on {trial.host}" if trial.host else ""
    measured_s = sum(point.duration_s for point in trial.points if point.phase == "proof")
    return (
        f"On one more {findings.start(trial)}{where}, {load} of the best configuration were "
        f"{verdict} {study.budget}, after {formats.duration(measured_s)} of that load."
    )

"""The best configuration of a study so far, which others must have a chance to beat."""

from tuner.analysis.drift import Drift
from tuner.analysis.hosts import Speeds
from tuner.goals import Objective
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.search.samplers import Sampler

_SEARCHED = (Purpose.BASELINE, Purpose.SEARCH)


def best_so_far(study: StudyRecord, speed: Drift | Speeds) -> TrialRecord | None:
    """It, at the first speed of the (first) machine; None where nothing is to be given up.

    With several objectives, less throughput may come with less latency; an exhaustive search
    measures everything, to see what each parameter does.
    """
    everything = study.sampler == Sampler.EXHAUSTIVE
    if everything or study.objectives != (Objective.THROUGHPUT,):
        return None
    if isinstance(speed, Speeds) and speed.fleet:
        return speed.best(list(filter(_is_feasible, study.trials)))
    feasible = filter(_is_feasible, speed.corrected(study.trials))
    return max(feasible, key=lambda trial: trial.throughput, default=None)


def _is_feasible(trial: TrialRecord) -> bool:
    return trial.state is TrialState.FEASIBLE and trial.purpose in _SEARCHED

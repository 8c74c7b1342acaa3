"""What is shown of a study with more trials than anybody reads: those that matter."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from tuner.analysis.hosts import is_of_fleet, speeds
from tuner.analysis.pareto import trade_off
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.report.fronts import trials_of_front
from tuner.store.storage import Storage

# A study of no more trials than this is shown whole.
_MOST_SHOWN = 300
# Of another one: so many of the search, the best ones, and so many that failed, the last ones.
_BEST = 250
_FAILED = 20


def shown(study: StudyRecord, front: Collection[int] | None = None) -> tuple[TrialRecord, ...]:
    """All trials, or those that matter of more than 300, in their order.

    That is the best of the search (where too few are feasible, those with the lowest latency
    without load), the last that failed, whatever has a load point of the Pareto front, and all
    that were for something else than the search. `front` are the numbers of the trials on it, for
    a study that was read without its load points.
    """
    if len(study.trials) <= _MOST_SHOWN:
        return study.trials
    on_front = [point["trial"] for point in trade_off(study)] if front is None else front
    searched = [t for t in study.trials if t.purpose is Purpose.SEARCH]
    ended = [t for t in searched if t.state is not TrialState.FAILED]
    factors = speeds(study.trials).factors(ended) if is_of_fleet(study.trials) else {}
    best = sorted(ended, key=lambda t: _rank(t, factors.get(t.number, 1.0)))[:_BEST]
    failed = [t for t in searched if t.state is TrialState.FAILED][-_FAILED:]
    chosen = {*on_front, *(t.number for t in (*best, *failed))}
    # Each host of a fleet has its canaries: the table of hosts says what they tell.
    left_out = {Purpose.SEARCH, *([Purpose.DRIFT] if is_of_fleet(study.trials) else [])}
    return tuple(t for t in study.trials if t.number in chosen or t.purpose not in left_out)


def digested(storage: Storage, name: str | None) -> StudyRecord:
    """A stored study with the load points of the trials that are shown.

    Raises:
        InputError: There is no such study.
    """
    study = storage.study(name, brief=True)
    trials = shown(study, trials_of_front(storage, study))
    return storage.in_full(study, [trial.number for trial in trials])


def _rank(trial: TrialRecord, factor: float) -> tuple[float, float]:
    """The best first: a bound is no capacity, and what is not feasible is near or far from it."""
    feasible = trial.state is TrialState.FEASIBLE
    near_s = trial.unloaded_s if math.isfinite(trial.unloaded_s) else math.inf
    return (-trial.throughput / factor, 0.0) if feasible else (0.0, near_s)


def digest(study: StudyRecord, trials: Sequence[TrialRecord]) -> StudyRecord:
    """The study with the load points of these of its `trials` alone."""
    if len(trials) == len(study.trials):
        return study
    kept = {trial.number for trial in trials}
    return replace(
        study,
        trials=tuple(t if t.number in kept else replace(t, points=()) for t in study.trials),
    )


def about_shown(study: StudyRecord, trials: Sequence[TrialRecord]) -> str:
    """Which trials are left out, and where they are; empty if all are shown."""
    if len(trials) == len(study.trials):
        return ""
    purposes = (
        "the baseline, finals and proof"
        if is_of_fleet(study.trials)
        else "all for another purpose"
    )
    return (
        f"Shown are {len(trials):,} of {len(study.trials):,} trials: the best of the search, the "
        f"last that failed, those of the Pareto front, and {purposes}. "
        f"`tuner status {study.name} --trials` lists them all, "
        f"`tuner studies export {study.name}` writes all load points."
    )

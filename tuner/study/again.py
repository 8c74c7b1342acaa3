"""How a configuration is measured once more: as its study did, with what is known of it."""

from collections.abc import Sequence
from statistics import median

from tuner.capacity.open_search import duration_s
from tuner.capacity.probes import Expected
from tuner.records import Phase, PointRecord, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration

RETRIES = 2
"""A trial that its machine spoiled is run again, up to this many times."""


def expected(study: StudyRecord, configuration: Configuration) -> Expected | None:
    """What the search found of it: a final needs no saturation probe."""
    known = [t for t in study.searched if t.configuration == configuration]
    feasible = [t for t in known if t.state is TrialState.FEASIBLE]
    if not feasible:
        return None
    first = feasible[0]
    return Expected(first.throughput, first.saturation, answer_s(study, first))


def answer_s(study: StudyRecord, trial: TrialRecord) -> float:
    """What an answer took at the trial's best load, where limits are for parts of it; else 0."""
    best = trial.best_point(study.budget)
    known = study.budget.answers and best and best.whole
    return known.percentile(50) if known else 0.0


def stretch(study: StudyRecord, starts: Sequence[TrialRecord]) -> float:
    """How many times as long as usual the load points of these trials lasted.

    Short points flatter a configuration: what is compared with them must be as short.
    """
    shares = [
        point.duration_s
        / duration_s(study.budget, _rate(point), answer_s(study, trial) or trial.unloaded_s)
        for trial in starts
        for point in trial.points
        if point.phase == Phase.SEARCH and not point.stopped_early
    ]
    return median(shares) if shares else 1.0


def _rate(point: PointRecord) -> float:
    return max(1.0, point.load if point.kind == "open" else point.throughput)

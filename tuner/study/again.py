"""How a configuration is measured once more: as its study did, with what is known of it."""

from collections.abc import Sequence
from statistics import median

from tuner.capacity.open_search import duration_s
from tuner.capacity.probes import Expected
from tuner.records import Phase, PointRecord, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration


def expected(study: StudyRecord, configuration: Configuration) -> Expected | None:
    """What the search found of it: a final needs no saturation probe."""
    known = [t for t in study.searched if t.configuration == configuration]
    feasible = [t for t in known if t.state is TrialState.FEASIBLE]
    if not feasible:
        return None
    return Expected(feasible[0].throughput, feasible[0].saturation)


def stretch(study: StudyRecord, starts: Sequence[TrialRecord]) -> float:
    """How many times as long as usual the load points of these trials lasted.

    Short points flatter a configuration: what is compared with them must be as short.
    """
    shares = [
        point.duration_s / duration_s(study.budget, _rate(point), trial.unloaded_s)
        for trial in starts
        for point in trial.points
        if point.phase == Phase.SEARCH and not point.stopped_early
    ]
    return median(shares) if shares else 1.0


def _rate(point: PointRecord) -> float:
    return max(1.0, point.load if point.kind == "open" else point.throughput)

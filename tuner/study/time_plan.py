"""How much a study may cost, and how its time is divided among search and finals (pure)."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tuner.capacity.find import expected_s
from tuner.capacity.probes import POINTS
from tuner.goals import LatencyBudget, SearchBudget
from tuner.records import Phase, Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration

# Why a search ends whose time is spent.
TIME_IS_UP = "the time was used up"
# What a start takes, until the study's own trials say better.
_FIRST_GUESS_START_S = 3.0
# Without a timeout, a study takes this long,
_DEFAULT_TIMEOUT_S = 120.0
# or as long as this many trials if that is more: time for the rules of thumb, and finals that can
# prove a winner.
_DEFAULT_TRIALS = 10
# The finals take no more than this share of all the time.
_FINALS_SHARE = 0.35
# The load points of a final last as long as those of this many trials, the last ones.
_RECENT = 50
# Steps of a trial that a final does not have, or has otherwise: a start, and other load points.
_NOT_AROUND = ("self-check", "apply", "saturation", "search", "proof")
# How many times as long as the search's are the load points of the finals, by the time that there
# is: short ones flatter every configuration by some per cent (benchmarks/README.md).
STRETCHES = (2.0, 1.0, 0.6)
# The same for the baseline in the search: it has to be known well enough to be beaten.
BASELINE_STRETCH = 0.6
ROUNDS_BEFORE_ANY_GOES = 2
"""After so many rounds of finals, who is beaten is not measured any more."""
# A first round of finals begins if this share of its planned time is left: plans are on the safe
# side.
_LEAST_SHARE = 0.5
# If the baseline carries less than this share of the best, even shorter points show by how much:
_FAR_BEHIND = 0.5
_FAR_BEHIND_STRETCH = 0.4


def default_timeout_s(budget: LatencyBudget) -> float:
    """The time that a study has if nobody says how much."""
    return max(_DEFAULT_TIMEOUT_S, _DEFAULT_TRIALS * (expected_s(budget) + _FIRST_GUESS_START_S))


@dataclass(frozen=True)
class FinalsPlan:
    """How many finalists are measured in how many rounds, and how long that takes.

    `stretch` is how many times as long as in the search each load point lasts, `baseline_stretch`
    the same for the baseline. So many `hosts` of a fleet measure at once, each a round of its own.
    """

    finalists: int = 0
    rounds: int = 0
    stretch: float = 1.0
    baseline_stretch: float = 1.0
    duration_s: float = 0.0
    hosts: int = 1

    @property
    def round_s(self) -> float:
        """How long one of the rounds takes."""
        return self.duration_s * min(1.0, self.hosts / self.rounds)

    def stretch_of(self, *, baseline: bool) -> float:
        return self.baseline_stretch if baseline else self.stretch


def finals_plan(
    trials: Sequence[TrialRecord],
    budget: LatencyBudget,
    search_budget: SearchBudget,
    *,
    within_reach: int | None = None,
    hosts: int = 1,
) -> FinalsPlan:
    """The finals that fit into 35 % of all the time: rather fewer finalists than rounds.

    A final is a fresh start and a measurement of which nothing is pruned. Where there is no time
    for both, a search without finals finds more than finals without a search. Of the finalists,
    no more than those `within_reach` of the best are planned, where that is known. So many `hosts`
    of a fleet measure at once.
    """
    limit_s = _FINALS_SHARE * search_budget.timeout_s
    most = search_budget.finalists if within_reach is None else within_reach
    wanted = search_budget.confirmations
    for rounds in dict.fromkeys((wanted, min(wanted, 1))):
        for count in range(min(most, search_budget.finalists), 0, -1):
            for stretch in STRETCHES:
                whole = _finals(trials, budget, count, rounds, stretch)
                plan = replace(whole, duration_s=_shared_s(whole, hosts), hosts=hosts)
                if plan.duration_s <= limit_s:
                    return plan
    return FinalsPlan()


def _finals(
    trials: Sequence[TrialRecord],
    budget: LatencyBudget,
    finalists: int,
    rounds: int,
    stretch: float,
) -> FinalsPlan:
    feasible = [t for t in trials if t.state is TrialState.FEASIBLE]
    best = max((t.throughput for t in feasible), default=0.0)
    baseline, searched = _telling(trials)
    others = searched or baseline
    far_behind = any(t.throughput < _FAR_BEHIND * best for t in baseline)
    baseline_stretch = min(stretch, _FAR_BEHIND_STRETCH) if far_behind else stretch
    around_s = _around_s(feasible)
    each_s = around_s + stretch * _search_s(others, budget)
    baseline_s = around_s + baseline_stretch * _search_s(baseline, budget)
    total_s = rounds * (finalists * each_s + baseline_s)
    return FinalsPlan(finalists, rounds, stretch, baseline_stretch, total_s)


def _shared_s(plan: FinalsPlan, hosts: int) -> float:
    """How long the finals take where so many hosts share them."""
    starts = plan.rounds * (plan.finalists + 1)
    if hosts == 1 or not starts:
        return plan.duration_s
    return plan.duration_s / starts * math.ceil(starts / hosts)


def plan_rests_on(trials: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """The trials whose load points tell how long the finals take."""
    baseline, searched = _telling(trials)
    return (*baseline, *searched)


def _telling(trials: Sequence[TrialRecord]) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """Of those that are feasible: the baseline, and the last ones of the search."""
    feasible = [t for t in trials if t.state is TrialState.FEASIBLE]
    baseline = [t for t in feasible if t.purpose is Purpose.BASELINE]
    return baseline, [t for t in feasible if t.purpose is Purpose.SEARCH][-_RECENT:]


def _around_s(trials: Iterable[TrialRecord]) -> float:
    """What a final takes beside the load points: a start, and the other steps as on average."""
    spent = [trial.timings_s for trial in trials]
    if not spent:
        return _FIRST_GUESS_START_S
    others = [s["total"] - sum(s.get(each, 0.0) for each in _NOT_AROUND) for s in spent]
    return max(s.get("apply", 0.0) for s in spent) + statistics.mean(others)


def _search_s(trials: Iterable[TrialRecord], budget: LatencyBudget) -> float:
    """What the load points of a final take, at their usual length.

    As many as are planned: the search may have taken more to get there.
    """
    lengths = []
    for trial in trials:
        searched = sum(point.phase == Phase.SEARCH for point in trial.points)
        usual = BASELINE_STRETCH if trial.purpose is Purpose.BASELINE else 1.0
        share = min(1.0, POINTS / max(1, searched))
        lengths.append(share * trial.timings_s.get("search", 0.0) / usual)
    return statistics.mean(lengths or [expected_s(budget)])


def limit_reached(
    study: StudyRecord,
    search_budget: SearchBudget,
    left_s: float,
    *,
    running: int = 0,
    reserve_s: float | None = None,
) -> str:
    """Which limit of the search budget allows no further trial; empty if none.

    So many of the search are `running`; the finals take `reserve_s`, where that is known.
    """
    if len(study.searched) + running >= search_budget.trials:
        return f"all {search_budget.trials} trials were run"
    if not study.searched:
        return ""
    spent = [t.timings_s["total"] for t in study.trials]
    if reserve_s is None:
        reserve_s = finals_plan(study.trials, study.budget, search_budget).duration_s
    if statistics.mean(spent) + reserve_s >= left_s:
        return TIME_IS_UP
    return ""


def no_time_for_a_round(
    finals: Sequence[TrialRecord],
    chosen: Sequence[Configuration],
    planned_s: float,
    left_s: float,
) -> bool:
    """Whether a round of `chosen` would end too late, if each takes as long as it did last.

    As long as the others, where it has not ended yet: rounds of a fleet overlap. The first one,
    where no more is left than a share of what was planned.
    """
    last_s = {t.configuration: t.timings_s["total"] for t in finals if t.configuration in chosen}
    if not last_s:
        return _LEAST_SHARE * planned_s > left_s
    return statistics.mean(last_s.values()) * len(chosen) > left_s


def until_proof_s(trials: Sequence[TrialRecord], budget: LatencyBudget) -> float:
    """How long the proof of a claimed load takes before that load: a start, and the warm-up."""
    spent = [trial.timings_s for trial in trials]
    start_s = max((s.get("apply", 0.0) for s in spent), default=_FIRST_GUESS_START_S)
    seen_s = max((s.get("warm-up", 0.0) + s.get("unloaded", 0.0) for s in spent), default=0.0)
    # Limits for parts of answers hardly say how long these take.
    usual_s = 0.0 if budget.answers and seen_s else expected_s(budget, points=1)
    return start_s + max(seen_s, usual_s)


def too_short(budget: LatencyBudget, search_budget: SearchBudget, size: int | None) -> str:
    """A sentence if the time is over before a second configuration was measured; else nothing."""
    each_s = expected_s(budget) + _FIRST_GUESS_START_S
    if search_budget.trials == 1 or size == 1 or search_budget.timeout_s >= 2 * each_s:
        return ""
    return (
        f"the time, {search_budget.timeout_s:.0f} s, is too short: at {budget} a trial takes "
        f"about {each_s:.0f} s; `--timeout {_minutes(_DEFAULT_TRIALS * each_s)}m` is for "
        f"{_DEFAULT_TRIALS} of them"
    )


def no_time_left(
    baseline: TrialRecord, search_budget: SearchBudget, size: int | None, left_s: float
) -> str:
    """A sentence if the time of a study is over with its baseline; else nothing."""
    took_s = baseline.timings_s["total"]
    if left_s >= took_s or search_budget.trials == 1 or size == 1:
        return ""
    return (
        f"the server's defaults took {took_s:.0f} s (one request at a time: "
        f"{baseline.unloaded_s:.3g} s), and {max(left_s, 0.0):.0f} s are left: too short for "
        f"another configuration; `--timeout {_minutes(_DEFAULT_TRIALS * took_s)}m` is for "
        f"{_DEFAULT_TRIALS} of them"
    )


def _minutes(duration_s: float) -> int:
    return math.ceil(duration_s / 60)


def planned_s(budget: LatencyBudget, search_budget: SearchBudget, size: int | None) -> float:
    """Roughly how long a study takes at most, beside its proofs."""
    trials = search_budget.trials if size is None else min(search_budget.trials, size)
    each_s = expected_s(budget) + _FIRST_GUESS_START_S
    return min(search_budget.timeout_s, (trials + search_budget.finals) * each_s)

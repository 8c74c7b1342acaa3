"""What one replica of each configuration that matters carries within a latency budget."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from tuner.analysis.answers import Answer, answer
from tuner.analysis.interpolation import CurveEstimate, EstimateKind
from tuner.analysis.standings import Standing, Standings, carrying, standings
from tuner.goals import LatencyBudget
from tuner.numbers.distributions import Z
from tuner.planning.proved import NOTHING_PROVED, Proved, proved
from tuner.records import Interval, StudyRecord, TrialState
from tuner.space.space import Configuration


class Role(StrEnum):
    """Why a configuration is planned with.

    winner     it is the best within the budget, and not the server's defaults
    baseline   the server's defaults
    front      it has a load point of the Pareto front
    """

    WINNER = "winner"
    BASELINE = "baseline"
    FRONT = "front"


@dataclass(frozen=True, kw_only=True)
class ReplicaCapacity:
    """What a replica carries, in inferences per second; `interval` is None where that is nothing.

    `kind` says how it is known, `starts` on how many starts it was measured; of a study's own
    budget, `confirmed` says whether fresh starts after the search have confirmed it, and `proved`
    what the proofs said of it.
    """

    trial: int
    configuration: Configuration
    kind: EstimateKind
    interval: Interval | None
    starts: int
    confirmed: bool = False
    proved: Proved = NOTHING_PROVED
    role: Role = Role.FRONT


@dataclass(frozen=True)
class Capacities:
    """Those of one study within `budget`: the best one first, then the defaults, then the others.

    `known` is empty where no configuration is known to carry anything; `answer` is what the load
    points say.
    """

    study: StudyRecord
    budget: LatencyBudget
    known: tuple[ReplicaCapacity, ...]
    answer: Answer

    @property
    def best(self) -> ReplicaCapacity | None:
        return self.known[0] if self.known else None


def capacities(study: StudyRecord, budget: LatencyBudget, front: Collection[int]) -> Capacities:
    """The capacities of the winner, the baseline and the configurations of the Pareto front.

    For the study's own budget the winner is the one that it recommends, and its trials say what
    carries how much: what its finals threw out is not planned with. For others load curves say it:
    see `answers`.

    Args:
        study: For another budget than its own with its load points.
        budget: Any percentile and any limit.
        front: The numbers of the trials that have a load point of the front.
    """
    found = answer(study, budget)
    if budget == study.budget:
        result = standings(study)
        best = result.winner.configuration if result.winner else None
        known = _of_trials(study, result)
    else:
        curves = (*found.ranked, *found.infeasible)
        known = {each.trial.configuration: _of_curve(each) for each in curves}
        best = found.best.trial.configuration if found.best else None
    return Capacities(study, budget, _in_order(study, known, best, front), found)


def _of_trials(study: StudyRecord, result: Standings) -> dict[Configuration, ReplicaCapacity]:
    """What carries something, and the defaults if they were measured."""
    told = [*carrying(study), *result.ranked]
    if result.baseline and _was_measured(result.baseline):
        told.append(result.baseline)
    numbers = {trial.configuration: trial.number for trial in reversed(study.trials)}
    return {e.configuration: _of_standing(e, numbers[e.configuration], study) for e in told}


def _was_measured(standing: Standing) -> bool:
    return standing.throughput > 0 or standing.trial.state is not TrialState.FAILED


def _in_order(
    study: StudyRecord,
    known: Mapping[Configuration, ReplicaCapacity],
    best: Configuration | None,
    front: Collection[int],
) -> tuple[ReplicaCapacity, ...]:
    if best is None:
        return ()
    roles = {best: Role.WINNER}
    if study.baseline and study.baseline.configuration in known:
        roles[study.baseline.configuration] = Role.BASELINE
    on_front = {trial.configuration for trial in study.trials if trial.number in front}
    others = [each for each in known.values() if each.configuration in on_front]
    carried = {e.configuration: e.interval.estimate for e in others if e.interval}
    for configuration in sorted(carried, key=carried.__getitem__, reverse=True):
        roles.setdefault(configuration, Role.FRONT)
    return tuple(replace(known[each], role=role) for each, role in roles.items())


def _of_curve(estimate: CurveEstimate) -> ReplicaCapacity:
    carries, error = estimate.throughput, estimate.log_error
    endless = estimate.kind is EstimateKind.AT_LEAST
    interval = Interval(
        carries * math.exp(-Z * error),
        carries,
        math.inf if endless else carries * math.exp(Z * error),
    )
    return ReplicaCapacity(
        trial=estimate.trial.number,
        configuration=estimate.trial.configuration,
        kind=estimate.kind,
        interval=None if estimate.kind is EstimateKind.NONE else interval,
        starts=estimate.starts,
    )


def _of_standing(standing: Standing, trial: int, study: StudyRecord) -> ReplicaCapacity:
    """`trial` is the first one of the configuration."""
    carries = standing.low > 0
    found = proved(study, standing.configuration)
    return ReplicaCapacity(
        trial=trial,
        configuration=standing.configuration,
        kind=EstimateKind.MEASURED if carries else EstimateKind.NONE,
        interval=found.planned_with(standing) if carries else None,
        starts=max(1, standing.confirmations),
        confirmed=standing.confirmations > 0,
        proved=found,
    )

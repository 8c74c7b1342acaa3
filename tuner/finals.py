"""Who won: the finalists of a search, and what their fresh starts confirm (pure)."""

import math
from dataclasses import dataclass

from tuner.records import NOT_ITS_FAULT, Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space import Configuration

# Fresh starts of one configuration differ more than the requests within one start tell. A few
# starts cannot say by how much; on two shared cores it was about 5 % (standard deviation).
_START_LOG_ERROR = 0.05
_Z = 1.96


@dataclass(frozen=True)
class Ratio:
    """A ratio of two throughputs with its 95 % interval."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True)
class Standing:
    """What is known of one configuration.

    `throughput` is its capacity in inferences per second: the geometric mean over `confirmations`
    fresh starts, or the search's own figure where there is none. `trial` is the one whose load
    points show its latencies: the median start.
    """

    configuration: Configuration
    throughput: float
    log_error: float
    confirmations: int
    trial: TrialRecord

    def over(self, other: "Standing") -> Ratio:
        """This throughput over the other's; both must carry something."""
        estimate = self.throughput / other.throughput
        error = _Z * math.hypot(self.log_error, other.log_error)
        return Ratio(estimate * math.exp(-error), estimate, estimate * math.exp(error))


@dataclass(frozen=True)
class Standings:
    """The result of a study: `ranked` are its feasible finalists, the best first.

    Without finals (a study that was cut short) it is the search's own ranking. `baseline` is None
    until it was measured; its throughput is 0 where it meets the budget under no load.
    """

    baseline: Standing | None
    ranked: tuple[Standing, ...]

    @property
    def winner(self) -> Standing | None:
        return self.ranked[0] if self.ranked else None

    @property
    def gain(self) -> Ratio | None:
        """The winner over the baseline; None without either, or if the baseline is infeasible."""
        if self.winner is None or self.baseline is None or self.baseline.throughput == 0:
            return None
        return self.winner.over(self.baseline)

    @property
    def tied(self) -> tuple[Standing, ...]:
        """Those whose difference to the winner is within its uncertainty."""
        winner = self.winner
        return tuple(s for s in self.ranked[1:] if winner and winner.over(s).low <= 1.0)


def finalists(study: StudyRecord, count: int) -> tuple[Configuration, ...]:
    """The `count` best configurations of the search, then the baseline if it is not among them."""
    feasible = [t for t in study.searched if t.state is TrialState.FEASIBLE]
    feasible.sort(key=lambda t: t.throughput, reverse=True)
    chosen = dict.fromkeys(t.configuration for t in feasible)
    best = list(chosen)[:count]
    baseline = study.baseline
    if best and baseline is not None and baseline.state is not TrialState.FAILED:
        best.append(baseline.configuration)
    return tuple(dict.fromkeys(best))


def standings(study: StudyRecord) -> Standings:
    """What the finals confirm, or the search's own ranking where they confirm nothing."""
    feasible = [t.configuration for t in study.searched if t.state is TrialState.FEASIBLE]
    known = [_standing(study, configuration) for configuration in dict.fromkeys(feasible)]
    carrying = [s for s in known if s.throughput > 0]
    confirmed = [s for s in carrying if s.confirmations]
    baseline = study.baseline
    return Standings(
        baseline=_standing(study, baseline.configuration) if baseline else None,
        ranked=tuple(sorted(confirmed or carrying, key=lambda s: (-s.throughput, s.trial.number))),
    )


def nearest(study: StudyRecord) -> TrialRecord | None:
    """Where nothing is feasible: the trial whose unloaded latency comes closest to the budget."""
    measured = [t for t in study.searched if math.isfinite(t.unloaded_s)]
    return min(measured, key=lambda t: t.unloaded_s, default=None)


def _standing(study: StudyRecord, configuration: Configuration) -> Standing:
    trials = [t for t in study.trials if t.configuration == configuration]
    # What the tuner itself spoiled says nothing of the configuration.
    telling = [t for t in trials if t.reason not in NOT_ITS_FAULT] or trials
    finals = [t for t in telling if t.purpose is Purpose.FINAL]
    rested_on = sorted(finals or telling[:1], key=lambda t: t.throughput)
    trial = rested_on[len(rested_on) // 2]
    if any(t.state is not TrialState.FEASIBLE for t in rested_on):
        return Standing(configuration, 0.0, math.inf, len(finals), trial)
    logs = [math.log(t.throughput) for t in rested_on]
    own = math.sqrt(sum(t.log_error**2 for t in rested_on)) / len(rested_on)
    error = math.hypot(own, _START_LOG_ERROR / math.sqrt(len(rested_on)))
    return Standing(configuration, math.exp(sum(logs) / len(logs)), error, len(finals), trial)

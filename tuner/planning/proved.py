"""What the proofs of a configuration say of its capacity, and what it is planned with (pure)."""

import math
from dataclasses import dataclass

from tuner.analysis.hosts import is_of_fleet, speeds
from tuner.analysis.standings import Standing
from tuner.capacity.proof import LoadVerdict
from tuner.records import Interval, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration


@dataclass(frozen=True)
class Proved:
    """Loads of one configuration, in inferences per second as on the first host.

    `over` is the lowest that was found over the latency budget, infinite if none was; `within` the
    highest below it that was proved to be within the budget, 0 if none was.
    """

    within: float = 0.0
    over: float = math.inf

    @property
    def contradicts(self) -> bool:
        """Whether the configuration carries less than its finals said."""
        return math.isfinite(self.over)

    def planned_with(self, standing: Standing) -> Interval:
        """What its finals said, or what was proved where a load of that was found over."""
        if self.contradicts and self.within:
            return Interval(self.within, self.within, self.over)
        low, estimate, high = standing.low, standing.throughput, standing.high
        return Interval(min(low, self.over), min(estimate, self.over), min(high, self.over))


NOTHING_PROVED = Proved()


def proofs_of(study: StudyRecord, configuration: Configuration) -> tuple[TrialRecord, ...]:
    """Those of a configuration, in order: a study that went on may have proved others before."""
    return tuple(t for t in study.proofs if t.configuration == configuration)


def proved(study: StudyRecord, configuration: Configuration) -> Proved:
    """What the proofs in a study say of a configuration."""
    proofs = [t for t in proofs_of(study, configuration) if t.state is not TrialState.FAILED]
    if not proofs:
        return NOTHING_PROVED
    factors = speeds(study.trials).factors(proofs) if is_of_fleet(study.trials) else {}
    loads = [(trial.proof, trial.throughput / factors.get(trial.number, 1.0)) for trial in proofs]
    over = min((load for proof, load in loads if proof == LoadVerdict.OVER), default=math.inf)
    within = [load for proof, load in loads if proof == LoadVerdict.WITHIN and load < over]
    return Proved(max(within, default=0.0), over)

"""What a study tried, for the standings: the trials of each configuration that count (pure)."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tuner.analysis import drift
from tuner.analysis.comparison import Start
from tuner.analysis.hosts import is_of_fleet, speeds
from tuner.analysis.one_host import as_on_one_host
from tuner.records import NOT_ITS_FAULT, Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration

# The baseline's repeats look for drift, a proof is of a load: neither counts as a start.
_COUNTED = (Purpose.BASELINE, Purpose.SEARCH, Purpose.FINAL)


@dataclass(frozen=True)
class Placed:
    """Which host of a fleet measured a trial: its own error, and that of the host's factor."""

    host: str
    log_error: float
    factor_error: float


@dataclass(frozen=True)
class Tried:
    """The trials that count, by configuration, as if the first host had measured them all.

    Trials of one host share the error of its factor: `placed` has it by their numbers, and
    nothing without a fleet.
    """

    trials: Mapping[Configuration, Sequence[TrialRecord]]
    placed: Mapping[int, Placed] = field(default_factory=dict)

    def log_error(self, trial: TrialRecord) -> float:
        """What it leaves open itself, whatever its host."""
        place = self.placed.get(trial.number)
        return place.log_error if place else trial.log_error

    def shared_error(self, trials: Sequence[TrialRecord]) -> float:
        """What the hosts' factors leave open of the mean of `trials`; 0 without a fleet."""
        places = [self.placed[each.number] for each in trials if each.number in self.placed]
        counts = Counter(each.host for each in places)
        errors = {each.host: each.factor_error for each in places}
        return math.hypot(*(n * errors[host] / len(trials) for host, n in counts.items()))

    def telling(self, configuration: Configuration) -> Sequence[TrialRecord]:
        """What its standing rests on: the finals, else the trials of the search."""
        trials = self.trials[configuration]
        # What the tuner itself spoiled says nothing of the configuration.
        own = [t for t in trials if t.reason not in NOT_ITS_FAULT] or trials
        finals = [t for t in own if t.purpose is Purpose.FINAL]
        # Of a repeat that was pruned only a bound is known.
        return finals or [t for t in own if t.state is not TrialState.PRUNED] or own

    def starts(self, finalists: Sequence[Configuration]) -> list[Start]:
        """Those of the finals; each finalist by its place among `finalists`."""
        return [
            self._start(number, trial)
            for number, configuration in enumerate(finalists)
            for trial in self.telling(configuration)
        ]

    def _start(self, number: int, trial: TrialRecord) -> Start:
        place = self.placed.get(trial.number, Placed("", trial.log_error, 0.0))
        value = math.log(trial.throughput)
        return Start(number, trial.round, value, place.log_error, place.host, place.factor_error)


def tried(study: StudyRecord) -> Tried:
    """What `study` tried, as it was measured: nothing may have been taken off before."""
    by_configuration: dict[Configuration, list[TrialRecord]] = {}
    found = speeds(study.trials) if is_of_fleet(study.trials) else None
    for trial in as_on_one_host(study, found).trials:
        if trial.purpose in _COUNTED:
            by_configuration.setdefault(trial.configuration, []).append(trial)
    if found is None:
        return Tried(by_configuration)
    placed = {
        trial.number: Placed(
            trial.host, trial.log_error, found.log_error(drift.middle(trial), trial.host)
        )
        for trial in study.trials
    }
    return Tried(by_configuration, placed)

"""Who won: the finalists of a search, and what their fresh starts prove (pure)."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import stdev
from typing import Self

from tuner.analysis import comparison
from tuner.analysis.comparison import LEVEL, START_LOG_ERROR, Estimate
from tuner.analysis.tried import Tried, tried
from tuner.numbers.distributions import Z
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration

# This many starts tell how much they scatter.
_STARTS_FOR_SCATTER = 3
# A proof takes this many rounds of finals that had both configurations.
_ROUNDS_FOR_PROOF = 3
# What a tie leaves open may be a real difference: for something cheaper or simpler, no more than
# this share of the throughput that was measured is given up (and never so much that the baseline
# measured more);
MOST_GIVEN_UP = 0.02
# to keep the baseline, no more than this share.
_MOST_GIVEN_UP_TO_KEEP = 0.10


@dataclass(frozen=True)
class Ratio:
    """A ratio of two throughputs with its 95 % interval.

    `p_value` is how often chance alone would take it as far from 1; among finalists it is
    corrected for the number of comparisons. `proved` also takes three rounds of finals.
    """

    low: float
    estimate: float
    high: float
    p_value: float = 1.0
    proved: bool = False

    @classmethod
    def of(cls, difference: Estimate, p_value: float) -> Self:
        low, estimate, high = (
            math.exp(difference.value + side * difference.margin) for side in (-1, 0, 1)
        )
        proved = p_value <= LEVEL and difference.rounds >= _ROUNDS_FOR_PROOF
        return cls(low, estimate, high, p_value, proved)

    @property
    def decided(self) -> bool:
        """Whether it is farther from 1 than its uncertainty; that alone is no proof."""
        return self.p_value <= LEVEL


@dataclass(frozen=True)
class Standing:
    """What is known of one configuration.

    `throughput` is its capacity in inferences per second: the geometric mean over `confirmations`
    fresh starts, or the search's own figure where there is none. `log_error` is the standard error
    of its logarithm, widened for few starts so that 1.96 of it are the 95 % interval all the same.
    `trial` is the one whose load points show its latencies: the median start.
    """

    configuration: Configuration
    throughput: float
    log_error: float
    confirmations: int
    trial: TrialRecord

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval of the throughput."""
        return self.throughput * math.exp(-Z * self.log_error)

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval of the throughput; 0 where that is 0."""
        return self.throughput * math.exp(Z * self.log_error) if self.throughput else 0.0

    def over(self, other: "Standing") -> Ratio:
        """This throughput over the other's; both must carry something."""
        difference = self.minus(other)
        return Ratio.of(difference, difference.p_value)

    def minus(self, other: "Standing") -> Estimate:
        """The logarithm of `over`, as if the two had been measured apart."""
        return Estimate(
            math.log(self.throughput / other.throughput),
            math.hypot(self.log_error, other.log_error),
        )


class Cost(StrEnum):
    """What a configuration takes, the most important first.

    memory      the most resident memory that the server's processes had, bytes
    cpu         processor time of the server for each inference, seconds
    instances   copies of the model
    changes     parameters that differ from the baseline's
    """

    MEMORY = "memory"
    CPU = "cpu"
    INSTANCES = "instances"
    CHANGES = "changes"

    @property
    def tolerance(self) -> float:
        """The share by which two may differ and still count as the same."""
        return 0.1 if self in (Cost.MEMORY, Cost.CPU) else 0.0


@dataclass(frozen=True)
class Advantage:
    """Why another than the fastest is recommended: of `cost` it takes `own`, not `fastest`."""

    cost: Cost
    own: float
    fastest: float


@dataclass(frozen=True)
class Standings:
    """The result of a study: `ranked` are its feasible finalists, the highest throughput first.

    Without finals (a study that was cut short) it is the search's own ranking. `baseline` is None
    until it was measured; its throughput is 0 where it meets the budget under no load. `leads` are
    the ratios of the first in `ranked` over each of the others. `winner` is the one to
    deploy; `advantage` says why it is not the fastest, unless it is or is the baseline. `gain` is
    its ratio over the baseline; None without either, or if the baseline is infeasible.
    """

    baseline: Standing | None = None
    ranked: tuple[Standing, ...] = ()
    leads: tuple[Ratio, ...] = ()
    winner: Standing | None = None
    advantage: Advantage | None = None
    gain: Ratio | None = None

    @property
    def fastest(self) -> Standing | None:
        return self.ranked[0] if self.ranked else None

    @property
    def tied(self) -> tuple[Standing, ...]:
        """The others of which no one knows who is best: the fastest does not surely beat them."""
        candidates = _undecided(self.ranked, self.leads)
        return tuple(s for s in candidates if s is not self.winner)


def within_reach(study: StudyRecord) -> tuple[Configuration, ...]:
    """What the search has not shown to carry less than its best, the best first."""
    ranked = _ranked(_searched(study))
    return tuple(s.configuration for s in ranked if s.high >= ranked[0].low)


def finalists(study: StudyRecord, count: int) -> tuple[Configuration, ...]:
    """The baseline, and the `count` best configurations of the search or all within reach."""
    chosen = list(within_reach(study)[:count])
    first = study.baseline
    if chosen and first is not None and first.state is not TrialState.FAILED:
        chosen.append(first.configuration)
    return tuple(dict.fromkeys(chosen))


def in_the_race(
    study: StudyRecord, chosen: Sequence[Configuration], rounds: int
) -> tuple[Configuration, ...]:
    """Those of the finalists `chosen` that may still be the best, and the baseline.

    One that failed a start is out, and one that is beaten at the level divided by `rounds`, since
    it is asked that often (Bonferroni). One start each shows nothing of their scatter: ask after
    two rounds.
    """
    found = standings(study)
    if not any(s.confirmations for s in found.ranked):
        return tuple(chosen)
    behind = zip(found.ranked[1:], found.leads, strict=True)
    beaten = {s.configuration for s, lead in behind if lead.p_value <= LEVEL / rounds}
    carrying = {s.configuration for s in _ranked(tried(study))}
    stay = carrying - beaten
    if study.baseline:
        stay.add(study.baseline.configuration)
    return tuple(each for each in chosen if each in stay)


def standings(study: StudyRecord) -> Standings:
    """What the finals confirm, or the search's own ranking where they confirm nothing.

    Where the finals leave a tie, the simplest or cheapest of the tied is recommended: the
    baseline, if it measured within 10 % of the fastest; else, of those that measured within 2 %
    of it, the one with the lowest costs (`Cost`), then the fastest.
    """
    found = tried(study)
    carrying = _ranked(found)
    confirmed = _confirmed(carrying, found) if _began(study) else ()
    ranked = confirmed or carrying
    baseline = _baseline(study, ranked, found)
    if not ranked:
        return Standings(baseline)
    ratios = _compared(confirmed, found) if confirmed else {}

    def over(one: Standing, other: Standing) -> Ratio:
        return ratios.get((one.configuration, other.configuration)) or one.over(other)

    leads = tuple(over(ranked[0], other) for other in ranked[1:])
    # Without fresh starts a tie is no reason to give up what the search measured.
    candidates = _undecided(ranked, leads) if confirmed else ranked[:1]
    winner, advantage = _recommended(candidates, baseline)
    gain = over(winner, baseline) if baseline and baseline.throughput > 0 else None
    return Standings(baseline, ranked, leads, winner, advantage, gain)


def carrying(study: StudyRecord) -> tuple[Standing, ...]:
    """Every configuration that carries something within the budget, the best first."""
    return _ranked(tried(study))


def rests_on(study: StudyRecord, configuration: Configuration) -> Sequence[TrialRecord]:
    """The trials that the standing of a configuration rests on."""
    return tried(study).telling(configuration)


def _began(study: StudyRecord) -> bool:
    """Whether the finals had the best of the search: those who came before it prove nothing."""
    best = finalists(study, 1)[:1] if study.finals else ()
    return any(t.configuration in best for t in study.finals)


def _searched(study: StudyRecord) -> Tried:
    """What the search alone tried, at the factors that all canaries tell."""
    found = tried(study)
    own = (Purpose.BASELINE, Purpose.SEARCH)
    of_search = {c: [t for t in trials if t.purpose in own] for c, trials in found.trials.items()}
    return replace(found, trials={c: trials for c, trials in of_search.items() if trials})


def _ranked(found: Tried) -> tuple[Standing, ...]:
    """Those that carry something within the budget, the highest throughput first."""
    return _sorted([s for each in found.trials if (s := _standing(each, found)).throughput > 0])


def _sorted(carrying: Sequence[Standing]) -> tuple[Standing, ...]:
    return tuple(sorted(carrying, key=lambda s: (-s.throughput, s.trial.number)))


def _confirmed(carrying: Sequence[Standing], found: Tried) -> tuple[Standing, ...]:
    """Those with fresh starts; where some missed a round, what they carry in the average one."""
    again = [s for s in carrying if s.confirmations]
    starts = found.starts([each.configuration for each in again])
    means = comparison.adjusted_means(starts) if again else {}
    return _sorted(
        [replace(s, throughput=math.exp(means[n])) if means else s for n, s in enumerate(again)]
    )


def _baseline(study: StudyRecord, ranked: Sequence[Standing], found: Tried) -> Standing | None:
    if study.baseline is None:
        return None
    configuration = study.baseline.configuration
    among = (s for s in ranked if s.configuration == configuration)
    return next(among, None) or _standing(configuration, found)


def _standing(configuration: Configuration, found: Tried) -> Standing:
    rests_on = sorted(found.telling(configuration), key=lambda t: t.throughput)
    confirmations = sum(t.purpose is Purpose.FINAL for t in rests_on)
    trial = rests_on[len(rests_on) // 2]
    if any(t.state is not TrialState.FEASIBLE for t in rests_on):
        return Standing(configuration, 0.0, math.inf, confirmations, trial)
    logs = [math.log(t.throughput) for t in rests_on]
    errors = [found.log_error(t) for t in rests_on]
    shared = found.shared_error(rests_on)
    if confirmations >= _STARTS_FOR_SCATTER:
        estimate = comparison.mean(logs, errors, shared)
    else:
        scatter = max(START_LOG_ERROR, stdev(logs) if len(logs) > 1 else 0.0)
        whole = [math.hypot(error, scatter) for error in errors]
        estimate = comparison.weighted_mean(logs, whole, shared)
    return Standing(
        configuration, math.exp(estimate.value), estimate.margin / Z, confirmations, trial
    )


def _compared(
    confirmed: Sequence[Standing], tried_in_finals: Tried
) -> dict[tuple[Configuration, Configuration], Ratio]:
    """Each finalist over each of those behind it.

    The p-values are Holm's over all pairs, not only over those with the fastest: which one that is
    the same measurements have decided, and the best of several equals looks better than it is.
    """
    pairs = list(itertools.combinations(range(len(confirmed)), 2))
    starts = tried_in_finals.starts([each.configuration for each in confirmed])
    by_rounds = {
        pair: difference
        for pair, difference in comparison.differences(starts).items()
        if difference.rounds >= _ROUNDS_FOR_PROOF
    }
    found = [by_rounds.get((a, b)) or confirmed[a].minus(confirmed[b]) for a, b in pairs]
    p_values = comparison.holm([difference.p_value for difference in found])
    ratios = {}
    for (a, b), difference, p_value in zip(pairs, found, p_values, strict=True):
        pair = confirmed[a].configuration, confirmed[b].configuration
        ratios[pair] = Ratio.of(difference, p_value)
    return ratios


def _undecided(ranked: tuple[Standing, ...], leads: Sequence[Ratio]) -> tuple[Standing, ...]:
    """The fastest, and those that it does not surely beat."""
    behind = zip(ranked[1:], leads, strict=True)
    return ranked[:1] + tuple(s for s, lead in behind if not lead.decided)


def _recommended(
    candidates: Sequence[Standing], baseline: Standing | None
) -> tuple[Standing, Advantage | None]:
    """One of `candidates`, of which the first is the fastest, and why it is not that one."""
    default = baseline.configuration if baseline else None
    fastest = candidates[0]
    enough = (1 - _MOST_GIVEN_UP_TO_KEEP) * fastest.throughput
    for each in candidates:
        if each.configuration == default and each.throughput >= enough:
            return each, None
    floor = baseline.throughput if baseline else 0.0
    least = max((1 - MOST_GIVEN_UP) * fastest.throughput, floor)
    near = [fastest, *(each for each in candidates[1:] if each.throughput >= least)]
    cheapest, decisive = _cheapest(near, default)
    if decisive is None:
        return fastest, None
    own, instead = (_takes(each, decisive, default) for each in (cheapest, fastest))
    return cheapest, Advantage(decisive, own, instead)


def _cheapest(
    candidates: Sequence[Standing], default: Configuration | None
) -> tuple[Standing, Cost | None]:
    """Each cost leaves those that take the least of it; also by which one the first one falls."""
    left, decisive = candidates, None
    for cost in Cost:
        takes = [_takes(each, cost, default) for each in left]
        if not all(map(math.isfinite, takes)):
            continue
        most = (1 + cost.tolerance) * min(takes)
        if decisive is None and takes[0] > most:
            decisive = cost
        left = [each for each, taken in zip(left, takes, strict=True) if taken <= most]
    return left[0], decisive


def _takes(standing: Standing, cost: Cost, default: Configuration | None) -> float:
    """NaN where it is not known."""
    own = standing.configuration
    match cost:
        case Cost.MEMORY:
            return standing.trial.usage.memory_bytes
        case Cost.CPU:
            return standing.trial.usage.cpu_s
        case Cost.INSTANCES:
            # A model that is made of parts has instances of each: `encoder.instance_count`.
            counts = [v for n, v in own.items() if n.split(".")[-1] == "instance_count"]
            whole = [count for count in counts if isinstance(count, int)]
            return sum(whole) if whole else math.nan
        case Cost.CHANGES:
            if default is None:
                return math.nan
            return sum(own.get(n) != default.get(n) for n in own.keys() | default.keys())

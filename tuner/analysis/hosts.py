"""How fast each host of a fleet is: its own runs of the baseline tell, as with drift (pure).

Hosts are not equal. In five machine rooms GPUs of one kind varied by 8 % in the mean and by 22 %
at most, and single ones took 1.5 times as long as the median (Sinha et al., Not All GPUs Are
Created Equal, SC 2022, arXiv:2208.11035). So the baseline is measured on each host when it joins,
as a canary, and then again and again, and what a host measures is divided by the host's factor:
its speed over that of the first host.

A factor from one canary is itself uncertain. As configurations are chosen for what they carry, the
best one tends to be from a host whose factor came out too low. So factors are drawn towards the
mean of the fleet, the more so the fewer canaries a host has and the less hosts differ (empirical
Bayes: Robinson, That BLUP Is a Good Thing, Statistical Science 6, 1991; Efron, Tweedie's Formula
and Selection Bias, JASA 106, 2011), but never by more than a standard error, so that one slow host
among many equal ones is not taken for an equal (Efron and Morris, JASA 67, 1972), and not at all
where a difference is proved. What stays uncertain of a factor goes into the error of each
throughput that is divided by it.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import NormalDist

import numpy as np

from tuner.analysis import drift
from tuner.analysis.centre import CANARIES_TO_PUT_ASIDE, Centre
from tuner.analysis.drift import Drift
from tuner.analysis.stretches import (
    USUAL_LOG_SPREAD,
    Stretch,
    block,
    population,
    stretches_of,
)
from tuner.records import NOT_ITS_FAULT, Purpose, TrialRecord, TrialState
from tuner.space.space import Configuration

# A host that is slower than the others by more than this share is another machine: one factor for
# all configurations does not hold there. So it is for drift; and no two of Sinha's GPUs of a kind
# that were in order differed by more than 22 %.
LARGEST_DIFFERENCE = 0.25
# Less than this share is no difference that anybody need know of, as for drift.
_SMALLEST_DIFFERENCE = 0.05
# A host that seems unequal has so many canaries at once: much depends on its factor, and of single
# canaries those that are off by chance stand out.
_CANARIES_OF_UNEQUAL = 3
# A canary that failed is run once more before its host is put aside.
_FAILURES_TO_PUT_ASIDE = 2
# How often chance may make a host seem unequal in a study whose hosts are all equal.
_CHANCE = 0.03
# A corrected bound that is above the best by less than this share is no reason to measure again:
# each canary moves the factors a little.
_MARGIN_OF_BOUNDS = 0.05
# Configurations of a host that are measured again where its factor is not to be trusted.
_BEST_OF_HOST = 3
# The baseline in the finals is none: its start there would tell the factor that is taken off it.
_CANARIES = (Purpose.BASELINE, Purpose.DRIFT)
_MEASURED_ANYWHERE = (Purpose.BASELINE, Purpose.SEARCH, Purpose.DRIFT, Purpose.FINAL)


@dataclass(frozen=True)
class HostSpeed:
    """A host: `drift` has its speed over that of the first host, in blocks of one speed.

    `canaries` counts the runs of the baseline that told something, `present` those at the speed
    that it has now, `failures` how many of the last ones failed. `off` is the logarithm of its
    present speed over that of the others, as measured; `differs` is whether that is more than
    chance explains, and more than the 5 % that matter, and `is_other` whether it is too much.
    """

    name: str
    drift: Drift = field(default_factory=Drift)
    canaries: int = 0
    present: int = 0
    failures: int = 0
    off: float = 0.0
    differs: bool = False
    is_other: bool = False

    @property
    def log_speed(self) -> float:
        """The logarithm of its present factor."""
        return self.drift.blocks[-1].log_speed if self.drift.blocks else 0.0

    @property
    def log_error(self) -> float:
        """The standard error of `log_speed`; infinite where no canary told anything."""
        return self.drift.blocks[-1].log_error if self.drift.blocks else math.inf

    @property
    def fails(self) -> bool:
        return self.failures >= _FAILURES_TO_PUT_ASIDE

    @property
    def is_surely_other(self) -> bool:
        return self.is_other and self.present >= CANARIES_TO_PUT_ASIDE

    @property
    def seems_unequal(self) -> bool:
        """Whether it is to be made sure that it is: another machine has been told by now."""
        return self.differs and not self.is_surely_other

    def was_other(self, trial: TrialRecord) -> bool:
        """Whether it is another machine, and was one already when it measured `trial`."""
        return self.is_surely_other and self.drift.block(trial) is self.drift.blocks[-1]


@dataclass(frozen=True)
class Speeds:
    """The speed of each host over a study; of this machine alone (`""`) where there is no fleet.

    The first of `hosts` is the one that measured the study's baseline: its speed at the beginning
    is 1. Factors change only when the baseline was measured once more. A host without a canary
    counts as the fleet's mean, `unknown`, with the error `spread`.
    """

    hosts: Mapping[str, HostSpeed] = field(default_factory=dict)
    unknown: float = 0.0
    spread: float = 0.0

    @property
    def fleet(self) -> bool:
        """Whether there are several hosts, whose differences are taken off."""
        return len(self.hosts) > 1

    @property
    def unequal(self) -> tuple[HostSpeed, ...]:
        """Those that are surely slower or faster than the others."""
        return tuple(each for each in self.hosts.values() if each.differs)

    @property
    def aside(self) -> Mapping[str, HostSpeed]:
        """Hosts that are to measure nothing more: other machines, or the defaults fail there."""
        return {
            name: host
            for name, host in self.hosts.items()
            if host.is_surely_other or self._alone_fails(host)
        }

    def beside(self, host: str) -> str:
        """What `host` is compared with, in words."""
        others = [name for name in self.hosts if name != host]
        return others[0] if len(others) == 1 else "the other hosts"

    def factor(self, moment: datetime, host: str = "") -> float:
        """The speed of `host` at `moment` over that of the first one: 0.92 is 8 % slower."""
        known = self._drift(host)
        return known.factor(moment) if known else math.exp(self.unknown)

    def log_error(self, moment: datetime, host: str = "") -> float:
        """The standard error of the logarithm of the factor, beside those of other hosts."""
        known = self._drift(host)
        return known.log_error(moment) if known else self.spread

    def factors(self, trials: Sequence[TrialRecord]) -> dict[int, float]:
        """The factor while each of `trials` was measured, by its number."""
        return {each.number: self.factor(drift.middle(each), each.host) for each in trials}

    def corrected(self, trials: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
        """`trials` as if the first host had measured all of them, at its first speed.

        Throughputs are divided by the factors, and their errors include those of the factors.
        What a host measured that is another machine is left out where another host measured the
        same. Corrected trials have no host: nothing is to be taken off twice.
        """
        if not self.fleet:
            return self._only.corrected(trials)
        doubtful = self._doubtful(trials)
        elsewhere = {
            _what(each)
            for each in trials
            if each.number not in doubtful and each.reason not in NOT_ITS_FAULT
        }
        return tuple(
            self._corrected(trial) if trial.purpose in _MEASURED_ANYWHERE else trial
            for trial in trials
            if trial.number not in doubtful or _what(trial) not in elsewhere
        )

    def best(self, trials: Sequence[TrialRecord]) -> TrialRecord | None:
        """That of a fleet's `trials` with the highest throughput, as on the first host.

        What another machine measured is left out: it is measured again.
        """
        doubtful, factors = self._doubtful(trials), self.factors(trials)
        known = (each for each in trials if each.number not in doubtful)
        best = max(known, key=lambda t: t.throughput / factors[t.number], default=None)
        return best and self._corrected(best)

    def to_repeat(self, trials: Sequence[TrialRecord]) -> tuple[int, ...]:
        """The numbers of trials to be measured again, since their rank rests on a wrong speed.

        That is the best ones that a host measured which is another machine, and those that were
        stopped as beaten, but are not, once their bounds are corrected.
        """
        if not self.fleet:
            return self._only.repeat
        searched = [each for each in trials if each.purpose is Purpose.SEARCH]
        last = {each.configuration: each.number for each in searched}
        factors, doubtful = self.factors(searched), self._doubtful(searched)
        worth = {each.number: each.throughput / factors[each.number] for each in searched}
        feasible = [each.number for each in searched if each.state is TrialState.FEASIBLE]
        best = max((worth[number] for number in feasible if number not in doubtful), default=0.0)
        wrong = doubtful & set(feasible) | {
            each.number
            for each in searched
            if each.state is TrialState.PRUNED
            and worth[each.number] > best * (1 + _MARGIN_OF_BOUNDS)
        }
        of_hosts = defaultdict(list)
        for trial in sorted(searched, key=lambda each: -worth[each.number]):
            if trial.number in wrong:
                of_hosts[trial.host].append(trial)
        chosen = [each for trials in of_hosts.values() for each in trials[:_BEST_OF_HOST]]
        return tuple(sorted(t.number for t in chosen if last[t.configuration] == t.number))

    def due(self, host: str, trials: Sequence[TrialRecord], now: datetime | None = None) -> bool:
        """Whether `host` should run the baseline before anything else.

        When too little is known of it; else as `drift.due` says for a machine alone.
        """
        own = [each for each in trials if each.host == host]
        attempts = _canaries(own)
        if self._is_unknown(host, attempts):
            return _failures(attempts) < _FAILURES_TO_PUT_ASIDE
        first = next(each for each in attempts if each.state is not TrialState.FAILED)
        return drift.due(own[own.index(first) :], now)

    def lacks(self, host: str, trials: Sequence[TrialRecord]) -> bool:
        """Whether too little is known of `host`, and canaries may tell more.

        That is when it joins; where it seems unequal, until it has three canaries, or two that put
        it aside. Of two hosts that is so of both: nobody says which of them is off.
        """
        attempts = _canaries([each for each in trials if each.host == host])
        unknown = self._is_unknown(host, attempts)
        return unknown and _failures(attempts) < _FAILURES_TO_PUT_ASIDE

    @property
    def _only(self) -> Drift:
        return next(iter(self.hosts.values())).drift if self.hosts else Drift()

    def _drift(self, host: str) -> Drift | None:
        """None where no canary told anything."""
        if not self.fleet:
            return self._only
        known = self.hosts.get(host)
        return known.drift if known and known.drift.blocks else None

    def _corrected(self, trial: TrialRecord) -> TrialRecord:
        moment = drift.middle(trial)
        factor = self.factor(moment, trial.host)
        return replace(
            trial,
            throughput=trial.throughput / factor,
            saturation=trial.saturation / factor,
            log_error=math.hypot(trial.log_error, self.log_error(moment, trial.host)),
            host="",
        )

    def _doubtful(self, trials: Sequence[TrialRecord]) -> set[int]:
        """The numbers of those that a host measured while it was another machine."""
        others = {name: each for name, each in self.hosts.items() if each.is_surely_other}
        return {
            each.number
            for each in trials
            if each.host in others and others[each.host].was_other(each)
        }

    def _is_unknown(self, host: str, attempts: Sequence[TrialRecord]) -> bool:
        known = self.hosts.get(host, HostSpeed(host))
        compared = self.hosts.values() if len(self.hosts) == 2 else (known,)
        few = known.present < _CANARIES_OF_UNEQUAL
        doubtful = few and any(each.seems_unequal for each in compared)
        return doubtful or _failures(attempts) == len(attempts)

    def _alone_fails(self, host: HostSpeed) -> bool:
        others = (each for each in self.hosts.values() if each is not host)
        return host.fails and any(each.canaries for each in others)


def is_of_fleet(trials: Sequence[TrialRecord]) -> bool:
    """Whether several hosts measured `trials`: their factors are to be taken off.

    A study on a fleet (`StudyRecord.on_fleet`) of which one host measured all is none of these.
    """
    return len({each.host for each in trials}) > 1


def speeds(trials: Sequence[TrialRecord]) -> Speeds:
    """How fast the hosts were that measured `trials`, in their order."""
    first = [each.host for each in trials if each.purpose is Purpose.BASELINE]
    names = list(dict.fromkeys([*first, *(each.host for each in trials)]))
    if len(names) < 2:
        own = HostSpeed(names[0] if names else "", drift.drift(trials))
        return Speeds({own.name: own})
    canaries = _canaries(trials)
    attempts = _by_host(canaries)
    failures = {name: _failures(attempts.get(name, [])) for name in names}
    repeats = drift.telling(canaries)
    if not repeats:
        failed = {name: HostSpeed(name, failures=failures[name]) for name in names}
        return Speeds(failed, spread=USUAL_LOG_SPREAD)
    log_speeds = dict(zip((r.number for r in repeats), drift.log_speeds(repeats), strict=True))
    known = {
        name: (own, np.array([log_speeds[each.number] for each in own]))
        for name, own in _by_host(repeats).items()
    }
    error = drift.repeat_error([found for _, found in known.values()], repeats)
    stretches = {
        name: list(stretches_of(own, found, error, len(names)))
        for name, (own, found) in known.items()
    }
    return _beside(names, stretches, failures, error)


def _canaries(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The runs of the baseline that say something of their hosts, be it that it fails there."""
    return [t for t in trials if t.purpose in _CANARIES and t.reason not in NOT_ITS_FAULT]


def _by_host(trials: Sequence[TrialRecord]) -> dict[str, list[TrialRecord]]:
    found: dict[str, list[TrialRecord]] = {}
    for each in trials:
        found.setdefault(each.host, []).append(each)
    return found


def _failures(attempts: Sequence[TrialRecord]) -> int:
    """How many of the last of them failed, one after the other."""
    states = [each.state is TrialState.FAILED for each in reversed(attempts)]
    return (*states, False).index(False)


def _beside(
    names: Sequence[str],
    stretches: Mapping[str, Sequence[Stretch]],
    failures: Mapping[str, int],
    error: float,
) -> Speeds:
    """The hosts beside each other: which are others, and what their blocks shrink to."""
    present = {name: stretches[name][-1] for name in names if name in stretches}
    centre = Centre.of(list(present.values()))
    least, limit = -math.log1p(-_SMALLEST_DIFFERENCE), -math.log1p(-LARGEST_DIFFERENCE)
    z = NormalDist().inv_cdf(1 - _CHANCE / 2 / len(names))
    offs = {name: each.mean - centre.mean for name, each in present.items()}
    unequal = {
        name
        for name, off in offs.items()
        if abs(off) > max(least, z * error * math.sqrt(centre.variance_beside(present[name])))
    }
    others = {name for name in unequal if abs(offs[name]) > limit and centre.is_sure}
    alike = population([e for n in stretches if n not in others for e in stretches[n]], error)
    blocks = {
        name: [block(each, None if name in unequal else alike, error) for each in own]
        for name, own in stretches.items()
    }
    origin = next(blocks[name][0] for name in names if name in blocks).log_speed
    found = {}
    for name in names:
        own = [replace(b, log_speed=b.log_speed - origin) for b in blocks.get(name, ())]
        found[name] = HostSpeed(
            name,
            Drift(tuple(own)),
            canaries=sum(each.count for each in stretches.get(name, ())),
            present=present[name].count if name in present else 0,
            failures=failures[name],
            off=offs.get(name, 0.0),
            differs=name in unequal,
            is_other=name in others,
        )
    return Speeds(found, alike.mean - origin, alike.spread)


def _what(trial: TrialRecord) -> tuple[Configuration, Purpose]:
    return trial.configuration, trial.purpose

"""Hosts of a fleet that are not equal: who wins with their factors taken off, and without.

In each simulated study 40 configurations are measured once, each on a host drawn at random of
those that are not put aside; the best carries 10 % more than any other. One host may be slower.
Each start differs by 5 % (standard deviation), and so does each canary in each of its signals.
Then the finals: the three best and the defaults in three rounds, in each of which a finalist is on
another host. What is analysed is the same twice: by the hosts, and as if one machine had measured
all of it.

    python -m benchmarks.fleet_factors [--studies 500] [--seed 0]
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks import tables
from tuner.analysis.hosts import Speeds, speeds
from tuner.analysis.standings import finalists, standings
from tuner.goals import LatencyBudget
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration

_CONFIGURATIONS = 40
_FINALISTS = 3
_ROUNDS = 3
# What the best carries; of the others the best carries 1.
_BEST = 1.1
_DEFAULTS = 0.7
# Standard deviations of logarithms.
_START = 0.05
_MEASURED = 0.015
_BEGAN = datetime(2026, 11, 30, 22, tzinfo=UTC)
_TRIAL = timedelta(minutes=1)


@dataclass(frozen=True)
class Fleet:
    """The true speed of each host over the others'."""

    speeds: tuple[float, ...]

    @property
    def slow(self) -> set[str]:
        return {name(n) for n, speed in enumerate(self.speeds) if speed != max(self.speeds)}


@dataclass(frozen=True)
class Outcome:
    """Of one study: whether the best of the search, and the winner, is truly the best one.

    `unlucky` is whether a slow host measured the best; `named` are the hosts that are said to
    differ, `aside` those that were put aside.
    """

    found: bool
    won: bool
    unlucky: bool
    named: frozenset[str]
    aside: frozenset[str]


def name(number: int) -> str:
    return f"host-{number}"


def configuration(number: int) -> Configuration:
    return Configuration.of({"setting": number})


@dataclass
class SimulatedStudy:
    """A study while it runs: configuration 0 are the defaults, 1 is the best."""

    fleet: Fleet
    random: np.random.Generator
    trials: list[TrialRecord] = field(default_factory=list)
    known: Speeds = field(default_factory=Speeds)

    def __post_init__(self) -> None:
        others = self.random.uniform(0.6, 1.0, _CONFIGURATIONS - 2)
        self.capacities = [_DEFAULTS, _BEST, *others / others.max()]
        self.clocks = [_BEGAN] * len(self.fleet.speeds)
        for host in self.hosts:
            self.canary(host)

    @property
    def hosts(self) -> list[int]:
        """Those that are not put aside."""
        return [n for n in range(len(self.fleet.speeds)) if name(n) not in self.known.aside]

    def canary(self, host: int) -> None:
        self._run(0, Purpose.DRIFT if self.trials else Purpose.BASELINE, host)
        self.known = speeds(self.trials)

    def search(self) -> int:
        """Measure all but the defaults; the host that measured the best."""
        of_best = -1
        order = 1 + self.random.permutation(_CONFIGURATIONS - 1)
        for number in order.tolist():
            for each in self.hosts:
                if self.known.due(name(each), self.trials):
                    self.canary(each)
            host = int(self.random.choice(self.hosts))
            of_best = host if number == 1 else of_best
            self._run(number, Purpose.SEARCH, host)
        return of_best

    def finals(self, chosen: Sequence[int]) -> list[TrialRecord]:
        """The finals of `chosen`, which are not added to the trials."""
        before = len(self.trials)
        for number in range(_ROUNDS):
            for place, each in enumerate(chosen):
                host = self.hosts[(place + number) % len(self.hosts)]
                self._run(each, Purpose.FINAL, host, number)
        found, self.trials = self.trials[before:], self.trials[:before]
        return found

    def record(self, extra: Sequence[TrialRecord] = ()) -> StudyRecord:
        return StudyRecord(
            name="fleet",
            created_at=_BEGAN,
            server="triton",
            model="encoder",
            model_fingerprint="",
            space_fingerprint="",
            budget=LatencyBudget(99, 0.05),
            parameters={"setting": ""},
            request={},
            hardware={},
            environment={},
            trials=(*self.trials, *extra),
        )

    def _run(self, number: int, purpose: Purpose, host: int, round_number: int = 0) -> None:
        speed = self.fleet.speeds[host] * math.exp(self.random.normal(0.0, _START))
        capacity, saturation, latency = speed * np.exp(self.random.normal(0.0, _MEASURED, 3))
        began, self.clocks[host] = self.clocks[host], self.clocks[host] + _TRIAL
        self.trials.append(
            TrialRecord(
                number=len(self.trials),
                purpose=purpose,
                proposal=None,
                configuration=configuration(number),
                state=TrialState.FEASIBLE,
                throughput=1000 * self.capacities[number] * capacity,
                log_error=_MEASURED,
                unloaded_s=0.01 / latency,
                saturation=1200 * self.capacities[number] * saturation,
                round=round_number,
                host=name(host),
                started_at=began,
                finished_at=began + _TRIAL,
            )
        )


def run(fleet: Fleet, seed: int, *, corrected: bool) -> Outcome:
    """One simulated study, analysed by its hosts or as if there were one machine."""
    study = SimulatedStudy(fleet, np.random.default_rng([seed, len(fleet.speeds)]))
    of_best = study.search()
    seen = study.record() if corrected else _as_one_machine(study.record())
    chosen = [int(str(each["setting"])) for each in finalists(seen, _FINALISTS)]
    finals = study.finals(chosen)
    whole = study.record(finals) if corrected else _as_one_machine(study.record(finals))
    winner = standings(whole).winner
    known = speeds(whole.trials)
    return Outcome(
        found=chosen[0] == 1,
        won=winner is not None and winner.configuration == configuration(1),
        unlucky=name(of_best) in fleet.slow,
        named=frozenset(each.name for each in known.unequal),
        aside=frozenset(known.aside),
    )


def _as_one_machine(study: StudyRecord) -> StudyRecord:
    """Without the hosts, and without the canaries, which would be taken for drift."""
    return replace(
        study,
        trials=tuple(replace(t, host="") for t in study.trials if t.purpose is not Purpose.DRIFT),
    )


FLEETS = {
    "3, one 20 % slower": Fleet((1.0, 1.0, 0.8)),
    "4, one 20 % slower": Fleet((1.0, 1.0, 0.8, 1.0)),
    "8, one 20 % slower": Fleet((1.0, 0.8, *[1.0] * 6)),
    "4, the first 20 % slower": Fleet((0.8, 1.0, 1.0, 1.0)),
    "4, one 40 % slower": Fleet((1.0, 1.0, 0.6, 1.0)),
    "4 equal ones": Fleet((1.0, 1.0, 1.0, 1.0)),
}


def row(label: str, outcomes: Sequence[Outcome], fleet: Fleet, *, corrected: bool) -> list[str]:
    count = len(outcomes)
    unlucky = [each for each in outcomes if each.unlucky]
    wrong = sum(bool(each.named - fleet.slow) for each in outcomes)
    cells = [
        label,
        "yes" if corrected else "no",
        tables.share(sum(each.found for each in outcomes), count),
        tables.share(sum(each.won for each in outcomes), count),
        tables.share(sum(each.won for each in unlucky), len(unlucky)) if unlucky else "-",
    ]
    if not corrected:
        return [*cells, "-", "-", "-"]
    return [
        *cells,
        tables.share(sum(fleet.slow <= each.named for each in outcomes), count)
        if fleet.slow
        else "-",
        tables.share(wrong, count),
        tables.share(sum(bool(each.aside) for each in outcomes), count),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rows = [
        row(
            label,
            [run(fleet, asked.seed + n, corrected=corrected) for n in range(asked.studies)],
            fleet,
            corrected=corrected,
        )
        for label, fleet in FLEETS.items()
        for corrected in (False, True)
    ]
    headings = (
        "hosts",
        "factors taken off",
        "best of the search is right, %",
        "winner is right, %",
        "of those whose best was measured on the slow host, %",
        "slow host named, %",
        "another named, %",
        "one put aside, %",
    )
    print(tables.table(headings, rows))


if __name__ == "__main__":
    main()

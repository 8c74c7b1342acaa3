"""The finals on a fleet: rounds on several hosts, so that no host alone makes the winner."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuner.analysis.standings import in_the_race
from tuner.fleet.canaries import Canaries
from tuner.fleet.driver import Driver
from tuner.fleet.errand import Errand, Result
from tuner.fleet.ledger import Ledger
from tuner.fleet.terms import Terms
from tuner.records import StudyRecord
from tuner.space.space import Configuration
from tuner.study.time_plan import ROUNDS_BEFORE_ANY_GOES, FinalsPlan, no_time_for_a_round


@dataclass
class _Round:
    """A round while it is measured: `left` has begun on no host, `host` has most of it."""

    number: int
    left: list[Configuration]
    host: str = ""


class Finals:
    """A stage: each finalist once a round, each round on a host of its own, if there are enough.

    So finalists are compared side by side on one host, and meet another one in the next round. A
    host that has no round of its own takes from the round with most left, what it has not
    measured yet: no host waits. One of which too little is known has canaries first.
    """

    def __init__(
        self,
        driver: Driver,
        ledger: Ledger,
        terms: Terms,
        finals: FinalsPlan,
        chosen: Sequence[Configuration],
    ) -> None:
        self._canaries = Canaries(driver, ledger, terms)
        self._ledger = ledger
        self._terms = terms
        self._finals = finals
        self._chosen = chosen
        first = 1 + max((t.round for t in ledger.study.finals), default=-1)
        self._first = first
        order = random.Random(terms.plan.seed + first)  # noqa: S311 - an order, not a secret
        self._rounds = [
            _Round(number, order.sample(chosen, len(chosen)))
            for number in range(first, first + finals.rounds)
        ]

    @property
    def over(self) -> bool:
        return not any(each.left for each in self._rounds)

    def passes(self) -> None:
        """Hosts that turn out to be other machines are put aside."""
        self._canaries.hear()

    def next(self, host: str) -> Errand | None:
        if self.over or self._canaries.refuses(host):
            return None
        if self._canaries.lacks(host):
            return self._canaries.on(host)
        found = self._round_of(host)
        if found is None:
            return None
        configuration = found.left.pop(0)
        number = self._ledger.number()
        return Errand(
            self._terms.plan.final(
                self._as_on_the_first(configuration),
                configuration,
                self._finals,
                number=number,
                final_round=found.number,
            )
        )

    def renewed(self, errand: Errand) -> Errand | None:
        return errand if self._terms.deadline.left_s > 0 else None

    def again(self, result: Result) -> Errand | None:
        return None

    def stored(self, result: Result) -> None:
        """Who is beaten beyond chance after two rounds is not measured in the others."""
        self._canaries.stored(result)
        rounds = range(self._first, self._first + ROUNDS_BEFORE_ANY_GOES)
        ended = {(t.round, t.configuration) for t in self._ledger.study.finals}
        if not all((number, each) in ended for number in rounds for each in self._chosen):
            return
        stay = in_the_race(self._ledger.study, self._chosen, self._finals.rounds)
        for each in self._rounds:
            each.left = [left for left in each.left if left in stay]

    def _round_of(self, host: str) -> _Round | None:
        """The host's own, one that nobody has yet, or the one with most left."""
        own = [each for each in self._rounds if each.host == host and each.left]
        if own:
            return own[0]
        fresh = [each for each in self._rounds if not each.host and each.left]
        if fresh:
            if self._no_time():
                for each in fresh:
                    each.left = []
                return None
            fresh[0].host = host
            return fresh[0]
        others = [each for each in self._rounds if each.left]
        return max(others, key=lambda each: len(each.left), default=None)

    def _no_time(self) -> bool:
        finals, left_s = self._ledger.study.finals, self._terms.deadline.left_s
        return no_time_for_a_round(finals, self._chosen, self._finals.round_s, left_s)

    def _as_on_the_first(self, configuration: Configuration) -> StudyRecord:
        """What the study knows of it, as if the first host had measured all of that."""
        study = self._ledger.study
        trials = [each for each in study.trials if each.configuration == configuration]
        return replace(study, trials=self._ledger.speeds.corrected(trials))

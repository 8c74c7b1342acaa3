"""The proof on a fleet: one host, as near to the first one as there is."""

import math
from dataclasses import replace

from tuner.fleet.errand import Errand, Result
from tuner.fleet.ledger import Ledger
from tuner.fleet.roster import Roster
from tuner.fleet.terms import Terms
from tuner.study.trial import TrialPlan


class Proof:
    """A stage: the recommended configuration under the load that is claimed for it.

    Of the hosts that are ready, the one whose factor is nearest to 1 is to prove it. Where it does
    not, a smaller load is claimed.
    """

    def __init__(self, ledger: Ledger, roster: Roster, terms: Terms) -> None:
        self._ledger = ledger
        self._roster = roster
        self._terms = terms
        self._given = False
        self._said = False
        self._host = ""

    @property
    def over(self) -> bool:
        return self._given

    def passes(self) -> None:
        """Which host is the one to prove it; with none left, what was said has to do."""
        names = [host.name for host in self._roster.ready]
        if self._said and not names:
            self._given = True
        now = self._terms.clock.now()
        factors = {name: self._ledger.pace(name, now).factor for name in names}
        self._host = min(names, key=lambda name: abs(math.log(factors[name])), default="")

    def next(self, host: str) -> Errand | None:
        if self._given or host != self._host:
            return None
        self._given = True
        number = self._ledger.number()
        plan = self._planned(number)
        if plan is None:
            self._ledger.release(number)
            return None
        return Errand(plan)

    def renewed(self, errand: Errand) -> Errand | None:
        """As long as there is still time for."""
        plan = self._planned(errand.plan.number)
        return None if plan is None else replace(errand, plan=plan)

    def again(self, result: Result) -> Errand | None:
        return None

    def stored(self, result: Result) -> None:
        """It is over, unless there is less to claim."""
        self._said = True
        self._given = self._planned(result.record.number) is None

    def _planned(self, number: int) -> TrialPlan | None:
        left_s = self._terms.deadline.left_s
        return self._terms.plan.proof(self._ledger.study, number=number, left_s=left_s)

"""Canaries: the server's defaults on a host tell how fast it is, and what its servers answer."""

from tuner.fleet.driver import Driver
from tuner.fleet.errand import Errand, Result
from tuner.fleet.ledger import Ledger
from tuner.fleet.terms import Terms
from tuner.records import Purpose, TrialState
from tuner.study.aside import why_aside


class Canaries:
    """What they have told so far: the `speeds` of the hosts, and which are to be put aside."""

    def __init__(self, driver: Driver, ledger: Ledger, terms: Terms) -> None:
        self._driver = driver
        self._ledger = ledger
        self._terms = terms
        self._hear()

    def hear(self) -> bool:
        """Whether more of them have ended; hosts that turn out to be other machines are put aside.

        What they say is heard once for all that have ended meanwhile.
        """
        if self.speeds is self._ledger.speeds:
            return False
        self._hear()
        return True

    def refuses(self, host: str) -> bool:
        """Whether the host is put aside, for what was known of it before it joined."""
        if host not in self._aside:
            return False
        self._driver.put_aside(host, self._aside[host])
        return True

    def due(self, host: str) -> bool:
        """Whether one is, as time passes."""
        return self.speeds.due(host, self._ledger.study.trials, self._terms.clock.now())

    def lacks(self, host: str) -> bool:
        """Whether too little is known of the host for anything else that it would measure."""
        return self.speeds.lacks(host, self._ledger.study.trials)

    def on(self, host: str) -> Errand:
        """One. The first on a host says what it answers; others must answer that."""
        study, plan = self._ledger.study, self._terms.plan
        first = not any(t.host == host and t.state is not TrialState.FAILED for t in study.trials)
        number = self._ledger.number()
        trial = plan.trial(study, plan.space.defaults, Purpose.DRIFT, number=number)
        return Errand(trial, only=host, compared=not first)

    def stored(self, result: Result) -> None:
        """Tell of hosts that answer otherwise, where the result is that of a first one."""
        if result.golden is None or result.errand.compared:
            return
        for host in self._ledger.answered(result.record, result.golden):
            self._terms.say(f"host {host} answers otherwise. {self._ledger.not_compared}")

    def _hear(self) -> None:
        self.speeds = self._ledger.speeds
        aside = self.speeds.aside.items()
        self._aside = {name: why_aside(self.speeds, host) for name, host in aside}
        for host, why in self._aside.items():
            self._driver.put_aside(host, why)

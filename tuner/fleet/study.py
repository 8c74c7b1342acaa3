"""A study over the hosts of a fleet: its search, its finals and its proof, in that order."""

from dataclasses import replace

from tuner.analysis.standings import finalists, within_reach
from tuner.fleet.crew import Crew
from tuner.fleet.driver import Driver
from tuner.fleet.finals import Finals
from tuner.fleet.ledger import Ledger
from tuner.fleet.log import FleetObserver, Log
from tuner.fleet.proof import Proof
from tuner.fleet.searching import Searching
from tuner.fleet.terms import Terms
from tuner.records import StudyRecord
from tuner.store.hosts import HostState, hosts_of
from tuner.store.ownership import Hold
from tuner.store.storage import Storage
from tuner.study.exploration import exploration
from tuner.study.recorder import Recorder, StopAsked
from tuner.study.time_plan import finals_plan


class FleetStudy:
    """A study while it runs."""

    def __init__(
        self, driver: Driver, ledger: Ledger, log: Log, terms: Terms, storage: Storage
    ) -> None:
        self._driver = driver
        self._ledger = ledger
        self._log = log
        self._terms = terms
        self._storage = storage

    def run(self) -> StudyRecord:
        """Search and confirm until the search budget is spent; the study as it is stored then.

        Raises:
            TunerError: The baseline failed, or no host can measure.
        """
        name = self._ledger.study.name
        if self._ledger.study.stopped:
            self._storage.save_stopped(name, "")
        try:
            why, now = self._search()
            self._storage.save_stopped(name, why)
            if not now:
                self._conclude()
        finally:
            self._driver.close()
        return self._storage.study(name)

    def _search(self) -> tuple[str, bool]:
        """Why the search ended, and whether there are to be no finals."""
        with exploration(self._ledger.study, self._terms.plan, self._storage) as search:
            stage = Searching(search, self._driver, self._ledger, self._terms)
            try:
                self._driver.run(stage)
            except StopAsked as asked:
                self._log.stops(asked.why)
                return asked.why, asked.now
            return stage.stopped, False

    def _conclude(self) -> None:
        """The finals and the proof, as far as nobody wants them to end."""
        try:
            self._confirm()
            self._driver.run(Proof(self._ledger, self._driver.roster, self._terms))
        except StopAsked as asked:
            self._log.stops(asked.why)
            self._terms.say(f"the finals ended early: {asked.why}")

    def _confirm(self) -> None:
        study = self._ledger.study
        reach = len(within_reach(study))
        plan = finals_plan(
            study.trials,
            study.budget,
            self._terms.plan.budget,
            within_reach=reach,
            hosts=max(1, len(self._driver.roster.usable)),
        )
        chosen = finalists(study, plan.finalists)
        if chosen and plan.rounds:
            self._driver.run(Finals(self._driver, self._ledger, self._terms, plan, chosen))


def study_on(
    crew: Crew,
    study: StudyRecord,
    terms: Terms,
    *,
    storage: Storage,
    hold: Hold,
    observer: FleetObserver,
) -> StudyRecord:
    """Run the `study` on the hosts of the crew; raises as `FleetStudy.run` does."""
    recorder = Recorder(observer, hold)
    terms = replace(terms, say=recorder.saying(terms.say))
    ledger = Ledger(study, storage, tolerance=terms.tolerance)
    log = Log(hold, recorder, observer)
    hosts = hosts_of(storage, study.name)
    gone = [
        replace(host, state=HostState.DISMISSED, trial=None) for host in hosts if host.is_there
    ]
    hold.record_all((), gone)  # until they join again
    attempts = [trial.attempt for trial in study.trials] + [host.attempt for host in hosts]
    driver = Driver(crew, ledger, log, terms, first_attempt=1 + max(attempts, default=0))
    return FleetStudy(driver, ledger, log, terms, storage).run()

"""The search on a fleet: whichever host is free tries the next configuration, without rounds."""

from dataclasses import replace

from tuner.capacity.probes import NOTHING_TO_BEAT, Beat
from tuner.fleet.canaries import Canaries
from tuner.fleet.driver import Driver
from tuner.fleet.errand import Errand, Result
from tuner.fleet.ledger import Ledger
from tuner.fleet.terms import Terms
from tuner.records import Purpose, TrialRecord, TrialState
from tuner.space.space import Configuration
from tuner.study.baseline import about_baseline, check_baseline
from tuner.study.best_so_far import best_so_far
from tuner.study.exploration import Exploration
from tuner.study.time_plan import TIME_IS_UP, finals_plan, limit_reached
from tuner.study.trial import TrialPlan

# The time for the finals is planned again once there are so many times as many trials.
_RESERVED_AGAIN = 1.05
# A baseline that failed on so many hosts fails everywhere.
_BASELINE_HOSTS = 3


class Searching:
    """A stage: the baseline, canaries on all hosts, and configurations that promise something."""

    def __init__(
        self, exploration: Exploration, driver: Driver, ledger: Ledger, terms: Terms
    ) -> None:
        self._exploration = exploration
        self._driver = driver
        self._ledger = ledger
        self._terms = terms
        self._plan = terms.plan
        self._repeat: list[int] = []
        self._repeated: set[int] = set()
        self._best: TrialRecord | None = None  # as the first host would have measured it
        self._measured: TrialRecord | None = None  # the same, as it was
        self._canaries = Canaries(driver, ledger, terms)
        self._reserve_s = 0.0
        self._reserved_at = 0
        self.stopped = ""
        self._know()

    @property
    def over(self) -> bool:
        return bool(self.stopped)

    def passes(self) -> None:
        """What takes so long that there would be no time for the finals is given up."""
        if self._canaries.hear():
            self._know()
        if not self._reserved_at and self._ledger.study.trials and self._driver.roster.usable:
            self._reserve()
        if self._terms.deadline.left_s < self._reserve_s:
            self.stopped = self.stopped or TIME_IS_UP
            self._driver.give_up(Purpose.SEARCH)

    def next(self, host: str) -> Errand | None:
        """A canary, if one is due; what is to be measured again; or what promises most."""
        if self._canaries.refuses(host):
            return None
        if self._ledger.study.baseline is None:
            return self._first(host)
        self.stopped = self.stopped or self._limit()
        if self.stopped:
            return None
        if self._canaries.due(host):
            return self._canaries.on(host)
        return self._repetition() or self._proposed(host)

    def renewed(self, errand: Errand) -> Errand | None:
        return errand

    def again(self, result: Result) -> Errand | None:
        """A baseline that failed is run elsewhere, if there is another host.

        Raises:
            TunerError: It failed on several, or on the only one.
        """
        errand, record = result.errand, result.record
        if record.purpose is not Purpose.BASELINE or record.state is not TrialState.FAILED:
            return None
        after = errand.after_failure(record.host)
        others = {host.name for host in self._driver.roster.usable} - {*after.failed}
        if not others or len(after.failed) >= _BASELINE_HOSTS or errand.lost:
            check_baseline(record, self._ledger.study.request)
        why = f"the server's own defaults failed ({record.reason}): {record.message}"
        self._driver.put_aside(record.host, why)
        return after

    def stored(self, result: Result) -> None:
        record = result.record
        self._canaries.stored(result)
        if record.purpose is Purpose.BASELINE:
            self._speak(record)
        if record.proposal is not None:
            pace = self._ledger.pace(record.host, record.finished_at)
            self._exploration.learn(record, record.proposal, pace.factor)
        if record.purpose is not Purpose.DRIFT:
            self._raise_beats(record)
        self._reserve()

    def _first(self, host: str) -> Errand | None:
        """The baseline, on one host; canaries meanwhile on the others."""
        if self._driver.running(Purpose.BASELINE):
            return self._canaries.on(host) if self._canaries.due(host) else None
        proposal = self._exploration.ask(None, self._terms.can_reload)
        if isinstance(proposal, str):
            self.stopped = proposal
            return None
        plan = self._trial(proposal.configuration, Purpose.BASELINE)
        return Errand(replace(plan, proposal=proposal.number), compared=False)

    def _proposed(self, host: str) -> Errand | None:
        known = self._driver.roster.get(host)
        current = known.configuration if known else None
        proposal = self._exploration.ask(current, self._terms.can_reload)
        if isinstance(proposal, str):
            self.stopped = proposal
            return None
        plan = self._trial(proposal.configuration, Purpose.SEARCH)
        return Errand(replace(plan, proposal=proposal.number, beat=self._beat))

    def _repetition(self) -> Errand | None:
        """A trial that is to be measured again, as its rank rests on a wrong speed."""
        if not self._repeat:
            return None
        number = self._repeat.pop(0)
        self._repeated.add(number)
        trial = next(each for each in self._ledger.study.trials if each.number == number)
        return Errand(self._trial(trial.configuration, Purpose.SEARCH))

    def _limit(self) -> str:
        running = self._driver.running(Purpose.SEARCH)
        left_s = self._terms.deadline.left_s
        return limit_reached(
            self._ledger.study,
            self._plan.budget,
            left_s,
            running=running,
            reserve_s=self._reserve_s,
        )

    def _reserve(self) -> None:
        """How long the finals will take: a plan that changes little from trial to trial."""
        study = self._ledger.study
        if len(study.trials) < _RESERVED_AGAIN * self._reserved_at:
            return
        self._reserved_at = len(study.trials)
        hosts = max(1, len(self._driver.roster.usable))
        plan = finals_plan(study.trials, study.budget, self._plan.budget, hosts=hosts)
        self._reserve_s = plan.duration_s

    def _trial(self, configuration: Configuration, purpose: Purpose) -> TrialPlan:
        number = self._ledger.number()
        return self._plan.trial(self._ledger.study, configuration, purpose, number=number)

    def _know(self) -> None:
        """What canaries say of all that was measured."""
        numbers = self._canaries.speeds.to_repeat(self._ledger.study.trials)
        self._repeat = [number for number in numbers if number not in self._repeated]
        self._raise_beats()

    def _raise_beats(self, record: TrialRecord | None = None) -> None:
        """After this record, or where all speeds have changed."""
        study = self._ledger.study
        if record is not None and self._measured is not None:
            study = replace(study, trials=(self._measured, record))
        best = best_so_far(study, self._canaries.speeds)
        if best is not None and best != self._best:
            self._best = best
            self._measured = next(each for each in study.trials if each.number == best.number)
            self._driver.beat(self._beat)

    @property
    def _beat(self) -> Beat:
        best = self._best
        return Beat(best.throughput, best.log_error) if best else NOTHING_TO_BEAT

    def _speak(self, baseline: TrialRecord) -> None:
        """What the baseline shows of the study."""
        for said in about_baseline(
            baseline,
            not_compared=self._ledger.not_compared,
            budget=self._plan.budget,
            size=self._plan.space.size,
            left_s=self._terms.deadline.left_s,
        ):
            self._terms.say(said)

"""The loop: ask, run the trial, store it, tell; then the finals and the proof; when to stop."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from runners.errors import RunnerError
from tuner.analysis import drift
from tuner.analysis.standings import finalists, in_the_race, within_reach
from tuner.capacity.probes import Beat
from tuner.errors import Reason, ServerMissingError
from tuner.records import (
    NOT_ITS_FAULT,
    Golden,
    Purpose,
    StudyRecord,
    TrialRecord,
)
from tuner.search.search import Proposal
from tuner.space.space import Configuration
from tuner.store.storage import Storage
from tuner.study.again import RETRIES
from tuner.study.another_start import ask_another_start
from tuner.study.baseline import about_baseline, check_baseline
from tuner.study.best_so_far import best_so_far
from tuner.study.deadline import Deadline
from tuner.study.exploration import Exploration, exploration
from tuner.study.outputs import not_compared, stored_golden
from tuner.study.recorder import PauseAsked, Recorder, StopAsked
from tuner.study.rests import Rests
from tuner.study.study_plan import StudyPlan
from tuner.study.time_plan import (
    ROUNDS_BEFORE_ANY_GOES,
    finals_plan,
    limit_reached,
    no_time_for_a_round,
)
from tuner.study.trial import Bench, TrialPlan, run_trial


class Study:
    """A study while it runs."""

    def __init__(
        self,
        study: StudyRecord,
        *,
        bench: Bench,
        storage: Storage,
        plan: StudyPlan,
        say: Callable[[str], None] = lambda _: None,
        recorder: Recorder | None = None,
    ) -> None:
        """`say` is told in a sentence what a person should know before the end.

        The `recorder` is the bench's observer, where others may ask something of the study.
        """
        self._record = study
        self._name = study.name
        self._bench = bench
        self._storage = storage
        self._plan = plan
        self._space = plan.space
        self._budget = plan.budget
        self._say = say
        self._recorder = recorder
        self._asked_another_start = False
        self._had_server = False
        self._deadline = Deadline(plan.budget)
        self._rests = recorder and Rests(recorder, self._deadline, say)

    def run(self) -> StudyRecord:
        """Search and confirm until the search budget is spent; the study as it is stored then.

        Raises:
            TunerError: The baseline failed, so there is nothing to compare with.
        """
        golden = stored_golden(self._storage, self._name)
        self._bench = replace(self._bench, golden=golden)
        if self._record.stopped:
            self._storage.save_stopped(self._name, "")
        with exploration(self._record, self._plan, self._storage) as search:
            why, now = self._search(search)
            self._storage.save_stopped(self._name, why)
        if not now:
            self._conclude()
        return self._storage.study(self._name)

    def _conclude(self) -> None:
        """The finals and the proof, as far as nobody wants them to end."""
        try:
            self._confirm()
            self._prove()
        except StopAsked as asked:
            if self._recorder:
                self._recorder.stops(asked.why)
            self._say(f"the finals ended early: {asked.why}")

    def _search(self, search: Exploration) -> tuple[str, bool]:
        """Why the search ended, and whether there are to be no finals."""
        try:
            return self._explore(search), False
        except StopAsked as asked:
            if self._recorder:
                self._recorder.stops(asked.why)
            return asked.why, asked.now

    def _explore(self, search: Exploration) -> str:
        """Ask, run and tell until there is a reason to stop, which is returned in words."""
        while True:
            if why := limit_reached(self._record, self._budget, self._deadline.left_s):
                return why
            if drift.due(self._record.trials, datetime.now(UTC)):
                self._run(self._planned(self._space.defaults, Purpose.DRIFT))
            for number in drift.drift(self._record.trials).repeat[:1]:
                again = self._record.trials[number].configuration
                self._run(self._planned(again, Purpose.SEARCH))
            bench = self._bench
            proposal = search.ask(bench.deployment.configuration, bench.target.can_reload)
            if isinstance(proposal, str):
                return proposal
            self._try(search, proposal)

    def _try(self, search: Exploration, proposal: Proposal) -> None:
        purpose = Purpose.SEARCH if self._record.searched else Purpose.BASELINE
        plan = replace(self._planned(proposal.configuration, purpose), proposal=proposal.number)
        speed = drift.drift(self._record.trials)
        if best := best_so_far(self._record, speed):
            throughput = best.throughput * speed.factor(datetime.now(UTC))
            plan = replace(plan, beat=Beat(throughput, best.log_error))
        record = self._run(plan)
        search.learn(record, proposal.number, speed.factor(record.finished_at))

    def _planned(self, configuration: Configuration, purpose: Purpose) -> TrialPlan:
        number = len(self._record.trials)
        return self._plan.trial(self._record, configuration, purpose, number=number)

    def _run(self, plan: TrialPlan) -> TrialRecord:
        """The trial, stored; begun anew after a pause, or where the server could not be had."""
        while True:
            try:
                record = self._measured(plan)
            except PauseAsked:
                self._bench.deployment.stop()
                if self._recorder:
                    self._recorder.pause(self._deadline)
            except (ServerMissingError, RunnerError) as error:
                # One that was there before, as a Docker engine that is gone: it may come back.
                if not self._rests or not self._had_server:
                    raise
                self._rests.rest(str(error), error.hint)
            else:
                if self._rests:
                    self._rests.after(record)
                return record

    def _measured(self, plan: TrialPlan) -> TrialRecord:
        record, golden = run_trial(self._bench, plan)
        for _ in range(RETRIES):
            if record.reason not in NOT_ITS_FAULT or self._deadline.left_s <= 0:
                break
            record, golden = run_trial(self._bench, plan)
        if record.reason is Reason.WRONG_OUTPUT and self._differs_by_start():
            record, golden = run_trial(self._bench, plan)
        if plan.purpose is Purpose.BASELINE:
            check_baseline(record, self._record.request)
            if golden is not None:
                self._storage.save_golden(self._name, golden)
            self._speak(record, golden)
        self._had_server = True
        self._bench = replace(self._bench, golden=golden)
        self._storage.save_trial(self._name, record)
        self._record = replace(self._record, trials=(*self._record.trials, record))
        self._bench.observer.trial_ends(record)
        return record

    def _differs_by_start(self) -> bool:
        """Whether the baseline itself answers another start otherwise; asked once."""
        known, self._asked_another_start = self._asked_another_start, True
        golden = None if known else ask_another_start(self._bench, self._space.defaults)
        if golden is None or golden == self._bench.golden:
            return False
        self._bench = replace(self._bench, golden=golden)
        self._storage.save_golden(self._name, golden)
        self._say(not_compared(golden.comparison))
        return True

    def _speak(self, baseline: TrialRecord, golden: Golden | None) -> None:
        """What the baseline shows of the study."""
        for said in about_baseline(
            baseline,
            not_compared=not_compared(golden.comparison) if golden and golden.places else "",
            budget=self._budget,
            size=self._space.size,
            left_s=self._deadline.left_s,
        ):
            self._say(said)

    def _confirm(self) -> None:
        """Measure the finalists again, on fresh starts: each once a round, in random order.

        Who is beaten beyond chance after two of them is not measured in the third.
        """
        trials, study = self._record.trials, self._corrected()
        reach = len(within_reach(study))
        plan = finals_plan(trials, self._bench.budget, self._budget, within_reach=reach)
        chosen = finalists(study, plan.finalists)
        first = 1 + max((t.round for t in study.finals), default=-1)
        order = random.Random(self._plan.seed + first)  # noqa: S311 - an order, not a secret
        for number in range(first, first + plan.rounds):
            if number >= first + ROUNDS_BEFORE_ANY_GOES:
                chosen = in_the_race(self._corrected(), chosen, plan.rounds)
            left_s = self._deadline.left_s
            if no_time_for_a_round(self._record.finals, chosen, plan.round_s, left_s):
                break
            for configuration in order.sample(chosen, len(chosen)):
                self._run(
                    self._plan.final(
                        self._record,
                        configuration,
                        plan,
                        number=len(self._record.trials),
                        final_round=number,
                    )
                )

    def _corrected(self) -> StudyRecord:
        """The study at one speed of the machine."""
        trials = self._record.trials
        return replace(self._record, trials=drift.drift(trials).corrected(trials))

    def _prove(self) -> None:
        """Fresh starts of the recommended configuration, until a load is proved."""
        while plan := self._planned_proof():
            self._run(plan)

    def _planned_proof(self) -> TrialPlan | None:
        study, left_s = self._record, self._deadline.left_s
        return self._plan.proof(study, number=len(study.trials), left_s=left_s)

"""The loop: ask, run the trial, store it, tell; then the finals and the proof; when to stop."""

import random
import statistics
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from runners.errors import RunnerError
from tuner.analysis import drift
from tuner.analysis.standings import finalists, in_the_race, standings, within_reach
from tuner.capacity.probes import Beat
from tuner.capacity.proof import first_look_s
from tuner.errors import Reason, ServerMissingError
from tuner.goals import Loop, Objective, SearchBudget
from tuner.records import (
    NOT_ITS_FAULT,
    Golden,
    Purpose,
    StudyRecord,
    TrialRecord,
    TrialState,
    not_compared,
)
from tuner.search.batch_advice import advised
from tuner.search.samplers import Sampler
from tuner.search.search import Proposal, Search
from tuner.space.space import Configuration, SearchSpace
from tuner.store.storage import Storage
from tuner.study.again import expected
from tuner.study.another_start import ask_another_start
from tuner.study.best_so_far import best_so_far
from tuner.study.deadline import Deadline
from tuner.study.failed_baseline import check_baseline
from tuner.study.failed_trials import failed_trials
from tuner.study.outputs import counted
from tuner.study.recorder import PauseAsked, Recorder, StopAsked
from tuner.study.rests import Rests
from tuner.study.time_plan import BASELINE_STRETCH, finals_plan, no_time_left, until_proof_s
from tuner.study.trial import Bench, TrialPlan, run_trial

# The search ends when no configuration promises a gain of this share any more (expected),
WORTHWHILE = 0.01
# this many times in a row.
_PATIENCE = 3
# A trial that this machine spoiled is run again, up to this many times.
_RETRIES = 2
# The load at which the latency is compared, as a share of what the baseline carries.
REFERENCE_SHARE = 0.8
# What is claimed of the capacity, to be proved; at the capacity itself half of all proofs fail.
CLAIMED_SHARE = 0.95
# After so many rounds of finals, who is beaten is not measured any more.
_ROUNDS_BEFORE_ANY_GOES = 2
# A first round begins if this share of its planned time is left: plans are on the safe side.
_LEAST_SHARE = 0.5
# What the seeds of a round of finals are beyond those of the round before,
_FINAL_SEEDS = 1000
# and that of the proof beyond those of the search.
_PROOF_SEED = 900_000


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study is to do; `first` are configurations to try right after the baseline.

    Trials of the search that failed for one of the reasons in `retry` are run again.
    """

    space: SearchSpace
    budget: SearchBudget
    seed: int = 0
    first: Sequence[Configuration] = ()
    retry: Collection[Reason] = ()


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
        self._space = plan.space
        self._budget = plan.budget
        self._seed = plan.seed
        self._first = plan.first
        self._again = failed_trials(study, plan.retry)
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
        self._bench = replace(self._bench, golden=self._stored_golden())
        if self._record.stopped:
            self._storage.save_stopped(self._name, "")
        searching = Search(
            self._space,
            self._bench.budget,
            storage_url=self._storage.url,
            study_name=self._name,
            seed=self._seed + len(self._record.trials),
            sampler=Sampler(self._record.sampler),
            objectives=self._record.objectives,
            patience=self._storage.patience,
            guard=self._storage.guard,
        )
        with closing(searching) as search:
            again = {trial.configuration for trial in self._again}
            known = [t for t in self._record.trials if t.configuration not in again]
            search.resume({t.proposal: t for t in known if t.proposal is not None})
            self._enqueue(search)
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

    def _search(self, search: Search) -> tuple[str, bool]:
        """Why the search ended, and whether there are to be no finals."""
        try:
            return self._explore(search), False
        except StopAsked as asked:
            if self._recorder:
                self._recorder.stops(asked.why)
            return asked.why, asked.now

    def _stored_golden(self) -> Golden | None:
        """What a study that goes on is compared with."""
        golden = self._storage.golden(self._name)
        return golden and replace(golden, outputs=counted(golden.outputs, None))

    def _enqueue(self, search: Search) -> None:
        """The baseline, the best of earlier studies, then rules of thumb; or simply everything."""
        again = [trial.configuration for trial in self._again]
        for configuration in (self._space.defaults, *again, *self._first):
            search.enqueue(configuration)
        for hint in self._space.hints:
            search.enqueue(self._space.activate(hint))
        for trial in self._record.searched:
            self._advise(search, trial)
        if self._fits:
            search.exhaust()

    @property
    def _fits(self) -> bool:
        """Whether all configurations can be tried."""
        return self._space.size is not None and self._space.size <= self._budget.trials

    def _explore(self, search: Search) -> str:
        """Ask, run and tell until there is a reason to stop, which is returned in words."""
        hopeless = 0
        while True:
            if why := self._limit_reached():
                return why
            if drift.due(self._record.trials, datetime.now(UTC)):
                self._run(self._plan(self._space.defaults, Purpose.DRIFT))
            for number in drift.drift(self._record.trials).repeat[:1]:
                self._run(self._plan(self._record.trials[number].configuration, Purpose.SEARCH))
            promising = self._fits or search.promise() >= WORTHWHILE
            hopeless = 0 if promising else hopeless + 1
            if hopeless >= _PATIENCE:
                return f"no configuration left promised a gain of {WORTHWHILE:.0%}"
            bench = self._bench
            proposal = search.ask(bench.deployment.configuration, bench.target.can_reload)
            if proposal is None:
                return "every configuration was tried"
            self._try(search, proposal)

    def _try(self, search: Search, proposal: Proposal) -> None:
        purpose = Purpose.SEARCH if self._record.searched else Purpose.BASELINE
        plan = replace(self._plan(proposal.configuration, purpose), proposal=proposal.number)
        speed = drift.drift(self._record.trials)
        if best := best_so_far(self._record, speed):
            throughput = best.throughput * speed.factor(datetime.now(UTC))
            plan = replace(plan, beat=Beat(throughput, best.log_error))
        record = self._run(plan)
        factor = speed.factor(record.finished_at)
        search.tell(proposal.number, replace(record, throughput=record.throughput / factor))
        self._advise(search, record)

    def _advise(self, search: Search, record: TrialRecord) -> None:
        """Have tried first what the server's own statistics of a trial suggest."""
        if not self._learns or record.state is not TrialState.FEASIBLE:
            return
        advice = advised(self._space, record, self._bench.budget.limit_s)
        if advice is not None:
            search.enqueue(advice, first=True)

    @property
    def _learns(self) -> bool:
        """Whether what was measured says what to try for more throughput."""
        sampler = Sampler(self._record.sampler)
        return sampler.learns and Objective.THROUGHPUT in self._record.objectives

    def _plan(self, configuration: Configuration, purpose: Purpose) -> TrialPlan:
        reference, share = self._reference()
        return TrialPlan(
            number=len(self._record.trials),
            purpose=purpose,
            configuration=configuration,
            seed=self._seed,
            reference=reference,
            reference_share=share,
            stretch=BASELINE_STRETCH if purpose is Purpose.BASELINE else 1.0,
        )

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
        for _ in range(_RETRIES):
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
        if golden and golden.places:
            self._say(not_compared(golden.comparison))
        left_s, each_s = self._deadline.left_s, baseline.timings_s["total"]
        if left_s < each_s and self._budget.trials > 1 and self._space.size != 1:
            self._say(no_time_left(baseline, left_s))

    def _reference(self) -> tuple[float, float]:
        """Where the latency is measured, if it is an objective: a share of the baseline's load.

        A throughput or, as long as nobody knows that load, a share of a trial's own.
        """
        if Objective.LATENCY not in self._record.objectives:
            return 0.0, 0.0
        feasible = [t.throughput for t in self._record.searched if t.state is TrialState.FEASIBLE]
        return (REFERENCE_SHARE * feasible[0], 0.0) if feasible else (0.0, REFERENCE_SHARE)

    def _limit_reached(self) -> str:
        """Which limit of the search budget allows no further trial; empty if none."""
        if len(self._record.searched) >= self._budget.trials:
            return f"all {self._budget.trials} trials were run"
        if not self._record.searched:
            return ""
        spent = [t.timings_s["total"] for t in self._record.trials]
        reserve_s = finals_plan(self._record.trials, self._bench.budget, self._budget).duration_s
        if statistics.mean(spent) + reserve_s >= self._deadline.left_s:
            return "the time was used up"
        return ""

    def _confirm(self) -> None:
        """Measure the finalists again, on fresh starts: each once a round, in random order.

        Who is beaten beyond chance after two of them is not measured in the third.
        """
        trials, study = self._record.trials, self._corrected()
        reach = len(within_reach(study))
        plan = finals_plan(trials, self._bench.budget, self._budget, within_reach=reach)
        chosen = finalists(study, plan.finalists)
        first = 1 + max((t.round for t in study.finals), default=-1)
        order = random.Random(self._seed + first)  # noqa: S311 - an order, not a secret
        for number in range(first, first + plan.rounds):
            if number >= first + _ROUNDS_BEFORE_ANY_GOES:
                chosen = in_the_race(self._corrected(), chosen, plan.rounds)
            if self._no_time_for_a_round(chosen, plan.duration_s / plan.rounds):
                break
            for configuration in order.sample(chosen, len(chosen)):
                self._run(
                    TrialPlan(
                        number=len(self._record.trials),
                        purpose=Purpose.FINAL,
                        configuration=configuration,
                        # New arrivals: a winner must not owe its place to those of the search.
                        seed=self._seed + _FINAL_SEEDS * (1 + number),
                        fresh=True,
                        expected=expected(self._record, configuration),
                        stretch=plan.stretch_of(baseline=configuration == self._space.defaults),
                        round=number,
                    )
                )

    def _corrected(self) -> StudyRecord:
        """The study at one speed of the machine."""
        trials = self._record.trials
        return replace(self._record, trials=drift.drift(trials).corrected(trials))

    def _no_time_for_a_round(self, chosen: Sequence[Configuration], planned_s: float) -> bool:
        """Whether a round of `chosen` would end too late, if each takes as long as in the last.

        The first one, where no more is left than a share of what was planned for it.
        """
        finals = self._record.finals
        last = [
            t.timings_s["total"]
            for t in finals
            if t.round == finals[-1].round and t.configuration in chosen
        ]
        needed_s = sum(last) if last else _LEAST_SHARE * planned_s
        return needed_s > self._deadline.left_s

    def _prove(self) -> None:
        """A fresh start of the recommended configuration under the load that is claimed for it."""
        study = self._record
        winner = standings(study).winner
        if winner is None or not winner.confirmations or study.proof is not None:
            return
        if study.arrivals is Loop.CLOSED:  # what it claims holds for users who wait
            return
        before_s = until_proof_s(self._record.trials, study.budget)
        left_s = self._deadline.left_s - before_s
        if left_s < first_look_s(study.budget):
            return
        plan = self._plan(winner.configuration, Purpose.PROOF)
        proof = replace(
            plan,
            seed=plan.seed + _PROOF_SEED,
            fresh=True,
            claim=CLAIMED_SHARE * winner.throughput,
            longest_s=left_s,
            reference=0.0,
            reference_share=0.0,
        )
        self._run(proof)

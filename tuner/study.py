"""The loop: ask, run the trial, store it, tell; then the finals; and when to stop."""

import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.capacity import LatencyBudget, expected_s
from tuner.errors import InputError, StudyChangedError, TunerError
from tuner.finals import finalists
from tuner.records import NOT_ITS_FAULT, Purpose, StudyRecord, TrialRecord, TrialState
from tuner.search import Search
from tuner.space import SearchSpace
from tuner.storage import Storage
from tuner.trial import Bench, TrialPlan, run_trial

# What a trial takes around its measuring, until the study's own trials say better.
_FIRST_GUESS_AROUND_S = 3.0
_Z = 1.96


@dataclass(frozen=True, kw_only=True)
class SearchBudget:
    """When to stop: `trials` of the search, `timeout_s` for all, finals included.

    The finals measure the `finalists` best configurations and the baseline again, each on
    `confirmations` fresh starts.
    """

    trials: int = 60
    timeout_s: float = 180.0
    finalists: int = 2
    confirmations: int = 1

    def __post_init__(self) -> None:
        for name, smallest in (("trials", 1), ("finalists", 1), ("confirmations", 0)):
            if getattr(self, name) < smallest:
                raise InputError(
                    f"`{name} >= {smallest}` must hold, but got {getattr(self, name)}"
                )
        if not self.timeout_s > 0:
            raise InputError(f"`timeout > 0` must hold, but got {self.timeout_s:g} s")

    @property
    def finals(self) -> int:
        """The trials after the search, the baseline's among them."""
        return self.confirmations * (self.finalists + 1)


def open_study(storage: Storage, study: StudyRecord) -> StudyRecord:
    """Create `study`, or continue the one of that name.

    Raises:
        StudyChangedError: The stored study has another model, space, request or latency budget.
    """
    if not storage.has_study(study.name):
        storage.create_study(study)
        return study
    stored = storage.study(study.name)
    facts = {
        "server": (stored.server, study.server),
        "model": (stored.model, study.model),
        "latency budget": (str(stored.budget), str(study.budget)),
        "request": (dict(stored.request), dict(study.request)),
        "model's files": (stored.model_fingerprint, study.model_fingerprint),
        "search space": (stored.space_fingerprint, study.space_fingerprint),
        "machine": (stored.hardware.get("fingerprint"), study.hardware.get("fingerprint")),
    }
    for name, (before, now) in facts.items():
        if before != now:
            raise StudyChangedError(
                f"study `{study.name}` cannot be continued: its {name} changed from {before} to "
                f"{now}{_changed_parameters(stored, study) if name == 'search space' else ''}",
                hint="choose another `--study NAME`, or go back to what it began with",
            )
    return stored


def _changed_parameters(stored: StudyRecord, study: StudyRecord) -> str:
    names = stored.parameters.keys() | study.parameters.keys()
    changed = sorted(n for n in names if stored.parameters.get(n) != study.parameters.get(n))
    return f" (changed: {', '.join(changed)})" if changed else " (its rules changed)"


class Study:
    """A study while it runs."""

    def __init__(
        self,
        study: StudyRecord,
        *,
        bench: Bench,
        space: SearchSpace,
        storage: Storage,
        budget: SearchBudget,
        seed: int,
    ) -> None:
        self._name = study.name
        self._bench = bench
        self._space = space
        self._storage = storage
        self._budget = budget
        self._seed = seed
        self._trials = list(study.trials)
        self._deadline = time.monotonic() + budget.timeout_s

    def run(self) -> StudyRecord:
        """Search and confirm until the search budget is spent; the study as it is stored then.

        Raises:
            TunerError: The baseline failed, so there is nothing to compare with.
        """
        search = Search(
            self._space,
            self._bench.budget,
            storage_url=self._storage.url,
            study_name=self._name,
            seed=self._seed + len(self._trials),
        )
        self._bench.golden = self._storage.golden(self._name)
        search.resume({t.proposal: t for t in self._trials if t.proposal is not None})
        self._enqueue(search)
        while self._has_time_for_another():
            proposal = search.ask()
            if proposal is None:
                break
            record = self._run(
                TrialPlan(
                    number=len(self._trials),
                    purpose=Purpose.SEARCH if self._searched else Purpose.BASELINE,
                    configuration=proposal.configuration,
                    proposal=proposal.number,
                    seed=self._seed,
                    beat=self._throughput_to_beat(),
                )
            )
            search.tell(proposal.number, record)
        self._confirm()
        return self._storage.study(self._name)

    @property
    def _searched(self) -> list[TrialRecord]:
        return [t for t in self._trials if t.purpose is not Purpose.FINAL]

    def _enqueue(self, search: Search) -> None:
        """The baseline, then rules of thumb, then everything if that is not too much."""
        search.enqueue(self._space.defaults)
        for hint in self._space.hints:
            search.enqueue(self._space.activate(hint))
        if self._space.size is not None and self._space.size <= self._budget.trials:
            for configuration in self._space.grid():
                search.enqueue(configuration)

    def _run(self, plan: TrialPlan) -> TrialRecord:
        record = run_trial(self._bench, plan)
        if plan.purpose is Purpose.BASELINE:
            self._check_baseline(record)
        self._storage.save_trial(self._name, record)
        self._trials.append(record)
        self._bench.observer.trial_ends(record)
        return record

    def _check_baseline(self, baseline: TrialRecord) -> None:
        """Keep the outputs to compare with; a failed baseline is not stored, but tried again."""
        if baseline.state is TrialState.FAILED:
            raise TunerError(
                f"the server's own defaults failed ({baseline.reason}): {baseline.message}"
                + (f"\nIts last words:\n{baseline.log_tail}" if baseline.log_tail else ""),
                hint=(
                    "this machine is too busy to measure: end what else runs on it"
                    if baseline.reason in NOT_ITS_FAULT
                    else "make the model work on this server first; then tune it"
                ),
            )
        if self._bench.golden is not None:
            self._storage.save_golden(self._name, self._bench.golden)

    def _throughput_to_beat(self) -> float:
        """The lower end of the best capacity so far: below it, a configuration is no winner."""
        return max(
            (
                t.throughput * math.exp(-_Z * t.log_error)
                for t in self._searched
                if t.state is TrialState.FEASIBLE
            ),
            default=0.0,
        )

    def _has_time_for_another(self) -> bool:
        if len(self._searched) >= self._budget.trials:
            return False
        if not self._searched:
            return True
        reserve_s = finals_s(self._trials, self._bench.budget, self._budget)
        return time.monotonic() + self._trial_s() + reserve_s < self._deadline

    def _trial_s(self) -> float:
        spent = [t.timings_s["total"] for t in self._trials]
        guess_s = expected_s(self._bench.budget) + _FIRST_GUESS_AROUND_S
        return statistics.mean(spent) if spent else guess_s

    def _confirm(self) -> None:
        """Measure the finalists again, on fresh starts, interleaved in random order."""
        study = self._storage.study(self._name)
        if not finals_s(self._trials, self._bench.budget, self._budget):
            return
        chosen = finalists(study, self._budget.finalists)
        order = random.Random(self._seed)  # noqa: S311 - an order, not a secret
        for round_number in range(self._budget.confirmations):
            for configuration in order.sample(chosen, len(chosen)):
                self._run(
                    TrialPlan(
                        number=len(self._trials),
                        purpose=Purpose.FINAL,
                        configuration=configuration,
                        # New arrivals: a winner must not owe its place to those of the search.
                        seed=self._seed + 1000 + len(study.finals) + round_number,
                        fresh=True,
                    )
                )


def finals_s(
    trials: Sequence[TrialRecord], budget: LatencyBudget, search_budget: SearchBudget
) -> float:
    """What to keep for the finals; 0 if they would take more than half of all the time.

    A final is a fresh start and a whole measurement, nothing pruned. Where there is no time for
    both, a search without finals finds more than finals without a search.
    """
    whole = [t.timings_s["total"] for t in trials if t.state is TrialState.FEASIBLE]
    each_s = max(whole, default=expected_s(budget) + _FIRST_GUESS_AROUND_S)
    total_s = each_s * search_budget.finals
    return total_s if total_s <= search_budget.timeout_s / 2 else 0.0


def planned_s(budget: LatencyBudget, search_budget: SearchBudget, size: int | None) -> float:
    """Roughly how long a study takes at most."""
    trials = search_budget.trials if size is None else min(search_budget.trials, size)
    each_s = expected_s(budget) + _FIRST_GUESS_AROUND_S
    return min(search_budget.timeout_s, (trials + search_budget.finals) * each_s)

"""The search of a study: what is tried next, what is learned of it, and when it is hopeless."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from tuner.analysis.hosts import speeds
from tuner.goals import Objective
from tuner.records import StudyRecord, TrialRecord, TrialState
from tuner.search.batch_advice import advised
from tuner.search.samplers import Sampler
from tuner.search.search import CanReload, Proposal, Search
from tuner.space.space import Configuration
from tuner.store.storage import Storage
from tuner.study.failed_trials import failed_trials
from tuner.study.study_plan import StudyPlan

# The search ends when no configuration promises a gain of this share any more (expected),
WORTHWHILE = 0.01
# this many times in a row.
_PATIENCE = 3


class Exploration:
    """A search that knows its study, while it runs."""

    def __init__(self, search: Search, plan: StudyPlan, study: StudyRecord) -> None:
        self._search = search
        self._plan = plan
        self._budget = study.budget
        sampler = Sampler(study.sampler)
        # Whether what was measured says what to try for more throughput.
        self._learns = sampler.learns and Objective.THROUGHPUT in study.objectives
        self._hopeless = 0
        self._has_learned = True

    def enqueue(self, study: StudyRecord, again: Sequence[TrialRecord]) -> None:
        """The baseline, the best of earlier studies, then rules of thumb; or simply everything."""
        space = self._plan.space
        repeated = [trial.configuration for trial in again]
        for configuration in (space.defaults, *repeated, *self._plan.first):
            self._search.enqueue(configuration)
        for hint in space.hints:
            self._search.enqueue(space.activate(hint))
        for trial in study.searched:
            self._advise(trial)
        if self._plan.fits:
            self._search.exhaust()

    def ask(self, current: Configuration | None, can_reload: CanReload) -> Proposal | str:
        """What to try next, where the server has the configuration `current`; or why nothing."""
        if self._has_learned:  # several are asked for at once: what was known counts once
            promising = self._plan.fits or self._search.promise() >= WORTHWHILE
            self._hopeless = 0 if promising else self._hopeless + 1
            self._has_learned = False
        if self._hopeless >= _PATIENCE:
            return f"no configuration left promised a gain of {WORTHWHILE:.0%}"
        return self._search.ask(current, can_reload) or "every configuration was tried"

    def learn(self, record: TrialRecord, proposal: int, speed: float) -> None:
        """What came of a proposal where the machine had this `speed`, over its first one."""
        self._search.tell(proposal, replace(record, throughput=record.throughput / speed))
        self._has_learned = True
        self._advise(record)

    def _advise(self, record: TrialRecord) -> None:
        """Have tried first what the server's own statistics of a trial suggest."""
        if not self._learns or record.state is not TrialState.FEASIBLE:
            return
        advice = advised(self._plan.space, record, self._budget.limit_s)
        if advice is not None:
            self._search.enqueue(advice, first=True)


@contextmanager
def exploration(study: StudyRecord, plan: StudyPlan, storage: Storage) -> Iterator[Exploration]:
    """The search, which goes on from what the study has recorded."""
    searching = Search(
        plan.space,
        study.budget,
        storage_url=storage.url,
        study_name=study.name,
        seed=plan.seed + len(study.trials),
        sampler=Sampler(study.sampler),
        objectives=study.objectives,
        patience=storage.patience,
        guard=storage.guard,
    )
    with closing(searching) as search:
        repeated = failed_trials(study, plan.retry)
        again = {trial.configuration for trial in repeated}
        known = [t for t in study.trials if t.configuration not in again]
        in_time = sorted(study.trials, key=lambda trial: trial.finished_at)
        factors = speeds(in_time).factors(known)
        corrected = [replace(t, throughput=t.throughput / factors[t.number]) for t in known]
        search.resume({t.proposal: t for t in corrected if t.proposal is not None})
        found = Exploration(search, plan, study)
        found.enqueue(study, repeated)
        yield found

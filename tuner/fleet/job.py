"""A job whose trials run on the hosts of a fleet: puts the parts together."""

from collections.abc import Callable
from contextlib import ExitStack

from tuner.fleet.crew import Crew
from tuner.fleet.log import FleetObserver
from tuner.fleet.study import study_on
from tuner.fleet.terms import Terms
from tuner.records import StudyRecord
from tuner.store.storage import Storage
from tuner.study import placement, workspaces
from tuner.study.clock import Clock
from tuner.study.deadline import Deadline
from tuner.study.earlier_best import earlier_best
from tuner.study.job import PreparedJob, owned, target_setup
from tuner.study.study_plan import StudyPlan
from tuner.study.time_plan import too_short


def run_on_fleet(
    prepared: PreparedJob,
    crew: Crew,
    observer: FleetObserver,
    say: Callable[[str], None] = lambda _: None,
) -> StudyRecord:
    """Run the study to its end on the hosts of the crew, which is the caller's to end.

    `say` is told in a sentence what an earlier study is begun with, and what becomes of hosts.

    Raises:
        StudyHeldError: Another process runs it.
        TunerError: The baseline failed, or no host can measure.
    """
    job, space = prepared.job, prepared.space
    if note := too_short(job.budget, job.search_budget, space.size):
        say(note)
    with ExitStack() as stack:
        workspace = stack.enter_context(workspaces.opened())
        target = prepared.kind.target(prepared.model, space, target_setup(job, workspace))
        storage = stack.enter_context(Storage(job.database, create=True, say=say))
        first = earlier_best(storage, job.warm_start, job.budget, space, say)
        wanted = placement.recorded(prepared.study, job.place)
        study, hold = stack.enter_context(owned(storage, wanted, job))
        for note in placement.notes(job.place, prepared.kind):
            say(note)
        plan = StudyPlan(
            space=space, budget=job.search_budget, seed=job.seed, first=first, retry=job.retry
        )
        clock = Clock()
        deadline = Deadline(job.search_budget, clock)
        terms = Terms(plan, deadline, clock, target.can_reload, say, job.tolerance, target.export)
        return study_on(crew, study, terms, storage=storage, hold=hold, observer=observer)

"""What becomes of a job: while its process runs, and once that is no more (pure)."""

from collections.abc import Callable
from dataclasses import dataclass

from tuner.store.jobs import ASKED_TO_STOP, INTERRUPTED, JobRecord, JobState, Wanted
from tuner.store.queue import QueuedJob, QueueState

# A job whose process was killed so often is given up.
_MOST_ATTEMPTS = 2


@dataclass(frozen=True)
class Fate:
    """The state that a job comes into, and why; `again`, it is to be continued."""

    state: QueueState
    why: str = ""
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What is known of a job whose process is no more.

    `record` is that of its study, which says why its search `stopped`; None if it never had one.
    `error` is what its output ends with. `restarted`, its machine has been started anew.
    """

    job: QueuedJob
    record: JobRecord | None
    stopped: str
    error: str
    restarted: bool

    @property
    def is_orderly(self) -> bool:
        """Whether its study came to its end, or to the one that was asked for."""
        record = self.record
        ended = record is not None and record.state is JobState.ENDED
        return ended and record is not None and record.why in ("", ASKED_TO_STOP, self.stopped)

    @property
    def problem(self) -> str:
        """Why it failed; empty if it was killed."""
        record = self.record
        if self.error or record is None or record.state is not JobState.ENDED:
            return self.error
        return "" if record.why == INTERRUPTED else record.why


def while_it_runs(job: QueuedJob, record: JobRecord | None) -> QueueState:
    """The state of a job whose process runs: what is asked of its study, from here or elsewhere.

    One that is to end stays so: it does its finals then, which look like any other trial.
    """
    if job.state is QueueState.STOPPING or record is None or not record.is_live:
        return job.state
    if record.wanted in (Wanted.STOP, Wanted.STOP_NOW):
        return QueueState.STOPPING
    # What it does follows within seconds: who has it go on, does not see it paused again.
    return QueueState.PAUSED if record.wanted is Wanted.PAUSE else QueueState.RUNNING


def at_its_end(ending: Ending, has_winner: Callable[[], bool]) -> Fate:
    """How a job ended, or that it goes on; `has_winner` is asked only where an end has an error.

    A study in which nothing met the latency budget came to its end, and says so by an error.
    """
    job = ending.job
    if job.cancelled_by:
        return Fate(QueueState.CANCELLED, f"cancelled by {job.cancelled_by}")
    if ending.is_orderly:
        failed = bool(ending.error) and has_winner()
        why = ending.error or (ending.record.why if ending.record else "")
        return Fate(QueueState.FAILED if failed else QueueState.DONE, why)
    if problem := ending.problem:
        return Fate(QueueState.FAILED, problem)
    return _killed(ending)


def _killed(ending: Ending) -> Fate:
    job = ending.job
    if job.state is QueueState.STOPPING:
        return Fate(QueueState.DONE, "its process was killed while it ended")
    if ending.restarted:
        why = "its machine was started anew; it goes on"
        return Fate(QueueState.RUNNING, why, again=True)
    if job.attempts < _MOST_ATTEMPTS:
        return Fate(QueueState.RUNNING, "its process was killed; it goes on", again=True)
    return Fate(
        QueueState.FAILED,
        f"its process was killed {job.attempts} times\n"
        f"hint: look at its log, and at the memory of the machine; `tuner resume {job.study}` "
        "goes on with it",
    )

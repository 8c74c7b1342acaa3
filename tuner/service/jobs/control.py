"""What is asked of a job: pause, go on, stop, cancel, wait at another place."""

from tuner.errors import TunerError
from tuner.service.jobs import secrets
from tuner.service.jobs.states import brought
from tuner.service.service import Service
from tuner.store import queue
from tuner.store.jobs import Wanted, want
from tuner.store.queue import QueuedJob, QueueState, queued_job, set_columns


def pause(service: Service, number: int, *, by: str) -> QueuedJob:
    """Have its study pause after the load point in progress; it keeps the machine.

    Raises:
        TunerError: It waits, ends or is over, or its study has not begun yet.
    """
    with service.changing:
        job = _running(service, number, "be paused")
        if job.state is QueueState.PAUSED:
            return job
        if job.state is QueueState.STOPPING:
            raise _ends(job, "be paused")
        _ask(service, job, Wanted.PAUSE, "be paused")
        return _brought(service, job, QueueState.PAUSED, by)


def go_on(service: Service, number: int, *, by: str) -> QueuedJob:
    """Have a paused study go on.

    Raises:
        TunerError: It is not paused.
    """
    with service.changing:
        job = _running(service, number, "go on")
        if job.state is not QueueState.PAUSED:
            raise TunerError(
                f"job {job.id} (study `{job.study}`) is not paused",
                hint=f"it is {job.state.value}",
            )
        # If it was killed meanwhile, nobody hears that; then the dispatcher has it go on.
        want(service.storage, job.study, Wanted.NOTHING)
        return _brought(service, job, QueueState.RUNNING, by)


def stop(service: Service, number: int, *, now: bool, by: str) -> QueuedJob:
    """Have its search end after the load point in progress; `now` is without finals.

    Raises:
        TunerError: It waits or is over, or its study has not begun yet.
    """
    with service.changing:
        job = _running(service, number, "be stopped")
        if job.cancelled_by:
            raise _ends(job, "be stopped")
        _ask(service, job, Wanted.STOP_NOW if now else Wanted.STOP, "be stopped")
        if job.state is QueueState.STOPPING:
            return job
        return _brought(service, job, QueueState.STOPPING, by)


def cancel(service: Service, number: int, *, by: str) -> QueuedJob:
    """Take it out of the queue, or end it without finals; what was measured is kept.

    Raises:
        TunerError: It is over.
    """
    with service.changing:
        taken = queue.bring(
            service.storage, number, QueueState.CANCELLED, expected=(QueueState.QUEUED,), by=by
        )
        if taken is not None:
            secrets.forget(service.settings, taken)
            return taken
        job = _found(service, number)
        if job.state.is_over:
            raise _is_over(job, "be cancelled")
        if job.cancelled_by:
            return job
        # The dispatcher ends it, whether its study has begun or not.
        set_columns(service.storage, job.id, cancelled_by=by)
        if job.state is QueueState.STOPPING:
            return _found(service, number)
        return _brought(service, job, QueueState.STOPPING, by, why="it was cancelled")


def move(service: Service, number: int, place: int) -> QueuedJob:
    """Have it wait at this place of the queue, from 0.

    Raises:
        TunerError: It does not wait.
    """
    job = queue.move(service.storage, number, place)
    if job is None:
        found = _found(service, number)
        raise TunerError(
            f"job {number} (study `{found.study}`) is {found.state.value}: it does not wait",
            hint="only jobs in the queue have a place",
        )
    return job


def _found(service: Service, number: int) -> QueuedJob:
    job = queued_job(service.storage, number)
    if job is None:
        raise TunerError(f"there is no job {number}", hint="the list of jobs has their numbers")
    return job


def _running(service: Service, number: int, what: str) -> QueuedJob:
    job = _found(service, number)
    if job.state is QueueState.QUEUED:
        raise TunerError(
            f"job {job.id} (study `{job.study}`) waits for its turn: it cannot {what}",
            hint="cancel it, or move it to another place",
        )
    if job.state.is_over:
        raise _is_over(job, what)
    return job


def _is_over(job: QueuedJob, what: str) -> TunerError:
    return TunerError(
        f"job {job.id} (study `{job.study}`) is {job.state.value}: it cannot {what}",
        hint="submit a new one",
    )


def _ends(job: QueuedJob, what: str) -> TunerError:
    return TunerError(
        f"job {job.id} (study `{job.study}`) was asked to end: it cannot {what}",
        hint="wait for its end",
    )


def _ask(service: Service, job: QueuedJob, wanted: Wanted, what: str) -> None:
    if want(service.storage, job.study, wanted) is None:
        raise TunerError(
            f"job {job.id}: its study `{job.study}` does not run yet, or has just ended: it "
            f"cannot {what}",
            hint="try it again in a few seconds, or cancel it",
        )


def _brought(
    service: Service, job: QueuedJob, state: QueueState, by: str, *, why: str = ""
) -> QueuedJob:
    found = brought(service.storage, job, state, why=why, by=by)
    return found or _found(service, job.id)

"""When the jobs that wait will begin, if those before them take all of their time."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from tuner.errors import InputError
from tuner.goals import SearchBudget
from tuner.service.service import Service
from tuner.store.jobs import live_jobs
from tuner.store.queue import ACTIVE, QueuedJob, QueueState, queued_jobs

_DAY = timedelta(days=1)


def expected_starts(service: Service) -> dict[int, datetime]:
    """Of each job that waits on this machine, by its number, in the order of the queue.

    Raises:
        StorageError: The database cannot be read.
    """
    storage = service.storage
    found = queued_jobs(storage, states=(*ACTIVE, QueueState.QUEUED), machine=service.machine)
    live = live_jobs(storage)
    lefts = [job.left_s for job in live.values() if job.is_here]
    prepared = [job for job in found if job.state.is_active and job.study not in live]
    lefts += [limits_of(service, job).timeout_s for job in prepared]
    waiting = [job for job in found if job.state is QueueState.QUEUED]
    now = datetime.now(UTC)
    free_at = now + timedelta(seconds=max(lefts, default=0.0))
    starts = starts_of(free_at, [limits_of(service, job) for job in waiting])
    return {job.id: start for job, start in zip(waiting, starts, strict=True)}


def starts_of(free_at: datetime, limits: Iterable[SearchBudget]) -> list[datetime]:
    """When each of these begins, one after the other, if the machine is free at `free_at`.

    One that is to be done by a time of the clock ends then; if its turn comes later,
    it takes no time.
    """
    found: list[datetime] = []
    for each in limits:
        found.append(free_at)
        free_at = _end(free_at, each)
    return found


def _end(begins_at: datetime, limits: SearchBudget) -> datetime:
    if limits.ends_at is None:
        return begins_at + timedelta(seconds=limits.timeout_s)
    return max(begins_at, limits.ends_at)


def limits_of(service: Service, job: QueuedJob) -> SearchBudget:
    """What the job is given; a time of the clock is the first one after somebody asked for it.

    An option that cannot be used any more has the job fail at once.
    """
    found = _limits_of(service.command.limits, json.dumps(job.options, sort_keys=True))
    if found.ends_at is None:
        return found
    days = (found.ends_at - job.submitted_at) // _DAY
    return replace(found, ends_at=found.ends_at - days * _DAY)


# Options are slow to read, and are the same whenever somebody looks at the queue.
@lru_cache(maxsize=10_000)
def _limits_of(limits: Callable[[Mapping[str, Any]], SearchBudget], options: str) -> SearchBudget:
    try:
        return limits(json.loads(options))
    except InputError:
        return SearchBudget(timeout_s=1e-3)

"""What routes about one job have in common: which one is meant."""

from typing import Annotated

from fastapi import Depends, Path

from tuner.service.api.problems import not_found
from tuner.service.service import Service, service_of
from tuner.store.queue import QueuedJob, job_called

Here = Annotated[Service, Depends(service_of)]
JobKey = Annotated[
    str,
    Path(
        description="The number of a job, or the name of its study.",
        min_length=1,
        max_length=200,
        examples=["7", "resnet50-night"],
    ),
]


def found_job(service: Service, key: str) -> QueuedJob:
    """The job that is meant.

    Raises:
        ProblemError: There is none.
    """
    found = job_called(service.storage, key) if key.isprintable() else None
    if found is None:
        raise not_found("job", key)
    return found

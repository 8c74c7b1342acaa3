"""What an application needs of this room."""

from fastapi import FastAPI

from tuner.service.pages import (
    actions,
    compare,
    files,
    jobs,
    machine,
    models,
    new_job,
    planner,
    problems,
    queue,
    studies,
    study,
)

ROUTERS = tuple(
    each.routes
    for each in (
        files, queue, new_job, actions, jobs, studies, study, compare, planner, machine, models,
    )
)  # fmt: skip


def install(app: FastAPI) -> None:
    """Have `app` show its problems, which it knows already, as pages."""
    problems.install(app)

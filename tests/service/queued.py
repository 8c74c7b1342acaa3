"""Jobs, and processes that stand in for `tuner`, as tests of the dispatcher need them."""

import os
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runners.process_names import own_name
from tests.runner_tests.waiting import dead_process, wait_until
from tests.store.raw import execute
from tuner.records import StudyRecord
from tuner.service.jobs import process
from tuner.service.jobs.submission import submitted
from tuner.service.service import Service
from tuner.store.database import Database
from tuner.store.jobs import JobRecord, JobState, Wanted
from tuner.store.ownership import held
from tuner.store.queue import QueuedJob, QueueState, queue_changes, queued_job

# What `tuner` is replaced by: runs until it is ended, or ends with an error.
WAITS = "exec sleep 60"
FAILS = "echo 'trial 0'; echo 'error: no such model'; echo 'hint: name another'; exit 2"
MOMENT = datetime(2026, 3, 7, 22, 0, tzinfo=UTC)


def stand_in(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(process, "_TUNER", ("/bin/sh", "-c", script, "tuner"))


def asked(service: Service, study: str, **wishes: Any) -> QueuedJob:
    """A job that waits."""
    options = {"budget_ms": 50.0, **wishes.pop("options", {})}
    return submitted(service, options, by="ann", study=study, **wishes)[0]


def now(service: Service, job: QueuedJob) -> QueuedJob:
    found = queued_job(service.storage, job.id)
    assert found is not None
    return found


def states(service: Service, job: QueuedJob) -> list[str]:
    return [each.state.value for each in queue_changes(service.storage, job=job.id)]


def is_over(job: QueuedJob) -> bool:
    return process.is_over(job.process)


def has_owner(storage: Database, name: str) -> None:
    """Studies that were taken here are another process's."""
    execute(storage.url, f"UPDATE tuner_jobs SET owner = '{name}'")  # noqa: S608


def gone() -> str:
    """The name of a process that has ended."""
    machine, _, rest = own_name().partition("/")
    return f"{machine}/{dead_process()}/{rest.split('/', 1)[1]}"


def of_another_start() -> str:
    """The name of a process before the machine was started anew."""
    return f"{socket.gethostname()}:1/{os.getpid()}/77/another"


def job(**wishes: Any) -> QueuedJob:
    """One that runs, for what needs no database."""
    usual = QueuedJob(
        id=7, study="night", machine="here", options={}, state=QueueState.RUNNING, position=1.0,
        by="ann", submitted_at=MOMENT, began_at=MOMENT, ended_at=None, why="", attempts=1,
        process=own_name(), log="", cancelled_by="", webhook="", idempotency_key=None, request="",
    )  # fmt: skip
    return replace(usual, **wishes)


def record(**wishes: Any) -> JobRecord:
    """The study of that job, as this process runs it."""
    usual = JobRecord(
        fence=1, owner=own_name(), state=JobState.RUNNING, wanted=Wanted.NOTHING, began_at=MOMENT,
        seen_at=MOMENT, ends_at=None, ended_at=None, why="", limits={}, log="", paused_with_s=None,
        retry=(),
    )  # fmt: skip
    return replace(usual, **wishes)


def end(job: QueuedJob) -> None:
    """Whatever is left of its process."""
    if job.process:
        with suppress(ProcessLookupError):
            os.killpg(int(job.process.split("/")[1]), 9)


def environment(name: str) -> list[bytes]:
    return Path(f"/proc/{name.split('/')[1]}/environ").read_bytes().split(b"\0")


def kill(job: QueuedJob) -> None:
    os.kill(int(job.process.split("/")[1]), signal.SIGKILL)
    wait_until(lambda: is_over(job))


def begin_study(service: Service, study: StudyRecord, *, owner: str) -> None:
    """A study that `owner` has begun and not ended."""
    service.storage.create_study(study)
    for each in study.trials:
        service.storage.save_trial(study.name, each)
    with held(service.storage, study.name, limits={"trials": 9, "ends_at": None}):
        pass
    change = "state = 'running', ended_at = NULL"
    execute(service.storage.url, f"UPDATE tuner_jobs SET {change}")  # noqa: S608
    has_owner(service.storage, owner)

"""Jobs whose studies run in this process, and those who watch them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.report import studies
from tuner.goals import SearchBudget
from tuner.service.jobs.submission import submitted
from tuner.service.service import Service
from tuner.store.ownership import Hold, held
from tuner.store.queue import QueuedJob, QueueState, bring
from tuner.store.storage import Storage


@dataclass(frozen=True)
class Message:
    """An event as it came."""

    id: str
    event: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Running:
    """A job that runs: what its study says is written with `hold` and `storage`."""

    job: QueuedJob
    hold: Hold
    storage: Storage


def waiting(service: Service, study: str = "night", by: str = "ada") -> QueuedJob:
    """A job in the queue."""
    return submitted(service, {"budget_ms": 50.0}, by=by, study=study)[0]


@contextmanager
def running(service: Service, study: str = "night", **wishes: Any) -> Iterator[Running]:
    """A job that has begun; its study ends with the block, the job stays as it is."""
    job = waiting(service, study)
    with Storage(service.settings.database, create=True) as storage:
        storage.create_study(studies.study(name=study, **wishes))
        begun = brought(service, job, QueueState.RUNNING)
        with held(storage, study, limits=SearchBudget().as_record()) as hold:
            yield Running(begun, hold, storage)


def brought(service: Service, job: QueuedJob, state: QueueState, why: str = "") -> QueuedJob:
    """The job in that state, whatever it was in."""
    found = bring(service.storage, job.id, state, expected=tuple(QueueState), why=why)
    assert found is not None
    return found


@contextmanager
def watching(
    client: httpx.Client, path: str, last: str | None = None
) -> Iterator[Iterator[Message]]:
    """What the stream at `path` tells, from after the id `last` on."""
    headers = {} if last is None else {"Last-Event-ID": last}
    with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        opening = list(iter(lambda: next(lines), ""))
        assert [each.partition(": ")[0] for each in opening] == ["id", "retry"]
        yield _messages(lines)


def _messages(lines: Iterator[str]) -> Iterator[Message]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            yield Message(fields["id"], fields["event"], json.loads(fields["data"]))
        fields = {}

"""A service with a database of its own, that listens, and a client that asks it.

The web server is the same for all of them: see `Stage`.
"""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.service.access import no_failures, served
from tests.service.queued import WAITS, end, stand_in
from tests.service.running import PLAIN, Stage, optimize, serving
from tuner.service.app import application
from tuner.service.jobs.dispatcher import Dispatcher
from tuner.service.service import Service
from tuner.service.settings import Settings
from tuner.store.queue import queued_jobs
from tuner.store.storage import Storage

__all__ = ["no_failures", "served"]  # fixtures of several modules


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with all tables: a copy is made in a tenth of the time."""
    path = tmp_path_factory.mktemp("empty") / "studies.db"
    with Storage(str(path), create=True):
        return path


@pytest.fixture(scope="session")
def database(empty_database: Path) -> Path:
    """What the database of each service is a copy of; modules may have another."""
    return empty_database


@pytest.fixture
def service(tmp_path: Path, database: Path) -> Iterator[Service]:
    """Without its dispatcher: jobs wait for ever."""
    settings = Settings(database=str(tmp_path / "studies.db"), folder=tmp_path / "service")
    shutil.copy(database, settings.database)
    with Storage(settings.database, create=True) as storage:
        yield Service(settings, storage, optimize())


@pytest.fixture
def kept_s() -> float:
    """How old answers may be, in seconds: tests that write to the database ask at once."""
    return 0.0


@pytest.fixture(scope="session")
def listening() -> Iterator[socket.socket]:
    """On a free port."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


@pytest.fixture(scope="session")
def stage(listening: socket.socket) -> Iterator[Stage]:
    found = Stage()
    with serving(found, listening):
        yield found


@pytest.fixture
def app(service: Service, listening: socket.socket, kept_s: float) -> FastAPI:
    port = listening.getsockname()[1]
    here = replace(service, settings=replace(service.settings, port=port))
    return application(here, kept_s=kept_s)


@pytest.fixture
def client(app: FastAPI, stage: Stage) -> Iterator[httpx.Client]:
    """With the token of the service."""
    settings = app.state.service.settings
    token = (settings.folder / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    url = f"http://127.0.0.1:{settings.port}"
    with stage.given_to(app), httpx.Client(base_url=url, headers=headers, verify=PLAIN) as found:
        yield found


@pytest.fixture
def at_work(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dispatcher]:
    """Takes its turns when it is told to; its processes wait, and are gone afterwards."""
    stand_in(monkeypatch, WAITS)
    yield Dispatcher(service)
    for each in queued_jobs(service.storage):
        end(each)

"""A service, and the command line that is told of it."""

from dataclasses import replace

import httpx
import pytest

from tests.report import studies
from tests.service.conftest import (  # noqa: F401 - fixtures
    app,
    client,
    database,
    empty_database,
    kept_s,
    listening,
    service,
    stage,
)
from tests.store.test_storage import write
from tuner.records import StudyRecord
from tuner.service.api import watching
from tuner.service.service import Service


@pytest.fixture(autouse=True)
def _looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service looks often for what happens, so that no test waits for a second."""
    monkeypatch.setattr(watching, "LOOK_S", 0.02)


@pytest.fixture
def url(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: F811
    """Where the service is; its token is in the variable, as a person would have it."""
    token = client.headers["authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("TUNER_SERVICE_TOKEN", token)
    return str(client.base_url).rstrip("/")


@pytest.fixture
def night(service: Service, url: str) -> StudyRecord:  # noqa: F811
    """A study of the service, whose database is the usual one of the folder here."""
    del url
    record = replace(studies.small_study(), name="night")
    write(service.settings.database, [record])
    return record

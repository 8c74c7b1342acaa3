"""One load engine for all tests: no run may leave anything to the next."""

from collections.abc import Iterator

import pytest

from tests.load.runs import REQUESTS
from tuner.load.client import LoadEngine


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[LoadEngine]:
    with LoadEngine() as engine:
        yield engine


@pytest.fixture
def engine(shared_engine: LoadEngine) -> LoadEngine:
    shared_engine.prepare(REQUESTS)
    return shared_engine

"""One real Triton for all tests of the targets; a test that needs another one starts its own."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from runners.base import RunningServer
from tests.targets.moody import moody
from tests.targets.triton.triton_targets import Served
from tuner.records import Applied
from tuner.space.expressions import Value
from tuner.space.space import Configuration
from tuner.study.deployment import Deployment
from tuner.targets.triton.target import TritonTarget


@dataclass
class Triton:
    """A target with its server; `configuration` is what the server has, None if that is unsure."""

    model: Served
    deployment: Deployment
    configuration: Configuration | None = None

    @property
    def target(self) -> TritonTarget:
        return self.model.target

    @property
    def server(self) -> RunningServer:
        return self.deployment.server

    def apply(self, **values: Value) -> Applied:
        configuration = self.model.configuration(**values)
        self.configuration = None
        applied = self.deployment.apply(configuration)
        self.configuration = configuration
        return applied


@pytest.fixture(scope="session")
def shared_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    model = moody(tmp_path_factory.mktemp("triton"))
    with model.deployment() as deployment:
        yield Triton(model, deployment)
    assert model.processes() == []


@pytest.fixture
def triton(shared_triton: Triton) -> Triton:
    """The shared server with the defaults, wherever the test before left it."""
    if shared_triton.configuration != shared_triton.model.configuration():
        shared_triton.apply()
    return shared_triton

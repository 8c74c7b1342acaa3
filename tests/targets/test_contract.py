"""The contract of all targets, kept by each of them on a server of its own."""

from collections.abc import Iterator

import pytest

from tests.servers import torchserve as torchserve_server
from tests.targets.command.test_target import served
from tests.targets.contract import Subject, TargetContract
from tests.targets.moody import moody
from tests.targets.tensorflow_serving import tensorflow_serving_targets
from tests.targets.torchserve import torchserve_targets


class TestTriton(TargetContract):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
        model = moody(tmp_path_factory.mktemp("triton"))
        defaults = model.configuration()
        other = model.configuration(instance_count=2, dynamic_batching=True)
        with model.deployment() as deployment:
            yield Subject(model.target, model.space, deployment, defaults, other)


class TestTorchServe(TargetContract):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
        if missing := torchserve_server.missing():
            pytest.skip(missing)
        mar = torchserve_targets.archive(tmp_path_factory.mktemp("mar"))
        model = torchserve_targets.served(tmp_path_factory.mktemp("torchserve"), mar)
        defaults, other = model.configuration(), model.configuration(workers=2, batch_size=2)
        with model.deployment() as deployment:
            yield Subject(model.target, model.space, deployment, defaults, other)


class TestTensorFlowServing(TargetContract):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
        model = tensorflow_serving_targets.served(tmp_path_factory.mktemp("tensorflow"))
        defaults, other = model.configuration(), model.batching(batch_timeout_micros=1000)
        with model.deployment() as deployment:
            yield Subject(model.target, model.space, deployment, defaults, other)


class TestCommand(TargetContract):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
        mine = served(tmp_path_factory.mktemp("command"))
        other = mine.configuration(threads=2, fast=True, level=3)
        with mine.deployment() as deployment:
            defaults = mine.configuration()
            yield Subject(mine.target, mine.space, deployment, defaults, other, counts=False)

"""Servers other than Triton in a real container: each starts, has what was asked, and answers.

That a study in containers finds a winner is proved with Triton, in test_optimize_docker.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runners.docker import ContainerSettings, DockerRunner
from tests.servers import docker
from tests.servers import torchserve as torchserve_server
from tests.servers.docker import ServerImage
from tests.servers.tensorflow_program import save_model
from tests.targets.torchserve.torchserve_targets import FORM, archive
from tuner.goals import LatencyBudget
from tuner.records import Grade, SettingVerdict
from tuner.space.expressions import Value
from tuner.study.deployment import Deployment
from tuner.study.job import Job, PreparedJob, prepare
from tuner.targets.base import TargetSetup
from tuner.targets.request_form import RequestForm


@dataclass(frozen=True)
class Contained:
    """A job whose servers run in containers, with what starts them."""

    prepared: PreparedJob
    target: Any
    deployment: Deployment

    def apply(self, **values: Value) -> Mapping[str, SettingVerdict]:
        """Start with these values and the defaults; a target's `apply` ends with an answer."""
        configuration = self.prepared.space.activate(values)
        self.deployment.apply(configuration)
        verdicts: Mapping[str, SettingVerdict] = self.target.verify(
            self.deployment.server, configuration
        )
        assert verdicts.keys() == configuration.keys()
        assert Grade.REFUTED not in {verdict.grade for verdict in verdicts.values()}
        return verdicts


@contextmanager
def contained(
    image: ServerImage, server: str, repository: Path, form: RequestForm
) -> Iterator[Contained]:
    """What `tuner optimize --runner docker` makes of its options, up to the first trial."""
    settings = ContainerSettings(image=image.name, mounts=image.mounts, shm_size="256m")
    prepared = prepare(
        Job(
            budget=LatencyBudget(99, 0.1),
            repository=repository,
            form=form,
            server=server,
            place=settings,
        )
    )
    workspace = repository.parent / "workspace"
    workspace.mkdir()
    setup = TargetSetup(workspace=workspace, form=form, contained=True)
    target = prepared.kind.target(prepared.model, prepared.space, setup)
    target.stage()
    with DockerRunner(settings) as runner, Deployment(target, runner) as deployment:
        yield Contained(prepared, target, deployment)


def test_a_torchserve(docker_image: str, tmp_path: Path) -> None:
    """It starts with its workers and batches, answers, and no container is left."""
    del docker_image  # which says what is missing
    if missing := torchserve_server.missing():
        pytest.skip(missing)
    archive(tmp_path / "store")
    with (
        docker.with_torchserve() as image,
        contained(image, "torchserve", tmp_path / "store", FORM) as torchserve,
    ):
        torchserve.apply(workers=1, batch_size=2)
        answers = torchserve.target.infer(torchserve.deployment.server, count=2)
        assert answers[0] == answers[1] != ()
    assert docker.containers() == []


def test_a_tensorflow_serving(docker_image: str, tmp_path: Path) -> None:
    """It makes batches of the size that was asked for, and no container is left."""
    del docker_image
    save_model(tmp_path / "models")
    with (
        docker.with_tensorflow_serving() as image,
        contained(image, "tensorflow_serving", tmp_path / "models", RequestForm()) as tensorflow,
    ):
        verdicts = tensorflow.apply(enable_batching=True, max_batch_size=8)
        answers = tensorflow.target.infer(tensorflow.deployment.server, count=2)
        assert verdicts["max_batch_size"].grade is Grade.CONFIRMED
        assert answers[0] == answers[1] != ()
    assert docker.containers() == []

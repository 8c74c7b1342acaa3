"""Servers other than Triton in a real container: each starts, has what was asked, and answers.

That a study in containers finds a winner is proved with Triton, in test_optimize_docker.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from runners.docker import ContainerSettings, DockerRunner
from tests.end_to_end import deployed
from tests.end_to_end.command import wait_until
from tests.report import studies
from tests.servers import docker
from tests.servers import torchserve as torchserve_server
from tests.servers.docker import ServerImage
from tests.servers.tensorflow_program import save_model
from tests.targets.torchserve.torchserve_targets import FORM, archive
from tuner.exports import formats
from tuner.exports.forms import ExportForm
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

    def exported(self, image: ServerImage, models: Path, **values: Value) -> str:
        """What `tuner best --format docker-run` prints of a study that tried these values."""
        configuration = self.prepared.space.activate(values)
        study = replace(
            self.prepared.study,
            options={"model_repository": str(models)},
            environment={"image": image.name},
            place={"runner": "docker", "mounts": [str(each) for each in image.mounts]},
        )
        file = self.target.export(configuration)
        trial = studies.trial(1, configuration=configuration, export=file)
        return formats.export(ExportForm.DOCKER_RUN, study, trial)


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
    """It starts with its workers and batches, answers, and so does what is deployed of it."""
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
        script = torchserve.exported(image, tmp_path / "store", workers=1, batch_size=2)
        torchserve.deployment.stop()
        with deployed.started(script, tmp_path):
            wait_until(_answers, "the right answer")  # `/ping` tells nothing about workers
    assert docker.containers() == []


def _answers() -> bool:
    answer = httpx.post("http://127.0.0.1:8080/predictions/totals", json=[1, 2])
    return answer.is_success and bool(answer.json() == {"length": 2, "sum": 3.0})


def test_a_tensorflow_serving(docker_image: str, tmp_path: Path) -> None:
    """It makes batches of the size that was asked for, and what is deployed of it starts."""
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
        values = {"enable_batching": True, "max_batch_size": 8}
        script = tensorflow.exported(image, tmp_path / "models", **values)
        tensorflow.deployment.stop()
        with deployed.started(script, tmp_path):
            path = f"/v1/models/{tensorflow.prepared.model.name}"
            state = httpx.get(f"http://127.0.0.1:8501{path}").json()
            assert state["model_version_status"][0]["state"] == "AVAILABLE"
    assert docker.containers() == []

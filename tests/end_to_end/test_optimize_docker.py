"""The main job with a real Triton in real containers, and what is left of them."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from runners.docker import ContainerSettings, DockerRunner
from tests.end_to_end import deployed
from tests.end_to_end.command import OPTIMIZE, TUNER, Finished, begin, tuner, wait_until
from tests.servers import docker
from tests.servers.docker import PrivateEngine, ServerImage
from tests.spaces import integer
from tests.targets.triton.ensembles import BIG_BYTES, opened, write_ensemble, write_reading
from tests.targets.triton.triton_targets import built_in, infer, write_form
from tuner.errors import Reason, TrialFailure, TunerError
from tuner.records import Grade
from tuner.space.settings import ServerFlag
from tuner.space.space import SearchSpace
from tuner.store.storage import Storage
from tuner.study.deployment import Deployment
from tuner.targets.base import ModelSource, TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.triton.ensemble_target import target_of
from tuner.targets.triton.model import open_model
from tuner.targets.triton.target import TritonTarget

STUDY = "contained"
TRITON = "http://127.0.0.1:8000"
SHORT = ("--study", STUDY, "--confirmations", "0")


@pytest.fixture(scope="module")
def image(docker_image: str) -> Iterator[ServerImage]:
    del docker_image  # which says what is missing
    with docker.with_triton() as image:
        yield image


@pytest.fixture(scope="module")
def optimized(image: ServerImage, folder: Path) -> Finished:
    options = (*OPTIMIZE, *SHORT, "--trials", "3", "--timeout", "3m", "--json")
    return tuner(*options, *image.options, folder=folder)


def test_a_triton_in_a_container_is_tuned(optimized: Finished) -> None:
    """There is a winner, found by reloads and restarts, and every parameter was verified."""
    assert optimized.status == 0, optimized.err
    content = optimized.json
    assert content["winner"]["throughput"] >= content["baseline"]["throughput"] > 0
    assert {trial["applied"] for trial in content["trials"]} == {"reload", "restart"}
    for trial in content["trials"]:
        assert set(trial["verdicts"]) == set(trial["configuration"])
        assert set(trial["verdicts"].values()) <= {"confirmed", "accepted"}


def test_what_the_server_takes_is_known(optimized: Finished, folder: Path) -> None:
    """Processor time and memory are those of the processes in the container."""
    assert optimized.status == 0
    with Storage(str(folder / "studies.db")) as storage:
        baseline = storage.study(STUDY).trials[0]
    assert baseline.usage.memory_bytes > 10e6
    assert baseline.usage.cpu_s > 0


def test_the_image_is_recorded(optimized: Finished, image: ServerImage) -> None:
    """The study says which image it measured, and what that held."""
    environment = optimized.json["environment"]
    assert environment["image"] == image.name
    assert environment["image_digest"].startswith("sha256:")


def test_no_container_is_left(optimized: Finished) -> None:
    """A study that has ended leaves no container."""
    assert optimized.status == 0
    assert docker.containers() == []


def test_the_winner_is_deployed(optimized: Finished, image: ServerImage, folder: Path) -> None:
    """The script of `docker-run` starts a Triton with that configuration, which answers."""
    winner = optimized.json["winner"]["configuration"]
    script = tuner("best", STUDY, "--format", "docker-run", folder=folder)
    assert image.name in script.out, script.err
    with deployed.started(script.out, folder):
        configured = _configuration(TRITON)
        assert _outputs(TRITON) == ["embedding"]
    assert configured["instance_group"][0]["count"] == winner["instance_count"]
    assert ("dynamic_batching" in configured) == winner["dynamic_batching"]


def test_docker_reads_the_environment(
    optimized: Finished, image: ServerImage, folder: Path
) -> None:
    """The file of `env` says the same to `docker run --env-file` as the script does."""
    threads = optimized.json["winner"]["configuration"]["threads"]
    (folder / "tuned.env").write_text(tuner("best", STUDY, "--format", "env", folder=folder).out)
    with deployed.created(image.name, "--env-file", str(folder / "tuned.env")) as container:
        assert f"OMP_NUM_THREADS={threads}" in deployed.environment(container)


def test_the_winner_is_run(optimized: Finished, folder: Path) -> None:
    """`tuner run` serves in a container of its own, with the trace of the server outside of it."""
    assert optimized.status == 0
    with begin("run", STUDY, "--port", "http=8000", "--profile", folder=folder) as process:
        wait_until(lambda: _is_ready(process), "the server")
        assert _outputs(TRITON) == ["embedding"]
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    trace = folder / "profiles" / STUDY / "trace.json"
    assert f"trace: {trace}" in said
    assert any(each.get("model_name") == "encoder" for each in json.loads(trace.read_text()))
    assert docker.containers() == []


def _is_ready(process: subprocess.Popen[str]) -> bool:
    assert process.poll() is None
    with suppress(httpx.TransportError):
        return httpx.get(f"{TRITON}/v2/models/encoder/ready").is_success
    return False


def _configuration(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/v2/models/encoder/config").json()
    return found


def _outputs(url: str) -> list[str]:
    """What an inference answers with."""
    sequence = {"name": "sequence", "datatype": "FP32", "shape": [1, 8, 96], "data": [0.5] * 768}
    answer = httpx.post(f"{url}/v2/models/encoder/infer", json={"inputs": [sequence]})
    return [each["name"] for each in answer.raise_for_status().json()["outputs"]]


def test_a_flag_that_the_image_s_server_does_not_have(image: ServerImage, tmp_path: Path) -> None:
    """Its `--help` cannot be asked beforehand: the trial fails with what it says of the flag."""
    flag = replace(integer("grpc_threads"), sets=ServerFlag("--grpc-infer-thread-count"))
    model = open_model(ModelSource())
    space = model.adapt(SearchSpace("triton", (flag,)), contained=True)
    setup = TargetSetup(workspace=tmp_path, form=RequestForm(), contained=True)
    target = TritonTarget.of(model, space, setup)
    target.stage()
    settings = ContainerSettings(image=image.name, mounts=image.mounts)
    with (
        DockerRunner(settings) as runner,
        Deployment(target, runner) as deployment,
        pytest.raises(TrialFailure) as caught,
    ):
        deployment.apply(space.defaults)

    assert caught.value.reason is Reason.START_FAILED
    assert str(caught.value).endswith("unrecognized option '--grpc-infer-thread-count=1'")


def test_an_ensemble_with_files_beside_it(image: ServerImage, tmp_path: Path) -> None:
    """The parts are set in the container, which finds the files that lie beside them."""
    models = tmp_path / "models"
    write_reading(models)
    write_form(models, "head", 3.0)
    write_ensemble(models, "both", ["head", "reads"])
    model = opened(models, "both")
    space = model.adapt(built_in(), contained=True)
    workspace = tmp_path / "workspace"
    setup = TargetSetup(workspace=workspace, form=RequestForm(), contained=True)
    target = target_of(model, space, setup)
    target.stage()
    settings = ContainerSettings(image=image.name, mounts=image.mounts)
    with DockerRunner(settings) as runner, Deployment(target, runner) as deployment:
        for count in (1, 2):
            configuration = space.activate({"reads.instance_count": count})
            deployment.apply(configuration)
            verdicts = target.verify(deployment.server, configuration)
            assert verdicts["reads.instance_count"].grade is Grade.CONFIRMED
        answer = infer(deployment.server, "both", x=np.ones((1, 4), np.float32))
    assert answer["y"][0, 0] == 3 * 5 + BIG_BYTES


def begun(image: ServerImage, folder: Path) -> subprocess.Popen[str]:
    """A search whose first trial has a container that runs."""
    process = begin(*OPTIMIZE, *SHORT, *image.options, folder=folder)
    wait_until(lambda: docker.running() != [], "a container")
    return process


def test_interrupted(image: ServerImage, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a trial removes the container before the command ends."""
    with begun(image, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the server is gone" in said
    assert docker.containers() == []


def test_killed(image: ServerImage, tmp_path: Path) -> None:
    """What a killed tuner leaves is removed by the next one, or by `tuner clean`."""
    with begun(image, tmp_path) as process:
        process.kill()
        process.communicate(timeout=60)
    [left] = docker.containers()
    cleaned = tuner("clean", folder=tmp_path)
    assert cleaned.status == 0
    assert f"removed container {left[:12]}" in cleaned.out
    assert f"tuner.study={STUDY}" in cleaned.out
    assert docker.containers() == []


@pytest.fixture
def own_engine(docker_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateEngine]:
    del docker_image
    with docker.private_engine() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        yield engine


def test_engine_restarted_in_mid_trial(own_engine: PrivateEngine, tmp_path: Path) -> None:
    """A restart of the engine costs the trial in progress at most, and the study goes on."""
    with docker.with_triton() as image:
        options = (*SHORT, "--trials", "2", "--timeout", "70s", "--network", "host", "--json")
        command: list[Path | str] = [TUNER, *OPTIMIZE, *options, *image.options]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            wait_until(_has_stored_a_trial(tmp_path), "the first trial", timeout_s=120)
            own_engine.stop()
            own_engine.start()
            out, said = process.communicate(timeout=300)
        finished = Finished(process.returncode, out, said)
        assert finished.status == 0, said
        states = [trial["state"] for trial in finished.json["trials"]]
        assert states.count("failed") <= 1, said
        assert finished.json["winner"]["throughput"] > 0
        assert docker.containers() == []


def _has_stored_a_trial(folder: Path) -> Callable[[], bool]:
    def has() -> bool:
        # A command that asks so again and again disturbs what is measured.
        with suppress(TunerError), Storage(str(folder / "studies.db")) as storage:
            return bool(storage.study(STUDY, brief=True).trials)
        return False

    return has

"""The main job on remote servers: they are changed, and changed back."""

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runners.base import RunningServer
from runners.process import ProcessRunner
from tests.end_to_end.command import EASY, begin, tuner, wait_until
from tests.servers import torchserve as torchserve_server
from tests.targets.torchserve.torchserve_targets import archive, served
from tests.targets.triton.triton_targets import built_in
from tuner import demo
from tuner.clients.torchserve import TorchServeClient
from tuner.clients.v2_http import V2Client
from tuner.space.space import Configuration
from tuner.targets.base import ModelSource, TargetSetup
from tuner.targets.catalog import server_kind
from tuner.targets.request_form import RequestForm

SHORT = ("--trials", "2", "--timeout", "4m", "--confirmations", "0")
REMOTE = ("optimize", *EASY, "--runner", "remote", "--study", "remote", "--url")


@pytest.fixture(scope="module")
def triton(folder: Path) -> Iterator[RunningServer]:
    """A Triton with the bundled model, loaded with settings of its owner's own."""
    kind = server_kind("triton")
    model = kind.open_model(ModelSource())
    space = model.adapt(built_in(), contained=False)
    setup = TargetSetup(workspace=folder, form=RequestForm())
    target = kind.target(model, space, setup)
    target.stage()
    own = space.activate({"instance_count": 2, "threads": 1})
    with ProcessRunner(log_directory=folder / "logs").start(target.launch_spec(own)) as server:
        target.apply(server, own)
        yield server


def settings(server: RunningServer) -> Mapping[str, Any]:
    with V2Client(server.url("http")) as client:
        return client.config(demo.MODEL)


def test_a_remote_triton(triton: RunningServer, folder: Path) -> None:
    """What it can reload is searched, from its own settings on; they are put back at the end."""
    before = settings(triton)
    finished = tuner(*REMOTE, triton.url("http"), *SHORT, "--json", folder=folder)
    assert finished.status == 0, finished.err
    content = finished.json
    assert content["baseline"]["configuration"]["instance_count"] == 2
    assert {trial["applied"] for trial in content["trials"]} == {"reload"}
    assert "threads" not in content["winner"]["configuration"]
    assert "the server has its own settings again" in finished.err
    assert settings(triton) == before


def test_interrupted(triton: RunningServer, folder: Path) -> None:
    """After Ctrl-C too, here as the same study goes on, the server has its own settings."""
    before = settings(triton)
    with begin(*REMOTE, triton.url("http"), "--trials", "9", folder=folder) as process:
        wait_until(lambda: settings(triton) != before, "another configuration", timeout_s=120)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the server has its own settings again" in said
    assert settings(triton) == before


def test_a_remote_torchserve(tmp_path: Path) -> None:
    """Workers and batches are searched over its management API, and put back at the end."""
    if missing := torchserve_server.missing():
        pytest.skip(missing)
    owned = served(tmp_path, archive(tmp_path / "mar"))
    own: Configuration = owned.configuration(workers=2, batch_size=2, max_batch_delay=20)
    (tmp_path / "request.json").write_text("[1, 2]")
    with owned.deployment() as deployment:
        deployment.apply(own)
        server = deployment.server
        ports = [f"{name}={server.ports[name]}" for name in ("management", "metrics")]
        finished = tuner(
            *("optimize", "--server", "torchserve", *EASY, "--runner", "remote"),
            *("--url", server.url("inference"), "--port", ports[0], "--port", ports[1], *SHORT),
            *("--body", "request.json", "--content-type", "application/json", "--json"),
            folder=tmp_path,
        )
        assert finished.status == 0, finished.err
        baseline = finished.json["baseline"]["configuration"]
        assert baseline == {"batch_size": 2, "max_batch_delay": 20, "workers": 2}
        with TorchServeClient.of(server) as client:
            described = client.describe("totals")
    assert described is not None
    found = {name: described.settings[name] for name in ("minWorkers", "batchSize")}
    assert found == {"minWorkers": 2, "batchSize": 2}
    assert described.settings["maxBatchDelay"] == 20

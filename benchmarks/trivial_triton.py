"""A real Triton with a model that gives back what it gets: 16 numbers."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runners.base import LaunchSpec, RunningServer
from runners.process import ProcessRunner
from tuner.clients.v2_http import V2Client
from tuner.load.requests import TensorSpec
from tuner.targets.triton import install as triton_install

MODEL = "echo"
INPUT = TensorSpec("INPUT", "FP32", (16,))

_CONFIG = """
backend: "python"
max_batch_size: 0
input { name: "INPUT" data_type: TYPE_FP32 dims: [ 16 ] }
output { name: "OUTPUT" data_type: TYPE_FP32 dims: [ 16 ] }
instance_group { kind: KIND_CPU count: 1 }
"""
_CODE = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        tensor = pb_utils.get_input_tensor_by_name(request, "INPUT")
        output = pb_utils.Tensor.from_dlpack("OUTPUT", tensor.to_dlpack())
        return pb_utils.InferenceResponse([output])
"""


@contextmanager
def trivial_triton() -> Iterator[RunningServer]:
    """Listens on its ports `http` and `grpc` for as long as the `with` block lasts."""
    # Shared memory is named after this folder.
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        write_model(folder / "repository")
        runner = ProcessRunner(log_directory=folder / "logs")
        with runner.start(_launch_spec(folder)) as server:
            yield server


def write_model(repository: Path) -> None:
    """Write the model into a model repository, which need not be there."""
    model = repository / MODEL
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(_CONFIG)
    (model / "1" / "model.py").write_text(_CODE)


def _launch_spec(folder: Path) -> LaunchSpec:
    installation = triton_install.find_triton(folder)
    shm_prefix = f"{folder.name}-"
    return LaunchSpec(
        command=(
            str(installation.executable),
            f"--model-repository={folder / 'repository'}",
            "--model-control-mode=none",
            *installation.flags,
            "--http-address=127.0.0.1",
            "--http-port={port:http}",
            "--allow-grpc=true",
            "--grpc-address=127.0.0.1",
            "--grpc-port={port:grpc}",
            "--allow-metrics=false",
            f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        ),
        environment=installation.environment,
        ports=("http", "grpc"),
        stop_grace_s=3.0,
        leftovers=(f"/dev/shm/{shm_prefix}*",),  # noqa: S108 - named by the server
    )


def answered(server: RunningServer) -> int:
    """How many requests the model has answered so far."""
    with V2Client(server.url("http")) as client:
        return client.statistics(MODEL).inferences

"""One real Triton that speaks HTTP and gRPC, for the tests of the control plane."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runners.base import LaunchSpec, RunningServer
from runners.process import ProcessRunner
from tuner.targets.triton import install as triton_install

# Twice the numbers, and the strings as they are.
_DOUBLE_CONFIG = """
backend: "python"
max_batch_size: 8
input { name: "numbers" data_type: TYPE_FP32 dims: [ 4 ] }
input { name: "words" data_type: TYPE_STRING dims: [ 2 ] }
output { name: "doubled" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "same" data_type: TYPE_STRING dims: [ 2 ] }
instance_group { kind: KIND_CPU count: 1 }
"""
_DOUBLE_CODE = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        numbers = pb_utils.get_input_tensor_by_name(request, "numbers").as_numpy()
        words = pb_utils.get_input_tensor_by_name(request, "words").as_numpy()
        outputs = [pb_utils.Tensor("doubled", 2 * numbers), pb_utils.Tensor("same", words)]
        return pb_utils.InferenceResponse(outputs)
"""
# It has every trait but a batch dimension; nothing is ever asked of it.
_SPECIAL_CONFIG = """
backend: "python"
max_batch_size: 0
input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
sequence_batching { max_sequence_idle_microseconds: 5000000 }
model_transaction_policy { decoupled: true }
instance_group { kind: KIND_CPU count: 1 }
"""
_SPECIAL_CODE = """
class TritonPythonModel:
    def execute(self, requests):
        return None
"""


@pytest.fixture(scope="session")
def plain_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The models `double` and `special` on the ports `http` and `grpc` of this machine."""
    # Shared memory is named after this folder: no two runs of the tests may have the same.
    folder = Path(tempfile.mkdtemp(prefix="plain-", dir=tmp_path_factory.mktemp("triton")))
    repository = folder / "repository"
    _add_model(repository / "double", _DOUBLE_CONFIG, _DOUBLE_CODE)
    _add_model(repository / "special", _SPECIAL_CONFIG, _SPECIAL_CODE)
    runner = ProcessRunner(log_directory=folder / "logs")
    with runner.start(_launch_spec(repository, folder)) as server:
        yield server


def _add_model(folder: Path, config: str, code: str) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config)
    (folder / "1" / "model.py").write_text(code)


def _launch_spec(repository: Path, folder: Path) -> LaunchSpec:
    installation = triton_install.find_triton(folder)
    shm_prefix = f"{folder.name}-"
    return LaunchSpec(
        command=(
            str(installation.executable),
            f"--model-repository={repository}",
            "--model-control-mode=explicit",
            "--load-model=*",
            *installation.flags,
            "--http-address=127.0.0.1",
            "--http-port={port:http}",
            "--grpc-address=127.0.0.1",
            "--grpc-port={port:grpc}",
            "--allow-metrics=false",
            f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        ),
        environment=installation.environment,
        ports=("http", "grpc"),
        stop_grace_s=0.0,
        leftovers=(f"/dev/shm/{shm_prefix}*",),  # noqa: S108 - named by the server
    )

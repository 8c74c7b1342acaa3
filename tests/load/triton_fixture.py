"""A real Triton with models that say what reached them: of every type, stateful, and decoupled."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import grpc
import pytest

from runners.base import LaunchSpec
from runners.process import ProcessRunner
from tests.load.exchange import exchange
from tuner.load.profile import Endpoint
from tuner.protocols import generic_http
from tuner.protocols.tensors.values import NUMBER_TYPES
from tuner.targets.triton import install as triton_install

TYPES = (*NUMBER_TYPES, "BYTES")

# Gives each input back, and the request's parameters as JSON.
_ECHO_CONFIG = """
backend: "python"
max_batch_size: 0
output { name: "parameters" data_type: TYPE_STRING dims: [ 1 ] }
""" + "".join(
    f"""
input {{ name: "in_{name}" data_type: TYPE_{kind} dims: [ -1, -1 ] optional: true }}
output {{ name: "out_{name}" data_type: TYPE_{kind} dims: [ -1, -1 ] }}
"""
    for name, kind in ((each, each.replace("BYTES", "STRING")) for each in TYPES)
)
_ECHO_CODE = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        outputs = [
            pb_utils.Tensor(each.name().replace("in_", "out_"), each.as_numpy())
            for each in request.inputs()
        ]
        parameters = np.array([request.parameters()], dtype=np.object_)
        outputs.append(pb_utils.Tensor("parameters", parameters))
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse([each for each in outputs if each.name() in wanted])
"""
# Counts the steps of each sequence.
_COUNTER_CONFIG = """
backend: "python"
max_batch_size: 0
input { name: "x" data_type: TYPE_INT32 dims: [ 1 ] }
output { name: "state" data_type: TYPE_UINT64 dims: [ 4 ] }
sequence_batching {
  max_sequence_idle_microseconds: 5000000
  control_input { name: "START" control {
    kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } }
  control_input { name: "END" control { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } }
  control_input { name: "ID" control {
    kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
}
instance_group { kind: KIND_CPU count: 1 }
"""
_COUNTER_CODE = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.steps = {}

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        start, end, id = (
            int(pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()[0])
            for name in ("START", "END", "ID")
        )
        self.steps[id] = 1 if start else self.steps[id] + 1
        state = np.array([id, start, end, self.steps[id]], dtype=np.uint64)
        return pb_utils.InferenceResponse([pb_utils.Tensor("state", state)])
"""
# Answers as often as the input says; below 0 with an error after that many answers.
_REPEAT_CONFIG = """
backend: "python"
max_batch_size: 0
input { name: "times" data_type: TYPE_INT32 dims: [ 1 ] }
output { name: "number" data_type: TYPE_INT32 dims: [ 1 ] }
model_transaction_policy { decoupled: true }
instance_group { kind: KIND_CPU count: 1 }
"""
_REPEAT_CODE = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            times = int(pb_utils.get_input_tensor_by_name(request, "times").as_numpy()[0])
            sender = request.get_response_sender()
            for number in range(abs(times)):
                output = pb_utils.Tensor("number", np.array([number], dtype=np.int32))
                sender.send(pb_utils.InferenceResponse([output]))
            if times < 0:
                error = pb_utils.TritonError("out of numbers")
                sender.send(pb_utils.InferenceResponse(error=error))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
_MODELS = {
    "echo": (_ECHO_CONFIG, _ECHO_CODE),
    "counter": (_COUNTER_CONFIG, _COUNTER_CODE),
    "repeat": (_REPEAT_CONFIG, _REPEAT_CODE),
}


@dataclass(frozen=True)
class TritonServer:
    """Where it listens, over HTTP and over gRPC."""

    http: Endpoint
    channel: grpc.Channel


@pytest.fixture(scope="session")
def triton_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """The models `echo`, `counter` and `repeat`."""
    # Shared memory is named after this folder: no two runs of the tests may have the same.
    folder = Path(tempfile.mkdtemp(prefix="requests-", dir=tmp_path_factory.mktemp("triton")))
    repository = folder / "repository"
    for name, (config, code) in _MODELS.items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(config)
        (repository / name / "1" / "model.py").write_text(code)
    with (
        ProcessRunner(log_directory=folder / "logs").start(_launch(repository, folder)) as server,
        grpc.insecure_channel(f"{server.host}:{server.ports['grpc']}") as channel,
    ):
        yield TritonServer(Endpoint(server.host, server.ports["http"]), channel)


@contextmanager
def shared_region(server: Endpoint) -> Iterator[tuple[str, memoryview]]:
    """A region of system shared memory that the server knows: its name, and its bytes."""
    memory = SharedMemory(create=True, size=4096)
    path = f"/v2/systemsharedmemory/region/{memory.name}"
    place = {"key": f"/{memory.name}", "offset": 0, "byte_size": memory.size}
    register = generic_http.prepare(server, f"{path}/register", body=json.dumps(place).encode())
    status, _, text = exchange(server, register)
    try:
        assert status == 200, text
        assert memory.buf is not None
        yield memory.name, memory.buf
    finally:
        exchange(server, generic_http.prepare(server, f"{path}/unregister"))
        memory.close()
        memory.unlink()


def _launch(repository: Path, folder: Path) -> LaunchSpec:
    installation = triton_install.find_triton(folder)
    shm_prefix = f"{folder.name}-"
    return LaunchSpec(
        command=(
            str(installation.executable),
            f"--model-repository={repository}",
            "--model-control-mode=none",
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

"""Any model as a target on a real Triton, with the built-in space of its backend."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from google.protobuf.message import Message
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2

from runners.base import RunningServer
from tests.targets import served as served_targets
from tuner.clients.v2_http import V2Client
from tuner.load.requests import Tensor
from tuner.protocols.tensors.datatypes import NUMPY_TYPES
from tuner.protocols.tensors.values import to_array
from tuner.space import spec
from tuner.space.expressions import Value
from tuner.space.resolution import search_space
from tuner.space.space import SearchSpace
from tuner.targets.base import TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.triton import config as model_config
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.target import TritonTarget

FACTS = {
    "cores": 2,
    "memory_gib": 8,
    "numa_nodes": 1,
    "threads_per_core": 1,
    "numactl": 0,
    "gpus": 0,
}
_LONGEST_S = 120.0
_KINDS = {np.dtype(kind): name for name, kind in NUMPY_TYPES.items() if name != "BF16"}

_CONFIG = """
{backend}
max_batch_size: 8
input {{ name: "x" data_type: TYPE_FP32 dims: 4 }}
output {{ name: "y" data_type: TYPE_FP32 dims: 4 }}
instance_group {{ kind: KIND_CPU count: {instances} }}
"""
_CODE = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", np.float32({factor}) * x)])
"""


def built_in(name: str = "triton", **facts: int) -> SearchSpace:
    """A shipped space on a machine of this size."""
    return search_space(spec.built_in()[name], {**FACTS, **facts})


def parsed(text: str) -> Message:
    """A model's configuration."""
    message: Message = model_config_pb2.ModelConfig()
    return text_format.Parse(text, message)


def write_model(repository: Path, name: str = "m", config: str = "max_batch_size: 8\n") -> Path:
    """A model that nobody serves."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text("weights = 1\n")
    (folder / "config.pbtxt").write_text(config)
    return folder


class Served(served_targets.Served[TritonTarget]):
    """A Triton with one model of the study."""

    def add(self, server: RunningServer, model: TritonModel) -> None:
        """Give the server another model, which is none of the target's."""
        model.stage(self.folder / "repository")
        with V2Client(server.url("http"), timeout_s=_LONGEST_S) as client:
            client.load(model.name, model_config.as_json(model.config))


def served(
    folder: Path,
    model: TritonModel,
    *,
    searched: SearchSpace | None = None,
    kind: type[TritonTarget] = TritonTarget,
    start_timeout_s: float = _LONGEST_S,
    contained: bool = False,
    **usual: Value,
) -> Served:
    """Under the space that is `searched`, or the model's; one thread, if nothing else is usual.

    The space is what it is in a container, though the server is none, if `contained`.
    """
    # Shared memory is named after this folder: no two runs of the tests may have the same.
    workspace = Path(tempfile.mkdtemp(prefix="served-", dir=folder))
    written = searched or built_in(model.space)
    space = model.adapt(written, contained=contained)
    form = model.fit_form(RequestForm())
    setup = TargetSetup(workspace=workspace, form=form, start_timeout_s=start_timeout_s)
    target = kind.of(model, space, setup)
    target.stage()
    return Served(target, space, workspace, {"threads": 1, **usual})


def infer(server: RunningServer, model: str, **arrays: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    """What the server answers, as arrays."""
    tensors = [
        Tensor(name, _KINDS[array.dtype], array.shape, array.tobytes())
        for name, array in arrays.items()
    ]
    with V2Client(server.url("http"), timeout_s=_LONGEST_S) as client:
        outputs = client.infer(model, tensors)
    return {each.name: to_array(each) for each in outputs}


def write_form(
    repository: Path,
    name: str,
    factor: float = 2.0,
    *,
    backend: str = 'backend: "python"',
    instances: int = 1,
) -> None:
    """A model of the Python backend that gives `factor` times its input."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(_CONFIG.format(backend=backend, instances=instances))
    (folder / "1" / "model.py").write_text(_CODE.replace("{factor}", str(factor)))

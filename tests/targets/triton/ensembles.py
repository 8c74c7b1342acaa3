"""Ensembles and models that ask others, for a real Triton, made of small Python models."""

from collections.abc import Sequence
from pathlib import Path

from tests.targets.triton.triton_targets import write_form
from tuner.targets.base import ModelSource
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.model import open_model

_ENSEMBLE = """
platform: "ensemble"
max_batch_size: {largest}
input {{ name: "x" data_type: TYPE_FP32 dims: {dims} }}
output {{ name: "y" data_type: TYPE_FP32 dims: {dims} }}
ensemble_scheduling {{ {steps} }}
"""
_STEP = """step {{
  model_name: "{name}" model_version: {version}
  input_map {{ key: "x" value: "{source}" }}
  output_map {{ key: "y" value: "{result}" }}
}}
"""
_ASKING = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x")
        for name in {names}:
            asked = pb_utils.InferenceRequest(
                model_name=name, requested_output_names=["y"], inputs=[x]
            )
            answer = asked.exec()
            if answer.has_error():
                return pb_utils.InferenceResponse(error=answer.error())
            x = pb_utils.Tensor("x", pb_utils.get_output_tensor_by_name(answer, "y").as_numpy())
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", x.as_numpy())])
"""

_READS = """
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        beside = Path(args["model_repository"]).parent / "shared"
        self.factor = float((beside / "factor.txt").read_text())
        self.bias = float(len((beside / "deep" / "bias.bin").read_bytes()))

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        y = np.float32(self.factor) * x + np.float32(self.bias)
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", y)])
"""
BIG_BYTES = 2 << 20
"""Of one file beside the model `reads`."""


def write_ensemble(
    repository: Path,
    name: str,
    steps: Sequence[str],
    *,
    largest: int = 8,
    dims: str = "4",
    version: int = -1,
) -> None:
    """An ensemble that passes `x` through `steps`, one after the other."""
    names = ["x", *(f"t{n}" for n in range(1, len(steps))), "y"]
    written = "".join(
        _STEP.format(name=step, version=version, source=names[n], result=names[n + 1])
        for n, step in enumerate(steps)
    )
    (repository / name / "1").mkdir(parents=True)
    config = _ENSEMBLE.format(largest=largest, dims=dims, steps=written)
    (repository / name / "config.pbtxt").write_text(config)


def write_asking(repository: Path, name: str, asked: str) -> None:
    """A model that passes its input through others; `asked` is Python for their names."""
    write_form(repository, name)
    (repository / name / "1" / "model.py").write_text(_ASKING.replace("{names}", asked))


def write_chain(repository: Path) -> None:
    """The ensemble `chain` of `text-encoder` (twice its input) and `head` (three times)."""
    write_form(repository, "text-encoder", 2.0)
    write_form(repository, "head", 3.0)
    write_ensemble(repository, "chain", ["text-encoder", "head"])


def write_reading(repository: Path) -> None:
    """The model `reads`, which finds its numbers in files beside it, one of them large."""
    write_form(repository, "reads")
    (repository / "reads" / "1" / "model.py").write_text(_READS)
    (repository / "shared" / "deep").mkdir(parents=True)
    (repository / "shared" / "factor.txt").write_text("5")
    (repository / "shared" / "deep" / "bias.bin").write_bytes(bytes(BIG_BYTES))
    (repository / "README.md").write_text("about these models")
    (repository / ".git").mkdir()


def opened(repository: Path, name: str, *with_models: str) -> TritonModel:
    """A model of the repository, with what it needs."""
    return open_model(ModelSource(folder=repository, name=name, with_models=with_models))

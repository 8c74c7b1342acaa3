"""A bare model file (ONNX, TorchScript): what its inputs and outputs are.

Another process reads it (programs/describe.py).
"""

import json
import mmap
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tuner.errors import InputError, ModelError
from tuner.load.requests import TensorSpec
from tuner.protocols.protobuf import Message

# How long reading a model may take, in seconds.
_READ_TIMEOUT_S = 300.0
# Fields of ModelProto, GraphProto, TensorProto and StringStringEntryProto (onnx.proto).
_GRAPH = 7
_INITIALIZER = 5
_EXTERNAL_DATA = 13
_KEY = 1
_VALUE = 2


class FileKind(StrEnum):
    """What a model file is, by the ending of its name; the value is that of Triton's backend."""

    ONNX = "onnxruntime"
    TORCHSCRIPT = "pytorch"

    @property
    def library(self) -> str:
        """What reads it, as users call it."""
        return "ONNX Runtime" if self is FileKind.ONNX else "PyTorch"

    @property
    def extra(self) -> str:
        """The extra of the distribution that brings the library."""
        return "onnx" if self is FileKind.ONNX else "pytorch"


_ENDINGS = {".onnx": FileKind.ONNX, ".pt": FileKind.TORCHSCRIPT, ".pth": FileKind.TORCHSCRIPT}


@dataclass(frozen=True)
class ModelFile:
    """A file, and what it takes and gives; shapes have -1 for what may vary.

    `weights` are further files that it keeps its weights in, relative to its folder. All shapes
    begin with a batch dimension if `batched`.
    """

    path: Path
    kind: FileKind
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: tuple[Path, ...] = ()

    @property
    def batched(self) -> bool:
        return all(spec.shape[:1] == (-1,) for spec in (*self.inputs, *self.outputs))


def kind_of(path: Path) -> FileKind:
    """What the file is.

    Raises:
        InputError: It is not there, or its name says nothing.
    """
    kind = _ENDINGS.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"{path}: a model file ends with {', '.join(_ENDINGS)}",
            hint="for models in a repository or a store: `--model-repository FOLDER`",
        )
    if not path.is_file():
        raise InputError(f"{path}: there is no such file", hint="check the path")
    return kind


def read(path: Path, inputs: Sequence[TensorSpec] = ()) -> ModelFile:
    """The model in `path`; `inputs` are those of a TorchScript module, which does not tell them.

    Raises:
        InputError: It is not there, or its inputs are not known.
        ModelError: It cannot be read.
    """
    kind = kind_of(path)
    if kind is FileKind.TORCHSCRIPT and not inputs:
        raise InputError(
            f"{path}: a TorchScript module does not tell its inputs",
            hint="name each in its order: `--input NAME:DATATYPE:SHAPE`, such as x:FP32:-1,128",
        )
    # Not from the working directory: a file there could be called like a library (-P).
    words = [sys.executable, "-P", "-m", "tuner.targets.triton.programs.describe", str(path)]
    if kind is FileKind.TORCHSCRIPT:
        words.append(json.dumps([[i.name, i.datatype, i.shape] for i in inputs]))
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=_READ_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{path}: {kind.library} has not read it within {_READ_TIMEOUT_S:g} s",
            hint="put it into a model repository of your own: `--model-repository FOLDER`",
        ) from None
    if done.returncode:
        raise _unreadable(path, kind, done)
    said = json.loads(done.stdout.splitlines()[-1])
    weights = _weights(path) if kind is FileKind.ONNX else ()
    return ModelFile(path, kind, _specs(said["inputs"]), _specs(said["outputs"]), weights)


def _weights(path: Path) -> tuple[Path, ...]:
    """The files that an ONNX model keeps its tensors in, relative to its folder.

    Raises:
        ModelError: One is outside of that folder.
    """
    with path.open("rb") as file:  # what is mapped stays for as long as something refers to it
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    tensors = (
        tensor
        for graph in Message(content).messages(_GRAPH)
        for tensor in graph.messages(_INITIALIZER)
    )
    entries = (entry for tensor in tensors for entry in tensor.messages(_EXTERNAL_DATA))
    named = (Path(entry.text(_VALUE)) for entry in entries if entry.text(_KEY) == "location")
    found = tuple(dict.fromkeys(named))
    for each in found:
        if each.is_absolute() or ".." in each.parts:
            raise ModelError(
                f"{path}: keeps its weights in {each}, outside of its folder",
                hint="save it with its weights beside it",
            )
    return found


def _specs(said: Sequence[tuple[str, str, Sequence[int]]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, datatype, tuple(shape)) for name, datatype, shape in said)


def _unreadable(
    path: Path, kind: FileKind, done: "subprocess.CompletedProcess[str]"
) -> InputError:
    lines = done.stderr.strip().splitlines()
    why = lines[-1] if lines else f"the reader ended with {done.returncode}"
    if why.startswith("missing: "):
        return InputError(
            f"{path}: {kind.library} is not installed, which reads such files",
            hint=f"pip install 'serving-tuner[{kind.extra}]'",
        )
    return ModelError(
        f"{path}: {kind.library} cannot use it: {why}",
        hint="check that the file is whole"
        if kind is FileKind.ONNX
        else "check that `torch.jit.save` wrote it, and that `--input` fits its `forward`; where "
        "that takes no dimension of any size, give it one: x:FP32:-1,3,224,224",
    )

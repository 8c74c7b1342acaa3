"""Short ways to read input data from a file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tuner.load.requests import TensorSpec
from tuner.protocols.tensors.input_data import InputData, Stream
from tuner.protocols.tensors.inputs import InputOptions, read_input_data

# BF16 has no type in numpy.
NUMPY: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


def one(datatype: str, *shape: int) -> list[TensorSpec]:
    """A model with one input."""
    return [TensorSpec("INPUT", datatype, shape)]


def both(kind: str, datatype: str, *shape: int) -> list[TensorSpec]:
    """The two inputs or outputs of a model, which differ in their names."""
    return [TensorSpec(f"{kind}{number}", datatype, shape) for number in (0, 1)]


def read(
    path: Path,
    inputs: list[TensorSpec],
    outputs: list[TensorSpec] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> InputData:
    return read_input_data([str(path)], inputs, outputs or [], InputOptions(shapes=shapes or {}))


def tensors(stream: Stream) -> list[tuple[tuple[int, ...], bytes]]:
    """Shape and bytes of the only input of each step."""
    return [(step.inputs[0].shape, step.inputs[0].data) for step in stream]


def read_value(
    file: Path, value: object, datatype: str, *shape: int
) -> tuple[tuple[int, ...], bytes]:
    """Shape and bytes of the tensor that `value` says in JSON."""
    file.write_text(json.dumps({"data": [{"INPUT": value}]}))
    [stream] = read(file, one(datatype, *shape)).streams
    [tensor] = tensors(stream)
    return tensor

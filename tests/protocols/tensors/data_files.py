"""Short ways to read input data from a file."""

import json
from collections.abc import Mapping
from pathlib import Path

from tuner.load.requests import TensorSpec
from tuner.protocols.tensors.input_data import InputData, Stream
from tuner.protocols.tensors.inputs import InputOptions, read_input_data


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

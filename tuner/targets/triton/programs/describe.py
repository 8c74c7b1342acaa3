"""Tells in JSON the inputs and outputs of a model file, or in one line why it cannot.

    python -m tuner.targets.triton.programs.describe FILE.onnx
    python -m tuner.targets.triton.programs.describe FILE.pt '[["NAME", "FP32", [-1, 128]], ...]'

The answer is `{"inputs": [[NAME, DATATYPE, SHAPE], ...], "outputs": [...]}`; datatypes are those
of the V2 protocol, -1 stands for a dimension that may vary. TorchScript does not tell its outputs,
so such a module is called twice, with other sizes for what may vary.
"""

import json
import sys

import numpy as np

# By the names of ONNX Runtime, of numpy and of PyTorch: the same but for these.
_NAMES = {"float": "FP32", "float16": "FP16", "float32": "FP32", "float64": "FP64"}
_NAMES |= {"double": "FP64", "bool": "BOOL", "string": "BYTES"}
_NAMES |= {f"{k}int{bits}": f"{k.upper()}INT{bits}" for k in ("", "u") for bits in (8, 16, 32, 64)}
_NUMPY = {"FP16": "float16", "FP32": "float32", "FP64": "float64", "BOOL": "bool"}
# Of the first dimension, which is the batch, and of others: no model is made for a tiny image.
_SIZES = ((2, 64), (3, 96))


def describe_onnx(file):
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    parts = {"inputs": session.get_inputs(), "outputs": session.get_outputs()}
    return {part: [_value(each) for each in values] for part, values in parts.items()}


def _value(value):
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    if kind not in _NAMES:
        raise ValueError(f"`{value.name}` is of the type {value.type}, which cannot be served")
    shape = [size if isinstance(size, int) else -1 for size in value.shape]
    return [value.name, _NAMES[kind], shape]


def describe_torchscript(file, inputs):
    import torch

    module = torch.jit.load(file, map_location="cpu").eval()
    with torch.inference_mode():
        small, large = (_outputs(module, inputs, sizes) for sizes in _SIZES)
    outputs = []
    for n, (one, other) in enumerate(zip(small, large, strict=True)):
        kind = str(one.dtype).removeprefix("torch.")
        if kind not in _NAMES:
            raise ValueError(f"output {n} is of the type {kind}, which cannot be served")
        shape = [a if a == b else -1 for a, b in zip(one.shape, other.shape, strict=True)]
        outputs.append([f"OUTPUT__{n}", _NAMES[kind], shape])
    return {"inputs": inputs, "outputs": outputs}


def _outputs(module, inputs, sizes):
    import torch

    arrays = [
        np.ones(
            [sizes[min(at, 1)] if each < 0 else each for at, each in enumerate(shape)],
            _NUMPY.get(datatype, datatype.lower()),
        )
        for _, datatype, shape in inputs
    ]
    answer = module(*map(torch.from_numpy, arrays))
    answer = answer.values() if isinstance(answer, dict) else answer
    return [answer] if isinstance(answer, torch.Tensor) else list(answer)


def main():
    file, *rest = sys.argv[1:]
    try:
        described = (
            describe_torchscript(file, json.loads(rest[0])) if rest else describe_onnx(file)
        )
    except ModuleNotFoundError as error:
        sys.exit(f"missing: {error.name}")
    except Exception as error:  # noqa: BLE001 - whatever the library says is the answer
        # PyTorch puts the cause last, after the places that it went through.
        said = str(error).strip().splitlines() or [type(error).__name__]
        sys.exit(said[-1][:500])
    print(json.dumps(described))  # noqa: T201 - this is what the program is for


if __name__ == "__main__":
    main()

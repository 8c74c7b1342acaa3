"""Small model files: two layers as ONNX, in int8 and as TorchScript, and models of odd forms.

Whoever makes or computes one imports the library here; without it the test is skipped.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Arrays = Sequence[NDArray[Any]]
# Of a tensor: name, ONNX type and shape; a text is a dimension that may vary.
Value = tuple[str, str, Sequence[int | str] | None]

FEATURES, LABELS = 32, 8
# What `--input` says of the TorchScript file.
INPUT = f"x:FP32:-1,{FEATURES}"
_HIDDEN = 64
# The newest that every ONNX Runtime of the extra reads.
_OPSET, _IR = 17, 8


def weights(seed: int) -> tuple[Floats, Floats]:
    """Those of both layers."""
    random = np.random.default_rng(seed)
    first, second = ((FEATURES, _HIDDEN), (_HIDDEN, LABELS))
    return (
        random.standard_normal(first).astype(np.float32) / 6,
        random.standard_normal(second).astype(np.float32) / 8,
    )


def features(count: int, seed: int = 1) -> Floats:
    """So many inputs of the two layers."""
    return np.random.default_rng(seed).standard_normal((count, FEATURES)).astype(np.float32)


def mlp(path: Path, *, seed: int = 0, batch: int | str = "batch", external: str = "") -> Path:
    """The two layers as ONNX; their weights are in the file `external` beside it, if named."""
    nodes = (("MatMul", "x first", "h"), ("Relu", "h", "r"), ("MatMul", "r second", "y"))
    model = _model(
        nodes,
        [("x", "FLOAT", (batch, FEATURES))],
        [("y", "FLOAT", (batch, LABELS))],
        dict(zip(("first", "second"), weights(seed), strict=True)),
    )
    onnx = pytest.importorskip("onnx")
    keep: dict[str, Any] = {}
    if external:
        keep = {"save_as_external_data": True, "location": external, "size_threshold": 0}
    onnx.save(model, path, **keep)
    return path


def int8(source: Path, path: Path) -> Path:
    """An ONNX model whose weights are whole numbers, as ONNX Runtime quantizes them."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    logging.disable(logging.WARNING)  # it recommends a preparation that such a model needs not
    try:
        quantization.quantize_dynamic(source, path)
    finally:
        logging.disable(logging.NOTSET)
    return path


def onnx_model(
    path: Path,
    nodes: Sequence[tuple[str, str, str]],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
) -> Path:
    """An ONNX model of any nodes: their operation, inputs and outputs."""
    pytest.importorskip("onnx").save(_model(nodes, inputs, outputs, {}), path)
    return path


def _model(
    nodes: Sequence[tuple[str, str, str]],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    constants: dict[str, Floats],
) -> Any:
    onnx = pytest.importorskip("onnx")
    make = onnx.helper
    graph = make.make_graph(
        [make.make_node(name, given.split(), made.split()) for name, given, made in nodes],
        "graph",
        *(
            [
                make.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)
                for name, kind, shape in values
            ]
            for values in (inputs, outputs)
        ),
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = make.make_opsetid("", _OPSET)
    return make.make_model(graph, opset_imports=[opset], ir_version=_IR)


@contextmanager
def torch_library() -> Iterator[Any]:
    """PyTorch, which calls TorchScript outdated whenever it is used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("torch", exc_type=ImportError)


def torchscript(path: Path, *, seed: int = 0) -> Path:
    """The two layers as TorchScript."""
    with torch_library() as torch:
        first, second = (torch.from_numpy(each) for each in weights(seed))
        return traced(path, lambda x: (x @ first).relu() @ second, features(2))


def three_forms(folder: Path) -> Path:
    """Fill the folder with mlp.onnx, int8.onnx and mlp.pt: three forms of one model."""
    int8(mlp(folder / "mlp.onnx"), folder / "int8.onnx")
    torchscript(folder / "mlp.pt")
    return folder


def traced(path: Path, function: Callable[..., Any], *examples: NDArray[Any]) -> Path:
    """Any function of tensors as TorchScript."""
    with torch_library() as torch:
        given = tuple(map(torch.from_numpy, examples))
        torch.jit.save(torch.jit.trace(function, given, strict=False), str(path))
    return path


def computed_by_onnxruntime(path: Path, *arrays: NDArray[Any]) -> Arrays:
    """What the library itself answers."""
    session = pytest.importorskip("onnxruntime").InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_inputs()]
    answer: list[NDArray[Any]] = session.run(None, dict(zip(names, arrays, strict=True)))
    return answer


def computed_by_torch(path: Path, *arrays: NDArray[Any]) -> Arrays:
    """What the library itself answers, if that is one tensor."""
    with torch_library() as torch, torch.inference_mode():
        module = torch.jit.load(str(path)).eval()
        return [module(*map(torch.from_numpy, arrays)).numpy()]

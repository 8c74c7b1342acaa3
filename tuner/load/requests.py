"""What a request carries: input tensors made from a model's metadata, seeded and reproducible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.errors import LoadError

# KServe V2 "Tensor Data Types"; FP16 and BF16 travel in binary form only, BF16 has no numpy type.
_NUMPY_TYPES: dict[str, type[np.generic]] = {
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


@dataclass(frozen=True)
class TensorSpec:
    """A model's input or output: -1 in `shape` is a dimension that the request chooses."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor with its little-endian, row-major bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class RequestSet:
    """Wire-ready requests, sent in turn; each carries `inferences` inferences (the batch size)."""

    payloads: tuple[bytes, ...]
    inferences: int = 1

    def __post_init__(self) -> None:
        if not self.payloads:
            raise ValueError("a request set needs at least one request")


def generate_inputs(
    specs: Sequence[TensorSpec],
    *,
    seed: int,
    zero: bool = False,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[Tensor, ...]:
    """One set of input tensors for `specs`, whose shapes include the batch dimension.

    Numbers are uniform: integers in [0, 100), floats in [0, 1). `shapes` gives the dimensions
    that the model leaves open, by input name and without the batch dimension.

    Raises:
        LoadError: A dimension is open, a given shape does not fit, or the type cannot be made.
    """
    random = np.random.default_rng(seed)
    chosen = dict(shapes or {})
    if unknown := set(chosen) - {spec.name for spec in specs}:
        raise LoadError(
            f"no input is called `{min(unknown)}`; the model has "
            + ", ".join(f"`{spec.name}`" for spec in specs),
            hint="correct the name in `--shape NAME:DIMENSIONS`",
        )
    return tuple(_tensor(spec, chosen.get(spec.name), random, zero=zero) for spec in specs)


def _tensor(
    spec: TensorSpec, chosen: tuple[int, ...] | None, random: np.random.Generator, *, zero: bool
) -> Tensor:
    shape = _shape(spec, chosen)
    if spec.datatype == "BYTES":
        data = _strings(shape, random, zero=zero)
    elif spec.datatype in _NUMPY_TYPES:
        data = _numbers(_NUMPY_TYPES[spec.datatype], shape, random, zero=zero).tobytes()
    else:
        raise LoadError(
            f"input `{spec.name}` has the type {spec.datatype}, of which no data can be made",
            hint="supported: BYTES, " + ", ".join(_NUMPY_TYPES),
        )
    return Tensor(spec.name, spec.datatype, shape, data)


def _shape(spec: TensorSpec, chosen: tuple[int, ...] | None) -> tuple[int, ...]:
    shape = spec.shape
    if chosen is not None:
        shape = (*spec.shape[: len(spec.shape) - len(chosen)], *chosen)
        fits = len(shape) == len(spec.shape) and all(
            wanted in (-1, given) for wanted, given in zip(spec.shape, shape, strict=True)
        )
        if not fits:
            raise LoadError(
                f"input `{spec.name}` takes the shape {list(spec.shape)}, but got {list(chosen)}",
                hint=f"give `--shape {spec.name}:D1,D2,...` without the batch dimension",
            )
    if any(dimension < 0 for dimension in shape):
        raise LoadError(
            f"input `{spec.name}` has the open shape {list(shape)}",
            hint=f"choose its dimensions: `--shape {spec.name}:D1,D2,...`",
        )
    return shape


def _numbers(
    kind: type[np.generic], shape: tuple[int, ...], random: np.random.Generator, *, zero: bool
) -> NDArray[np.generic]:
    if zero:
        return np.zeros(shape, dtype=np.dtype(kind))
    if issubclass(kind, np.floating):
        return random.random(shape).astype(kind)
    high = 2 if kind is np.bool_ else 100
    return random.integers(0, high, shape).astype(kind)


def _strings(shape: tuple[int, ...], random: np.random.Generator, *, zero: bool) -> bytes:
    """Elements as V2 wants them: 4 bytes of length, little-endian, then 16 letters (0 if zero)."""
    length = 0 if zero else 16
    size = (int(np.prod(shape)), length)
    letters = random.integers(ord("a"), ord("z") + 1, size, dtype=np.uint8)
    prefix = length.to_bytes(4, "little")
    return b"".join(prefix + row.tobytes() for row in letters)

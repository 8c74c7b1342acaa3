"""The values of tensors: as arrays to compare, as numbers and strings that JSON carries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.load.requests import Tensor
from tuner.protocols.protobuf import Message
from tuner.protocols.tensors.datatypes import NUMPY_TYPES, pack_strings, unpack_strings

# BF16 is no number to numpy.
NUMBER_TYPES = {name: np.dtype(code) for name, code in NUMPY_TYPES.items() if name != "BF16"}
# What JSON holds for a numpy kind: a fraction is no integer, and `true` is no number.
_JSON_TYPES: Mapping[str, frozenset[type]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
}


def to_array(tensor: Tensor) -> NDArray[Any]:
    """The elements in the tensor's shape: numbers (BF16 as float32), of BYTES `bytes` objects.

    Raises:
        ValueError: The datatype is unknown, or the bytes do not fit datatype and shape.
        InputError: The lengths of BYTES do not add up.
    """
    if tensor.datatype == "BYTES":
        strings = unpack_strings(tensor.data)
        array = np.empty(len(strings), dtype=np.object_)
        array[:] = strings
    elif tensor.datatype == "BF16":  # the upper half of a float32
        array = (np.frombuffer(tensor.data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        array = np.frombuffer(tensor.data, _numpy_type(tensor.datatype))
    return array.reshape(tensor.shape)


def from_values(
    name: str, datatype: str, values: object, shape: Sequence[int] | None = None
) -> Tensor:
    """A tensor of numbers, or of strings and `bytes`, as JSON has them: nested lists, or flat.

    Without `shape` the nesting says it. Strings are encoded as UTF-8 (with surrogate escapes).

    Raises:
        ValueError: A value does not fit the datatype, or their number the shape.
    """
    elements = np.array(values, dtype=np.object_)
    if shape is not None:
        elements = elements.reshape(shape)
    flat = elements.ravel().tolist()
    data = (
        pack_strings(_encoded(name, each) for each in flat)
        if datatype == "BYTES"
        else _numbers(name, datatype, flat).tobytes()
    )
    return Tensor(name, datatype, elements.shape, data)


def from_field(
    name: str, datatype: str, shape: tuple[int, ...], message: Message, number: int
) -> Tensor:
    """A tensor of the values of a repeated protobuf field; FP16 and BF16 are there as their bits.

    Raises:
        ValueError: The datatype is unknown, or a value is of another wire type.
    """
    if datatype == "BYTES":
        data = pack_strings(bytes(each) for each in message.contents(number))
    elif datatype in ("FP32", "FP64"):
        data = b"".join(message.contents(number))
    else:
        kind = np.dtype("<u2") if datatype in ("FP16", "BF16") else _numpy_type(datatype)
        data = np.array(message.integers(number), dtype=np.uint64).astype(kind).tobytes()
    return Tensor(name, datatype, shape, data)


def _numpy_type(datatype: str) -> np.dtype[Any]:
    if datatype not in NUMBER_TYPES:
        raise ValueError(f"numbers of type `{datatype}` cannot be read")
    return NUMBER_TYPES[datatype]


def _encoded(name: str, value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    raise _misfit(name, "BYTES", value)


def _numbers(name: str, datatype: str, values: Sequence[Any]) -> NDArray[Any]:
    kind = _numpy_type(datatype)
    allowed = _JSON_TYPES[kind.kind]
    for value in values:
        if type(value) not in allowed:
            raise _misfit(name, datatype, value)
    if kind.kind == "f":
        return _floats(name, kind, values)
    for value in (min(values), max(values)) if values else ():
        if kind.kind != "b" and not np.iinfo(kind).min <= value <= np.iinfo(kind).max:
            raise _misfit(name, datatype, value)
    return np.array(values, dtype=kind)


def _floats(name: str, kind: np.dtype[Any], values: Sequence[Any]) -> NDArray[Any]:
    try:
        with np.errstate(over="ignore"):  # beyond the largest float is infinity
            return np.array(values, dtype=np.float64).astype(kind)
    except OverflowError:
        raise ValueError(f"`{name}` holds an integer that no float can hold") from None


def _misfit(name: str, datatype: str, value: object) -> ValueError:
    return ValueError(f"`{name}` of type {datatype} cannot hold {str(value)[:40]}")

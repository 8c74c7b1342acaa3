"""KServe V2's data types: from numbers and texts to the bytes of a tensor, and back.

Sizes and forms: Open Inference Protocol, "Tensor Data Types", and Triton's "Binary Tensor Data
Extension": little-endian, row-major; a BYTES element is 4 bytes of length and its bytes.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.errors import InputError, shown

# A value of a JSON document, in its words and not too long.
in_json = partial(shown, mapping="JSON object")

# BF16 has no type in numpy: it is the upper half of an FP32.
NUMPY_TYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "BF16": "<u2",
    "FP32": "<f4",
    "FP64": "<f8",
}
# The smallest magnitude that would be rounded to infinity (BF16: by way of FP32).
_TOO_LARGE = {
    "FP16": 2**16 - 2**4,
    "BF16": 2**128 - 2**119 - 2**103,
    "FP32": 2**128 - 2**103,
    "FP64": 2**1024 - 2**970,
}


def element_bytes(datatype: str) -> int:
    """The size of one element; 0 for BYTES, where each has its own.

    Raises:
        InputError: The V2 protocol has no such type.
    """
    if datatype == "BYTES":
        return 0
    if datatype not in NUMPY_TYPES:
        raise InputError(
            f"the type {datatype} is none of the V2 protocol",
            hint="supported: BYTES, " + ", ".join(NUMPY_TYPES),
        )
    return np.dtype(NUMPY_TYPES[datatype]).itemsize


def is_floating(datatype: str) -> bool:
    return datatype in _TOO_LARGE


def pack_array(datatype: str, numbers: NDArray[Any]) -> bytes:
    """The elements of `numbers`, all within the range of `datatype`, in row-major order."""
    if datatype != "BF16":
        return numbers.astype(NUMPY_TYPES[datatype]).tobytes()
    bits = numbers.astype(np.float32).view(np.uint32)
    nearest_even = bits + 0x7FFF + (bits >> 16 & 1)
    return (nearest_even >> 16).astype(NUMPY_TYPES["BF16"]).tobytes()


def pack_values(datatype: str, values: Sequence[object]) -> bytes:
    """Values as JSON has them: numbers, booleans (0 and 1 too), or strings for BYTES (as UTF-8).

    Raises:
        InputError: A value is not of the type, or out of its range; the type is none.
    """
    size = element_bytes(datatype)
    if not size:
        return pack_strings(_encoded(number, value) for number, value in enumerate(values, 1))
    if datatype == "BOOL":
        _check(values, lambda value: type(value) in (bool, int) and value in (0, 1), "a boolean")
        return pack_array(datatype, np.array(values, dtype=np.bool_))
    if is_floating(datatype):
        limit = _TOO_LARGE[datatype]
        expected = f"a number that {datatype} can hold"
        _check(values, lambda v: type(v) in (int, float) and _is_held(v, limit), expected)
        return pack_array(datatype, np.array(values, dtype=np.float64))
    kind = np.dtype(NUMPY_TYPES[datatype])
    low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    expected = f"a whole number from {low} to {high}"
    _check(values, lambda value: type(value) is int and low <= value <= high, expected)
    return np.array(values, dtype=kind).tobytes()


def pack_strings(elements: Iterable[bytes]) -> bytes:
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


def unpack_strings(data: bytes) -> tuple[bytes, ...]:
    """The elements of a BYTES tensor.

    Raises:
        InputError: The lengths in `data` do not add up to its size.
    """
    elements: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        if start > len(data) or at > len(data):
            raise InputError(
                f"element {len(elements) + 1} of BYTES ends at byte {max(start, at)}, "
                f"but there are {len(data)} bytes",
                hint="each element is 4 bytes of length (little-endian), then its bytes",
            )
        elements.append(data[start:at])
    return tuple(elements)


def _encoded(number: int, value: object) -> bytes:
    if not isinstance(value, str):
        raise InputError(f"value {number}: a text was expected, but got {in_json(value)}")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"value {number}: {in_json(value)} has half of a surrogate pair, which is no "
            "character",
            hint="give bytes that are no text as `b64`",
        ) from None


def _is_held(value: float, limit: float) -> bool:
    """Whether a float can be `value`: below the limit, infinite, or no number."""
    return abs(value) < limit or value in (math.inf, -math.inf) or value != value


def _check(values: Sequence[Any], is_right: Callable[[Any], bool], expected: str) -> None:
    for number, value in enumerate(values, 1):
        if not is_right(value):
            raise InputError(f"value {number}: {expected} was expected, but got {in_json(value)}")

"""The values of tensors: every datatype, to and from numbers and strings."""

import numpy as np
import pytest

from tuner.load.requests import Tensor
from tuner.protocols.tensors.values import NUMBER_TYPES, from_values, to_array


@pytest.mark.parametrize("datatype", NUMBER_TYPES)
def test_numbers_go_there_and_back(datatype: str) -> None:
    """Nested lists say the shape; the extreme values of each type survive."""
    kind = NUMBER_TYPES[datatype]
    values: list[float] = [-1.5, float("inf")] if kind.kind == "f" else [False, True]
    if kind.kind in "iu":
        values = [int(np.iinfo(kind).min), int(np.iinfo(kind).max)]
    tensor = from_values("x", datatype, [values, values])
    assert tensor == Tensor("x", datatype, (2, 2), np.array([values, values], kind).tobytes())
    assert to_array(tensor).tolist() == [values, values]
    assert from_values("x", datatype, values * 2, (2, 2)) == tensor


def test_bf16_is_the_upper_half_of_a_float() -> None:
    """It has no numpy type of its own."""
    tensor = Tensor("x", "BF16", (2, 1), b"\x80\x3f\x00\xc0")
    assert to_array(tensor).tolist() == [[1.0], [-2.0]]


def test_strings_go_there_and_back() -> None:
    """Text is UTF-8; bytes that are no text survive as surrogate escapes or as bytes."""
    tensor = from_values("x", "BYTES", [["a", "ä"], ["\udcff", b"\0"]])
    assert to_array(tensor).tolist() == [[b"a", b"\xc3\xa4"], [b"\xff", b"\0"]]


def test_a_large_float_is_infinite() -> None:
    """As a conversion of the server would have it."""
    assert to_array(from_values("x", "FP16", [1e300])).tolist() == [float("inf")]


@pytest.mark.parametrize(
    ("datatype", "values", "complaint"),
    [
        ("INT8", [1, 128], "`x` of type INT8 cannot hold 128"),
        ("UINT8", [-1, 1], "`x` of type UINT8 cannot hold -1"),
        ("INT32", [1.5], "`x` of type INT32 cannot hold 1.5"),
        ("INT32", [True], "`x` of type INT32 cannot hold True"),
        ("BOOL", [1], "`x` of type BOOL cannot hold 1"),
        ("FP32", ["1"], "`x` of type FP32 cannot hold 1"),
        ("FP32", [None], "`x` of type FP32 cannot hold None"),
        ("FP32", [[1], [2, 3]], r"`x` of type FP32 cannot hold \[1\]"),
        ("FP32", [10**400], "`x` holds an integer that no float can hold"),
        ("BYTES", [1], "`x` of type BYTES cannot hold 1"),
        ("BF16", [1], "numbers of type `BF16` cannot be read"),
    ],
)
def test_values_that_do_not_fit(datatype: str, values: object, complaint: str) -> None:
    """Nothing is rounded or wrapped in silence."""
    with pytest.raises(ValueError, match=complaint):
        from_values("x", datatype, values)


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (Tensor("x", "FP32", (2,), b"1234"), "cannot reshape array"),
        (Tensor("x", "FP32", (1,), b"123"), "buffer size must be a multiple"),
        (Tensor("x", "FP31", (1,), b"123"), "numbers of type `FP31` cannot be read"),
        (Tensor("x", "BYTES", (2,), b"\x01\0\0\0x"), "cannot reshape array"),
    ],
)
def test_bytes_that_do_not_fit(tensor: Tensor, complaint: str) -> None:
    """Datatype, shape and bytes must agree."""
    with pytest.raises(ValueError, match=complaint):
        to_array(tensor)

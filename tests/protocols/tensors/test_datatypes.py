"""The V2 data types: what comes out of the bytes is what went in, or an error says why not."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocols.tensors.data_files import NUMPY
from tests.refusals import refused
from tuner.errors import InputError, quoted
from tuner.load.requests import Tensor
from tuner.protocols.tensors.datatypes import (
    element_bytes,
    in_json,
    pack_array,
    pack_strings,
    pack_values,
    unpack_strings,
)
from tuner.protocols.tensors.values import to_array

LARGEST = {
    "FP16": b"\xff\x7b",
    "BF16": b"\x7f\x7f",
    "FP32": b"\xff\xff\x7f\x7f",
    "FP64": b"\xff\xff\xff\xff\xff\xff\xef\x7f",
}
SUPPORTED = (
    "supported: BYTES, BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, "
    "BF16, FP32, FP64"
)


@pytest.mark.parametrize("datatype", [name for name in NUMPY if "INT" in name])
@given(data=st.data())
@settings(deadline=None)
def test_whole_numbers_come_back(datatype: str, data: st.DataObject) -> None:
    """Every value of the type keeps its worth, in as many bytes as the type has."""
    kind = np.iinfo(NUMPY[datatype])
    values = data.draw(st.lists(st.integers(int(kind.min), int(kind.max))))
    packed = pack_values(datatype, values)
    assert np.frombuffer(packed, NUMPY[datatype]).tolist() == values
    assert len(packed) == len(values) * element_bytes(datatype)


@pytest.mark.parametrize(("datatype", "width"), [("FP16", 16), ("FP32", 32), ("FP64", 64)])
@given(data=st.data())
@settings(deadline=None)
def test_floats_come_back(datatype: str, width: Any, data: st.DataObject) -> None:
    """Every finite float of the width keeps its worth."""
    values = data.draw(st.lists(st.floats(width=width, allow_nan=False, allow_infinity=False)))
    packed = pack_values(datatype, values)
    assert np.frombuffer(packed, NUMPY[datatype]).tolist() == values
    assert len(packed) == len(values) * element_bytes(datatype)


def bf16(value: float) -> float:
    [bits] = struct.unpack("<H", pack_values("BF16", [value]))
    [number] = struct.unpack("<f", struct.pack("<I", bits << 16))
    return float(number)


@given(st.floats(-(2.0**127), 2.0**127, width=32))
@settings(deadline=None)
def test_bf16_is_the_nearest(value: float) -> None:
    """BF16 is the nearest of both FP32 beside it with an empty lower half; the even one of two."""
    [bits] = struct.unpack("<I", struct.pack("<f", value))
    both = [bits >> 16 << 16, (bits >> 16) + 1 << 16]
    low, high = (struct.unpack("<f", struct.pack("<I", each))[0] for each in both)
    below, above = abs(value - low), abs(high - value)
    even = low if both[0] >> 16 & 1 == 0 else high
    assert bf16(value) == (low if below < above else high if above < below else even)


@given(st.lists(st.booleans()))
@settings(deadline=None)
def test_booleans_come_back(values: list[bool]) -> None:
    """A boolean is a byte, 0 or 1, and may be written so."""
    assert list(pack_values("BOOL", values)) == values
    assert pack_values("BOOL", [int(value) for value in values]) == bytes(values)


@given(st.lists(st.text()))
@settings(deadline=None)
def test_texts_come_back(values: list[str]) -> None:
    """A text is its UTF-8, after 4 bytes of length."""
    packed = pack_values("BYTES", values)
    assert [element.decode() for element in unpack_strings(packed)] == values
    assert packed == pack_strings(value.encode() for value in values)


def test_bytes_are_little_endian() -> None:
    """The forms of the V2 protocol, byte by byte."""
    assert pack_values("INT32", [1, -2]) == b"\1\0\0\0\xfe\xff\xff\xff"
    assert pack_values("FP16", [1]) == b"\x00\x3c"
    assert pack_values("BF16", [1]) == b"\x80\x3f"
    assert pack_values("BYTES", ["é", ""]) == b"\2\0\0\0\xc3\xa9\0\0\0\0"
    assert pack_array("BF16", np.array([[1.0], [-2.0]])) == b"\x80\x3f\x00\xc0"


@pytest.mark.parametrize(
    ("datatype", "largest", "too_large"),
    [
        ("FP16", 65519, 65520),
        ("BF16", 3.3961e38, 3.3962e38),
        ("FP32", 3.4028235e38, 3.4028236e38),
        ("FP64", 1.7976931348623157e308, 10**309),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_floats_have_limits(datatype: str, largest: float, too_large: float) -> None:
    """A number that rounds to the largest of its type is taken; to infinity, it is not."""
    assert pack_values(datatype, [largest]) == LARGEST[datatype]
    expected = f"value 2: a number that {datatype} can hold was expected, but got "
    with refused(expected + str(too_large)[:40]):
        pack_values(datatype, [0, too_large])


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
def test_numbers_of_no_size(datatype: str) -> None:
    """NaN and infinities are numbers, as perf_analyzer reads them."""
    packed = pack_values(datatype, [float("nan"), float("inf"), -float("inf")])
    found = to_array(Tensor("x", datatype, (3,), packed)).astype(np.float64)
    assert np.isnan(found[0])
    assert found[1:].tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize(
    ("datatype", "value", "message"),
    [
        ("UINT8", 256, "a whole number from 0 to 255 was expected, but got 256"),
        ("UINT8", -1, "a whole number from 0 to 255 was expected, but got -1"),
        ("INT8", True, "a whole number from -128 to 127 was expected, but got true"),
        ("INT8", 1.0, "a whole number from -128 to 127 was expected, but got 1.0"),
        ("INT8", None, "a whole number from -128 to 127 was expected, but got nothing"),
        ("UINT32", 2**32, "a whole number from 0 to 4294967295 was expected, but got 4294967296"),
        ("INT16", "7", "a whole number from -32768 to 32767 was expected, but got the text `7`"),
        ("FP16", 70_000, "a number that FP16 can hold was expected, but got 70000"),
        ("FP32", False, "a number that FP32 can hold was expected, but got false"),
        (
            "FP32",
            {"a": 1},
            "a number that FP32 can hold was expected, but got a JSON object",
        ),
        ("BOOL", 2, "a boolean was expected, but got 2"),
        ("BOOL", 1.0, "a boolean was expected, but got 1.0"),
        ("BYTES", 7, "a text was expected, but got 7"),
    ],
)
def test_values_of_another_type_are_refused(datatype: str, value: object, message: str) -> None:
    """The error says which value it is, what was expected and what came."""
    good: object = "" if datatype == "BYTES" else 0
    with refused(f"value 2: {message}"):
        pack_values(datatype, [good, value])


def test_text_that_is_none_goes_as_base64() -> None:
    """There is a way for any bytes, and the error names it."""
    with refused(
        "value 1: the text `a\\ud800` has half of a surrogate pair, which is no character",
        "give bytes that are no text as `b64`",
    ):
        pack_values("BYTES", ["a\ud800"])


def test_other_types_are_refused() -> None:
    """A type that the V2 protocol does not have is said, beside those that it has."""
    with refused("the type JSON is none of the V2 protocol", SUPPORTED):
        element_bytes("JSON")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\1\0\0\0a\0\0", "element 2 of BYTES ends at byte 9, but there are 7 bytes"),
        (b"\3\0\0\0ab", "element 1 of BYTES ends at byte 7, but there are 6 bytes"),
    ],
)
def test_lengths_must_add_up(data: bytes, message: str) -> None:
    """Strings in binary form end where their lengths say."""
    with refused(message, "each element is 4 bytes of length (little-endian), then its bytes"):
        unpack_strings(data)


@given(st.binary())
@settings(deadline=None)
def test_any_bytes_are_elements_or_refused(data: bytes) -> None:
    """Bytes that are taken apart can be put together again; there is no third outcome."""
    try:
        elements = unpack_strings(data)
    except InputError:
        return
    assert pack_strings(elements) == data


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "an empty list"),
        ([1], "a list"),
        ({}, "an empty JSON object"),
        (12.5, "12.5"),
        ("", "the text ``"),
        ("x" * 99, f"the text `{'x' * 40}`"),
    ],
)
def test_values_are_shown_shortly(value: object, words: str) -> None:
    """What came is said in the words of JSON."""
    assert in_json(value) == words


def test_everything_can_be_printed() -> None:
    """Names from a file may hold anything, and are shown all the same."""
    assert quoted("a\n\ud800ü") == "`a\\n\\ud800ü`"
    quoted("\ud800").encode()

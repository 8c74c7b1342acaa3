"""A tensor in JSON: all that may be written, and what is said of that which may not."""

import base64
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocols.tensors.data_files import one, read, read_value
from tests.refusals import refused

FLAT = "write one flat list, row by row, or nest without the batch dimension"
TENSOR = 'a tensor is [1, 2, ...], {"b64": "..."} or {"content": ..., "shape": [...]}'
EXPECTED = "4 values of INT32 (16 bytes) were expected for the shape [2, 2]"
ONE_INFERENCE = "a step has the data of one inference, without the batch dimension"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.json"


class TestForms:
    @pytest.mark.parametrize(
        "value",
        [
            [1, 2, 3, 4, 5, 6],
            [[1, 2, 3], [4, 5, 6]],
            {"content": [[1, 2, 3], [4, 5, 6]]},
            {"content": [1, 2, 3, 4, 5, 6], "shape": [2, 3]},
            {"b64": "AQIDBAUG"},
            {"b64": "AQID\nBAUG\n"},
            {"b64": "AQIDBAUG", "shape": [2, 3]},
            {"content": {"b64": "AQIDBAUG"}},
            {"content": {"b64": "AQIDBAUG"}, "shape": [2, 3]},
        ],
    )
    @pytest.mark.parametrize("shape", [(2, 3), (-1, 3), (2, -1)])
    def test_all_say_the_same(self, file: Path, value: object, shape: tuple[int, ...]) -> None:
        """However a tensor is written, it is the same; one open dimension follows from it."""
        tensor = read_value(file, value, "UINT8", *shape)
        assert tensor == ((2, 3), bytes(range(1, 7)))

    @pytest.mark.parametrize(
        ("value", "shape", "size"),
        [
            ([[1, 2, 3], [4, 5, 6]], (-1, -1), (2, 3)),
            ([], (0, 3), (0, 3)),
            ([], (-1, 3), (0, 3)),
            ([[], []], (2, -1), (2, 0)),
            ([5], (), ()),
        ],
    )
    def test_shapes(
        self, file: Path, value: object, shape: tuple[int, ...], size: tuple[int, ...]
    ) -> None:
        """Nested lists say their shape; nothing at all and scalars have one too."""
        assert read_value(file, value, "UINT8", *shape)[0] == size

    @pytest.mark.parametrize(
        "value", [["ü", ""], {"b64": base64.b64encode(b"\2\0\0\0\xc3\xbc\0\0\0\0").decode()}]
    )
    def test_texts(self, file: Path, value: object) -> None:
        """Texts are UTF-8; in base64 each has its 4 bytes of length."""
        assert read_value(file, value, "BYTES", -1) == ((2,), b"\2\0\0\0\xc3\xbc\0\0\0\0")

    @given(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=24),
        st.sampled_from([1, 2, 3]),
    )
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_numbers_come_back(self, file: Path, values: list[float], columns: int) -> None:
        """Flat, nested and as base64, numbers arrive bit by bit."""
        numbers = np.array(values[: len(values) // columns * columns], np.float32)
        array = numbers.reshape(-1, columns)
        for value in (
            numbers.tolist(),
            array.tolist(),
            {"b64": base64.b64encode(array.tobytes()).decode()},
        ):
            shape, data = read_value(file, value, "FP32", -1, columns)
            assert np.frombuffer(data, "<f4").reshape(shape).tobytes() == array.tobytes()


class TestErrors:
    """An error says the file, stream, step and tensor, what was expected and what came."""

    @pytest.mark.parametrize(
        ("value", "message", "hint"),
        [
            ("[1, 2, 3]", f"{EXPECTED}, but got 3 (12 bytes)", ONE_INFERENCE),
            ('{"b64": "YmFzZTY0IGRlY29kZXI="}', f"{EXPECTED}, but got 14 bytes", ONE_INFERENCE),
            (
                "[1, 2, 3, NaN]",
                "value 4: a whole number from -2147483648 to 2147483647 was expected, but got nan",
                "",
            ),
            (
                "[[1, 2, 3, 4]]",
                "nested lists of the shape [2, 2] were expected, but got [1, 4]",
                FLAT,
            ),
            (
                "[[1, 2], [3]]",
                "lists beside each other are of different lengths",
                "write one flat list, row by row",
            ),
            (
                "[1, [2, 3, 4]]",
                "lists beside each other are of different lengths",
                "write one flat list, row by row",
            ),
            (
                '{"content": [1, 2, 3, 4], "shape": [4]}',
                "the model takes the shape [2, 2], but got [4]",
                "shapes are written without the batch dimension",
            ),
            (
                '{"content": [1, 2, 3, 4], "shape": 4}',
                "`shape`: a list was expected, but got 4",
                "",
            ),
            (
                '{"content": [1, 2, 3, 4], "shape": [2, -1]}',
                "`shape`: whole numbers of at least 0 were expected, but got -1",
                "",
            ),
            (
                '{"content": [1, 2, 3, 4], "shape": [2, "2"]}',
                "`shape`: whole numbers of at least 0 were expected, but got the text `2`",
                "",
            ),
            (
                '{"shape": [2, 2]}',
                "a list or an object with `b64` was expected, but got a JSON object",
                TENSOR,
            ),
            ("null", "a list or an object with `b64` was expected, but got nothing", TENSOR),
            ('{"b64": 7}', "`b64`: a text was expected, but got 7", ""),
            ('{"b64": "YmF"}', f"{EXPECTED}, but got 2 bytes", ONE_INFERENCE),  # not padded
            (
                '{"b64": "YmFzY"}',
                (
                    "`b64`: this is not base64: Invalid base64-encoded string: number of data "
                    "characters (5) cannot be 1 more than a multiple of 4"
                ),
                "",
            ),
            (
                '{"b64": "ü"}',
                "`b64`: this is not base64: string argument should contain only ASCII characters",
                "",
            ),
        ],
        ids=itertools.count(),
    )
    def test_tensors(self, file: Path, value: str, message: str, hint: str) -> None:
        """What is wrong with the value of a tensor."""
        file.write_text(f'{{"data": [{{"INPUT": [1, 2, 3, 4]}}, {{"INPUT": {value}}}]}}')
        with refused(f"{file}: stream 1, step 2: input `INPUT`: {message}", hint):
            read(file, one("INT32", 2, 2))

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (["a"], "2 values of BYTES were expected for the shape [2], but got 1"),
            ({"b64": "AAAA"}, "element 1 of BYTES ends at byte 4, but there are 3 bytes"),
            ([1, 2], "value 1: a text was expected, but got 1"),
        ],
    )
    def test_texts(self, file: Path, value: object, message: str) -> None:
        """What is wrong with the value of a tensor of BYTES."""
        with refused(f"{file}: stream 1, step 1: input `INPUT`: {message}"):
            read_value(file, value, "BYTES", 2)

    @pytest.mark.parametrize("shape", [(3, -1), (0, -1)])
    def test_a_dimension_that_does_not_follow(self, file: Path, shape: tuple[int, ...]) -> None:
        """Values that fill no whole number of rows say nothing about the shape."""
        with refused(
            f"{file}: stream 1, step 1: input `INPUT`: "
            f"4 values do not say which shape of {list(shape)} they have"
        ):
            read_value(file, [1, 2, 3, 4], "INT8", *shape)

"""Input data in files: JSON and folders, and what is said of those that are wrong."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocols.json_values import json_values
from tests.protocols.tensors.data_files import both, one, read, tensors
from tests.refusals import refused
from tuner.errors import InputError
from tuner.load.requests import TensorSpec
from tuner.protocols.tensors.input_files import read_folder
from tuner.protocols.tensors.json_tensors import Side

DATA = Path(__file__).parents[1] / "data"
ONES, TWOS = (np.full(16, value, np.int32).tobytes() for value in (1, 2))
EXPECTED = "were expected for the shape"
ONE_INFERENCE = "a step has the data of one inference, without the batch dimension"
INPUTS, OUTPUTS = both("INPUT", "INT32", 4, 4), both("OUTPUT", "INT32", 4, 4)
GOOD = '{"INPUT0": [1, 2], "INPUT1": [3, 4]}'
SHORT = both("INPUT", "INT32", 2)
FORM = 'the form is {"data": [{"INPUT0": [1, 2, ...], ...}, ...]}, or a list of such lists'
ALIGNED = "`validation_data` needs a step for each step of `data`; {} checks nothing"
KEYS = ["data", "validation_data", "INPUT", "OUTPUT", "content", "shape", "b64"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.json"


def surrogates_too(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


class TestJson:
    """What a file may have, and what is said of others: where it is wrong, and how."""

    def test_a_byte_order_mark(self, file: Path) -> None:
        """Some editors put one in front."""
        file.write_text('{"data": [{"INPUT": [1]}]}', encoding="utf-8-sig")
        assert tensors(read(file, one("INT8", 1)).streams[0]) == [((1,), b"\1")]

    def test_last_commas(self, file: Path) -> None:
        """A comma before a closing bracket is let pass, but left in a text."""
        file.write_text('{"data": [{"INPUT": ["\\",]", "}",\n],},],}')
        [stream] = read(file, one("BYTES", 2)).streams
        assert tensors(stream) == [((2,), b'\3\0\0\0",]\1\0\0\0}')]

    def test_numbers_of_no_size(self, file: Path) -> None:
        """NaN and infinity are written in each way that RapidJSON reads, but in a text."""
        file.write_text('{"data": [{"INPUT": [NaN, -NaN, Inf, -Inf, Infinity, -Infinity]}]}')
        [[(_, data)]] = [tensors(each) for each in read(file, one("FP32", 6)).streams]
        found = np.frombuffer(data, np.float32)
        assert np.isnan(found[:2]).all()
        assert found[2:].tolist() == [np.inf, -np.inf] * 2
        file.write_text('{"data": [{"INPUT": ["Inf, -NaN", "x"],},]}')
        [stream] = read(file, one("BYTES", 2)).streams
        assert tensors(stream) == [((2,), b"\x09\0\0\0Inf, -NaN\1\0\0\0x")]

    def test_what_is_optional(self, file: Path) -> None:
        """A step may leave it out; and a model's name may stand beside the tensors."""
        specs = [replace(each, optional=True) for each in both("INPUT", "INT8", 1)]
        file.write_text('{"data": [{"INPUT0": [1]}, {"INPUT1": [2], "model": "m"}, {}]}')
        [stream] = read(file, specs).streams
        assert [[each.name for each in step.inputs] for step in stream] == [
            ["INPUT0"],
            ["INPUT1"],
            [],
        ]

    def test_some_outputs(self, file: Path) -> None:
        """Validation may leave outputs out, or all of them; one open dimension follows."""
        content = {
            "data": [[{"INPUT": [1]}, {"INPUT": [2]}]],
            "validation_data": [{"OUTPUT1": [7, 8]}, {}],
        }
        file.write_text(json.dumps(content))
        outputs = both("OUTPUT", "UINT8", -1)
        [[first, second]] = read(file, one("INT8", 1), outputs).streams
        assert [(each.name, each.shape, each.data) for each in first.expected] == [
            ("OUTPUT1", (2,), b"\7\x08")
        ]
        assert second.expected == ()

    @pytest.mark.parametrize(
        ("text", "message", "hint"),
        [
            ("", "line 1, column 1: this is not JSON: Expecting value", ""),
            (
                '{"data":\n  [{"INPUT0": [1 2]}]}',
                "line 2, column 18: this is not JSON: Expecting ',' delimiter",
                "",
            ),
            (
                '{"data": [1,],\n "x: 2}',
                "line 2, column 2: this is not JSON: Unterminated string starting at",
                "",
            ),
            ("[" * 100_000, "has too many brackets inside each other", ""),
            ('{"data": ' + "1" * 5000 + "}", "has a number of thousands of digits", ""),
            (
                f'{{"data": [[{GOOD}], [{GOOD}]], "validation_data": [{{}}]}}',
                "`data` has 2 streams, but `validation_data` has 1",
                ALIGNED,
            ),
            (
                f'{{"data": [[{GOOD}], [{GOOD}]], "validation_data": [[{{}}], [{{}}, {{}}]]}}',
                "stream 2: `data` has the length 1, but `validation_data` 2",
                ALIGNED,
            ),
            (
                f'{{"data": [{GOOD}, {{"INPUT0": [1, 2]}}]}}',
                "stream 1, step 2: input `INPUT1`: no data was given",
                "each step needs all inputs of the model that are not optional",
            ),
            (
                '{"data": [[{"INPUT0": [1, 2], "INPUT2": [3, 4]}]]}',
                "stream 1, step 1: the model has no input `INPUT2`",
                "its inputs are `INPUT0`, `INPUT1`",
            ),
            (
                f'{{"data": [{GOOD}], "validation_data": [{{"OUTPUT2": []}}]}}',
                "stream 1, step 1: the model has no output `OUTPUT2`",
                "its outputs are `OUTPUT0`, `OUTPUT1`",
            ),
            (
                f'{{"data": [{GOOD}], "validation_data": [{{"OUTPUT1": {{"b64": 5}}}}]}}',
                "stream 1, step 1: output `OUTPUT1`: `b64`: a text was expected, but got 5",
                "",
            ),
        ],
        ids=itertools.count(),
    )
    def test_files(self, file: Path, text: str, message: str, hint: str) -> None:
        """What is wrong with the file as a whole."""
        file.write_text(text)
        with refused(f"{file}: {message}", hint):
            read(file, SHORT, both("OUTPUT", "INT32", 2))

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ("[]", "an object with `data` was expected, but got an empty list"),
            ("{}", "`data`: {STEPS} nothing"),
            ('{"data": []}', "`data`: {STEPS} an empty list"),
            ('{"data": {"INPUT0": [1]}}', "`data`: {STEPS} a JSON object"),
            ('{"data": [{GOOD}, [{GOOD}]]}', "`data`: stream 1, step 2: {TENSORS} a list"),
            ('{"data": [[{GOOD}], {GOOD}]}', "`data`: stream 2: {STEPS} a JSON object"),
            ('{"data": [[{GOOD}], []]}', "`data`: stream 2: {STEPS} an empty list"),
            ('{"data": [{GOOD}], "validation_data": 5}', "`validation_data`: {STEPS} 5"),
        ],
        ids=itertools.count(),
    )
    def test_forms(self, file: Path, document: str, message: str) -> None:
        """What is said of a document of another form, with the right one."""
        file.write_text(document.replace("{GOOD}", GOOD))
        steps = "a list of steps was expected, but got"
        tensors = "an object with tensors was expected, but got"
        message = message.replace("{STEPS}", steps).replace("{TENSORS}", tensors)
        with refused(f"{file}: {message}", FORM):
            read(file, SHORT, both("OUTPUT", "INT32", 2))

    def test_other_encodings(self, file: Path) -> None:
        """JSON is UTF-8 (RFC 8259, 8.1)."""
        file.write_text('{"data": [{"INPUT": ["é"]}]}', encoding="latin-1")
        with refused(f"{file}: byte 22: this is not UTF-8, as JSON has to be"):
            read(file, one("BYTES", 1))

    @given(
        json_values(KEYS),
        st.sampled_from(["INT8", "FP16", "BF16", "FP64", "BOOL", "BYTES"]),
        st.sampled_from([(), (1,), (-1,), (2, -1), (-1, -1)]),
    )
    @settings(
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
        max_examples=200,
    )
    def test_any_json(
        self, file: Path, content: object, datatype: str, shape: tuple[int, ...]
    ) -> None:
        """Whatever the file says, it is input data or refused with an error that can be shown."""
        outputs = [TensorSpec("OUTPUT", datatype, shape)]
        for document in (content, {"data": content}, {"data": [{"INPUT": content}]}):
            file.write_text(json.dumps(document))
            try:
                streams = read(file, one(datatype, *shape), outputs).streams
            except InputError as error:
                f"{error.message} {error.hint}".encode()  # it can be printed
            else:
                assert all(step.inputs for stream in streams for step in stream)

    @given(st.binary(max_size=64) | st.text('[]{},"\\:1a\n \ud800').map(surrogates_too))
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_bytes(self, file: Path, content: bytes) -> None:
        """Whatever is in the file, it ends with an error, and soon."""
        file.write_bytes(content)
        with pytest.raises(InputError):
            read(file, one("INT8", 1))

    @pytest.mark.parametrize("piece", ['"\\', '"', "\\", ",", ", ", "[,"])
    def test_much_of_nothing(self, file: Path, piece: str) -> None:
        """A large file that is wrong is refused as soon as a right one would be read."""
        file.write_text("[" + piece * 300_000)
        with pytest.raises(InputError, match=r"this is not JSON|too many brackets"):
            read(file, SHORT)

    def test_unreadable(self, tmp_path: Path) -> None:
        """What is neither a folder nor a readable file is refused."""
        (tmp_path / "data.json").symlink_to("/proc/self/mem")
        with refused(f"{tmp_path}/data.json: cannot be read: Input/output error"):
            read(tmp_path / "data.json", SHORT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


class TestFolder:
    """A file for each input, called like it, has its bytes for one inference."""

    def test_numbers(self, folder: Path) -> None:
        """The bytes are sent as they are; a folder is one stream of one step."""
        (folder / "INPUT0").write_bytes(ONES)
        (folder / "INPUT1").write_bytes(TWOS)
        data = read(folder, INPUTS, OUTPUTS)
        [[step]] = data.streams
        assert not data.generated
        assert [(each.name, each.shape, each.data) for each in step.inputs] == [
            ("INPUT0", (4, 4), ONES),
            ("INPUT1", (4, 4), TWOS),
        ]
        assert step.expected == ()

    def test_outputs(self, folder: Path) -> None:
        """Outputs that are there are compared."""
        for name in ("INPUT0", "INPUT1", "OUTPUT1"):
            (folder / name).write_bytes(ONES)
        [[step]] = read(folder, INPUTS, OUTPUTS).streams
        assert [tensor.name for tensor in step.expected] == ["OUTPUT1"]

    @pytest.mark.parametrize(
        ("model", "shapes", "made"),
        [
            ((-1, -1), {"INPUT": (8, 2)}, (8, 2)),
            ((-1, 4), {}, (4, 4)),
            ((4, -1), {"INPUT": (4, 4)}, (4, 4)),
        ],
    )
    def test_open_dimensions(
        self,
        folder: Path,
        model: tuple[int, ...],
        shapes: dict[str, tuple[int, ...]],
        made: tuple[int, ...],
    ) -> None:
        """They come from `--shape`; a single one follows from the size of the file."""
        (folder / "INPUT").write_bytes(ONES)
        [stream] = read(folder, one("INT32", *model), shapes=shapes).streams
        assert tensors(stream) == [(made, ONES)]

    def test_what_is_optional(self, folder: Path) -> None:
        """It needs no file."""
        specs = [replace(each, optional=True) for each in both("INPUT", "INT8", 1)]
        (folder / "INPUT1").write_bytes(b"\5")
        [[step]] = read(folder, specs).streams
        assert [each.name for each in step.inputs] == ["INPUT1"]

    @pytest.mark.parametrize(
        ("content", "shape", "made"),
        [
            (b"a text\nof lines\n", (1,), b"\x10\0\0\0a text\nof lines\n"),
            (b"one line\n", (1,), b"\x08\0\0\0one line"),
            (b"\xff\xd8\xff\n", (1,), b"\x04\0\0\0\xff\xd8\xff\n"),
            (b"a\r\nb\r\n", (2,), b"\x02\0\0\0a\r\x02\0\0\0b\r"),
            (b"", (1,), b"\0\0\0\0"),
            (b"", (0,), b""),
            (b"one\n\nthree\n", (3,), b"\3\0\0\0one\0\0\0\0\5\0\0\0three"),
            (b"one\ntwo", (-1,), b"\3\0\0\0one\3\0\0\0two"),
            (b"\1\0\0\0a\2\0\0\0bc", (2,), b"\1\0\0\0a\2\0\0\0bc"),
            (b"\1\0\0\0a\2\0\0\0bc", (-1,), b"\1\0\0\0a\2\0\0\0bc"),
            (b"\1\0\0\0a\2\0\0\0bc", (1,), b"\x0b\0\0\0\1\0\0\0a\2\0\0\0bc"),
        ],
    )
    def test_texts(
        self, folder: Path, content: bytes, shape: tuple[int, ...], made: bytes
    ) -> None:
        """A file of BYTES is a text, has one on each line, or the 4 bytes of length of each."""
        (folder / "INPUT").write_bytes(content)
        [[(_, data)]] = [tensors(stream) for stream in read(folder, one("BYTES", *shape)).streams]
        assert data == made

    @pytest.mark.parametrize(
        ("specs", "message", "hint"),
        [
            (
                one("INT32", 3),
                f"input `INPUT`: 3 values of INT32 (12 bytes) {EXPECTED} [3], but got 2 (8 bytes)",
                ONE_INFERENCE,
            ),
            (
                one("BYTES", 2),
                f"input `INPUT`: 2 values of BYTES {EXPECTED} [2], but got 1",
                ONE_INFERENCE,
            ),
            (
                [*one("INT64", 1), TensorSpec("MASK", "BOOL", (1,))],
                "input `MASK`: there is no file with its name",
                "put its bytes there: little-endian, row by row, without a batch dimension",
            ),
            (
                INPUTS,
                "the model has neither an input nor an output `INPUT`",
                "call each file like its input, and leave other files out",
            ),
        ],
        ids=itertools.count(),
    )
    def test_errors(self, folder: Path, specs: list[TensorSpec], message: str, hint: str) -> None:
        """A file that is missing, of the wrong size, or of nothing in the model, is said."""
        (folder / "INPUT").write_bytes(b"8 bytes.")
        with refused(f"{folder}: {message}", hint):
            read(folder, specs)

    def test_unreadable(self, folder: Path) -> None:
        """A file that cannot be read is said."""
        (folder / "INPUT").symlink_to("/proc/self/mem")
        with refused(f"{folder}: input `INPUT`: cannot be read: Input/output error"):
            read(folder, one("INT32", 2))

    def test_gone(self, folder: Path) -> None:
        """A folder that cannot be listed is said."""
        with refused(f"{folder}/gone: cannot be read: No such file or directory"):
            read_folder(folder / "gone", Side("input", ()), Side("output", ()))

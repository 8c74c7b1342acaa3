"""Every JSON example of perf_analyzer's manual is read, with its `...` taken out.

They are the files in `data/`; test_file_bodies.py reads the one for TorchServe.
"""

import base64
import json
from pathlib import Path

import numpy as np

from tests.protocols.tensors.data_files import both, one, read, tensors
from tests.refusals import refused

DATA = Path(__file__).parents[1] / "data"
ONES, TWOS, ZEROS = (np.full(16, value, np.int32).tobytes() for value in (1, 2, 0))
INPUTS, OUTPUTS = both("INPUT", "INT32", 4, 4), both("OUTPUT", "INT32", 4, 4)


def test_flat_lists() -> None:
    """A step names each input, with its elements in row-major order."""
    data = read(DATA / "flat.json", INPUTS)
    [stream] = data.streams
    assert not data.generated
    assert len(stream) == 4
    for step in stream:
        assert [tensor.name for tensor in step.inputs] == ["INPUT0", "INPUT1"]
        assert [tensor.shape for tensor in step.inputs] == [(4, 4)] * 2
        assert [tensor.data for tensor in step.inputs] == [ONES, ONES]
        assert step.expected == ()


def test_base64() -> None:
    """Binary data may be given; the list of this example ends in a comma."""
    [stream] = read(DATA / "base64.json", both("INPUT", "UINT8", 14)).streams
    assert tensors(stream) == [((14,), b"base64 decoder")] * 3


def test_streams() -> None:
    """Sequences have a stream of data each, here of 4, 3 and 2 steps."""
    streams = read(DATA / "streams.json", one("BYTES", 1)).streams
    texts = [[data.decode() for _, data in tensors(stream)] for stream in streams]
    assert texts == [["\1\0\0\0" + text for text in line] for line in ("1234", "111", "11")]


def test_shapes() -> None:
    """A step's own shape comes before `--shape`, which is for those without one."""
    model = one("INT32", -1, -1)
    [stream] = read(DATA / "shapes.json", model, shapes={"INPUT": (16, 1)}).streams
    assert tensors(stream) == [(shape, ONES) for shape in ((2, 8), (8, 2), (16, 1), (4, 4))]


def test_a_shape_is_missing() -> None:
    """Without `--shape`, the step without a shape of its own is refused."""
    with refused(
        f"{DATA}/shapes.json: stream 1, step 3: input `INPUT`: "
        "16 values do not say which shape of [-1, -1] they have",
        "choose it: `--shape INPUT:D1,D2,...`, or "
        '{"content": [...], "shape": [...]} in a JSON file',
    ):
        read(DATA / "shapes.json", one("INT32", -1, -1))


def test_base64_with_a_shape(tmp_path: Path) -> None:
    """The contents of a step with a shape may be base64 too: here, a picture's."""
    picture = b"\xff\xd8\xff\xe0\x00\x10JFIF".ljust(7964, b"\0")
    encoded = base64.b64encode(picture).decode()
    assert encoded.startswith("/9j/4AAQSkZ")
    step = {"INPUT": {"content": {"b64": encoded}, "shape": [7964]}}
    file = tmp_path / "data.json"
    file.write_text(json.dumps({"data": [step]}))
    [stream] = read(file, one("UINT8", -1)).streams
    assert tensors(stream) == [((7964,), picture)]


def test_validation() -> None:
    """`validation_data` has the outputs of each step."""
    [[step]] = read(DATA / "validation.json", INPUTS, OUTPUTS).streams
    assert [tensor.data for tensor in step.inputs] == [ONES, ONES]
    assert [tensor.name for tensor in step.expected] == ["OUTPUT0", "OUTPUT1"]
    assert [tensor.shape for tensor in step.expected] == [(4, 4)] * 2
    assert [tensor.data for tensor in step.expected] == [ZEROS, TWOS]

"""`tuner measure --input-data` against a real Triton: perf_analyzer's sources and its examples."""

import base64
from pathlib import Path

import numpy as np
import pytest

from tests.measuring import MANUAL, Measure, write_json
from tests.servers.triton import TritonServer


@pytest.fixture(params=["http", "grpc"])
def url(triton_server: TritonServer, request: pytest.FixtureRequest) -> str:
    grpc = f"grpc://{triton_server.grpc_target}"
    return triton_server.http_url if request.param == "http" else grpc


def step(left: int, right: int) -> dict[str, list[int]]:
    return {"INPUT0": [left] * 16, "INPUT1": [right] * 16}


def outputs(difference: int, total: int) -> dict[str, list[int]]:
    return {"OUTPUT0": [difference] * 16, "OUTPUT1": [total] * 16}


@pytest.mark.parametrize(
    ("model", "file", "options"),
    [
        ("add_sub", "flat.json", ()),
        ("add_sub", "validation.json", ()),
        ("strings", "streams.json", ()),
        ("variable", "shapes.json", ("--shape", "INPUT:16,1")),
    ],
    ids=["flat lists", "validation data", "streams", "shapes"],
)
def test_examples_of_the_manual(
    measure: Measure, url: str, model: str, file: str, options: tuple[str, ...]
) -> None:
    """The examples of perf_analyzer's manual run unchanged against models as it describes."""
    [point] = measure(url, "-m", model, "--input-data", str(MANUAL / file), *options)
    assert point["requests"] == 64


def test_base64(measure: Measure, url: str, tmp_path: Path) -> None:
    """Tensors may be given in base64; what the manual's example says is no INT32 of [4, 4]."""
    ones = base64.b64encode(np.ones(16, "<i4").tobytes()).decode()
    data = {
        "data": [{"INPUT0": {"b64": ones}, "INPUT1": {"content": {"b64": ones}}}],
        "validation_data": [outputs(0, 2)],
    }
    measure(url, "-m", "add_sub", "--input-data", write_json(tmp_path / "b64.json", data))

    message, hint = measure.refusal(
        url, "-m", "add_sub", "--input-data", str(MANUAL / "base64.json")
    )
    assert "input `INPUT0`" in message
    assert hint


def test_right_outputs(measure: Measure, url: str, tmp_path: Path) -> None:
    """Validation data belong to their step, also where several steps share a request."""
    data = {
        "data": [step(5, 2), step(1, 1), step(3, 4)],
        "validation_data": [outputs(3, 7), outputs(0, 2), outputs(-1, 7)],
    }
    file = write_json(tmp_path / "right.json", data)
    for batch in ("1", "2"):
        [point] = measure(url, "-m", "add_sub", "--input-data", file, "-b", batch)
        assert point["requests"] == 64


def test_wrong_outputs(measure: Measure, url: str, tmp_path: Path) -> None:
    """A mismatch is a failed request: here every second one."""
    data = {
        "data": [step(5, 2), step(1, 1)],
        "validation_data": [outputs(3, 7), outputs(0, 3)],
    }
    [point] = measure.points(
        url, "-m", "add_sub", "--input-data", write_json(tmp_path / "half.json", data)
    )
    assert point["errors"] == {"wrong_output": 32}
    assert point["requests"] == 64
    assert point["p90_ms"] is None
    assert point["throughput"] == pytest.approx(32 / point["duration_s"])


def test_outputs_that_are_all_wrong(measure: Measure, url: str, tmp_path: Path) -> None:
    """A server that is never right is not measured; every request is `wrong_output`."""
    data = {"data": [step(5, 2)], "validation_data": [outputs(0, 0)]}
    message, hint = measure.refusal(
        url, "-m", "add_sub", "--input-data", write_json(tmp_path / "wrong.json", data), status=1
    )
    assert message.startswith("no request of the warm-up was answered well: wrong_output (")
    assert message.count("(") == 1
    assert hint == "compare the server's answers with the validation data, or the JSON path"


def test_validation_of_strings_and_open_shapes(measure: Measure, url: str, tmp_path: Path) -> None:
    """Outputs of any datatype and shape are compared."""
    strings = {
        "data": [{"INPUT": ["ä"]}, {"INPUT": [""]}],
        "validation_data": [{"OUTPUT": ["ä"]}, {"OUTPUT": [""]}],
    }
    [point] = measure(
        url, "-m", "strings", "--input-data", write_json(tmp_path / "strings.json", strings)
    )
    assert point["requests"] >= 64
    sums = {
        "data": [{"INPUT": {"content": [1, 2, 3, 4], "shape": [2, 2]}}],
        "validation_data": [{"OUTPUT": [10]}],
    }
    [point] = measure(
        url, "-m", "variable", "--input-data", write_json(tmp_path / "sums.json", sums)
    )
    assert point["requests"] >= 64


def test_validation_of_json_tensors(
    measure: Measure, triton_server: TritonServer, tmp_path: Path
) -> None:
    """Outputs that come as JSON are compared, too."""
    data = {"data": [step(5, 2)], "validation_data": [outputs(3, 7)]}
    [point] = measure(
        triton_server.http_url, "-m", "add_sub", "--output-tensor-format", "json",
        "--input-data", write_json(tmp_path / "right.json", data),
    )  # fmt: skip
    assert point["requests"] >= 64


def test_a_folder(measure: Measure, url: str, tmp_path: Path) -> None:
    """A folder has a file with the raw bytes for each input; outputs there are compared."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, value in (("INPUT0", 5), ("INPUT1", 2), ("OUTPUT0", 3), ("OUTPUT1", 7)):
        np.full(16, value, "<i4").tofile(folder / name)
    [point] = measure(url, "-m", "add_sub", "--input-data", str(folder), "-b", "2")
    assert point["requests"] == 64


def test_several_files(measure: Measure, url: str, tmp_path: Path) -> None:
    """Files are played one behind the other: half of the requests are of each."""
    right = {"data": [step(5, 2)], "validation_data": [outputs(3, 7)]}
    wrong = {"data": [step(5, 2)], "validation_data": [outputs(0, 0)]}
    files = [write_json(tmp_path / f"{n}.json", data) for n, data in enumerate((right, wrong))]
    options = ("--input-data", files[0], "--input-data", files[1])
    [point] = measure.points(url, "-m", "add_sub", *options)
    assert point["errors"] == {"wrong_output": 32}


def test_data_that_cannot_be_used(measure: Measure, url: str) -> None:
    """What is wrong with the data is said before any load."""
    assert measure.refusal(url, "-m", "echo", "--input-data", "nowhere") == (
        "nowhere: there is no such file or folder",
        "`--input-data` is `random`, `zero`, a JSON file, or a folder with a file per input",
    )

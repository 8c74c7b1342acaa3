"""`tuner measure triton-c-api:///MODEL_REPOSITORY` with the real library."""

import shutil
from pathlib import Path

import pytest

from tests.measuring import Measure, write_json
from tests.servers import triton

MODELS = Path(__file__).parents[1] / "models"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if missing := triton.missing():
        pytest.skip(missing)
    for model in ("accumulate", "moody"):
        shutil.copytree(MODELS / model, tmp_path / "repository" / model)
    return tmp_path / "repository"


def test_sequences_are_played_in_order(measure: Measure, repository: Path) -> None:
    """A stateful model gets its sequences, and the outputs of each step are the expected ones."""
    stream = [5, 1, 2]
    data = {
        "data": [[{"INPUT": [value]} for value in stream]],
        "validation_data": [[{"OUTPUT": [5], "STEP": [1]}, {"STEP": [2]}, {"OUTPUT": [8]}]],
    }
    options = ("--input-data", write_json(repository / "streams.json", data))
    points = measure(
        f"triton-c-api://{repository}", "-m", "accumulate", *options, "--concurrency", "1:4:3"
    )
    assert [point["concurrency"] for point in points] == [1, 4]
    for point in points:
        assert point["requests"] == 64
        assert point["server"]["inferences"] >= 64
        assert point["server"]["process"]["processes"] > 1
        assert point["client_overloaded"] is None


def test_a_model_that_crashes_the_server(
    measure: Measure, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the engine's process is gone with it, and the command says why."""
    monkeypatch.setenv("MOOD", "crashes the server")
    message, hint = measure.refusal(f"triton-c-api://{repository}", "-m", "moody", status=1)
    assert message == "the load engine's process, with Triton in it, was ended by SIGSEGV"
    assert hint == (
        "a model or a backend has crashed its server, or the machine is out of memory: "
        "see whether `tritonserver` survives the same requests"
    )

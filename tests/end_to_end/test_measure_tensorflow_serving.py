"""`tuner measure --service-kind tfserving` against a server that speaks its protocols."""

from pathlib import Path

import pytest

from tests.measuring import LASTING, Measure, write_json
from tests.servers.tensorflow_serving import MODEL, TensorFlowServing

KIND = ("--service-kind", "tfserving", "-m", MODEL)


@pytest.fixture(params=["http", "grpc"])
def url(tensorflow_serving: TensorFlowServing, request: pytest.FixtureRequest) -> str:
    rest = f"http://{tensorflow_serving.host}:{tensorflow_serving.rest_port}"
    return rest if request.param == "http" else f"grpc://{tensorflow_serving.grpc_target}"


def test_random_data(measure: Measure, url: str) -> None:
    """Inputs are made from the model's metadata; it has no counters to tell of."""
    for point in measure(url, *KIND, "--concurrency", "1:4:3", *LASTING):
        assert point["server"]["inferences"] is None
        assert point["throughput"] > 0


def test_batches_and_shapes(measure: Measure, url: str) -> None:
    """The first open dimension is the batch's."""
    [point] = measure(url, *KIND, "-b", "8", "--shape", "x:4", "-x", "1", "-H", "X-Run: 7")
    assert point["throughput"] == pytest.approx(8 * 64 / point["duration_s"])


def test_validation_data(measure: Measure, url: str, tmp_path: Path) -> None:
    """Outputs are compared with validation data; wrong ones are failed requests."""
    data: dict[str, list[dict[str, list[float]]]] = {
        "data": [{"x": [1, 2, 3, 4]}, {"x": [0.5, 0, 0, 0]}],
        "validation_data": [{"y": [2, 4, 6, 8]}, {"y": [1, 0, 0, 0]}],
    }
    measure(url, *KIND, "--input-data", write_json(tmp_path / "right.json", data))
    measure(url, *KIND, "--input-data", str(tmp_path / "right.json"), "-b", "2")
    data["validation_data"][1] = {"y": [2, 0, 0, 0]}
    file = write_json(tmp_path / "wrong.json", data)
    [point] = measure.points(url, *KIND, "--input-data", file)
    assert point["errors"] == {"wrong_output": 32}


def test_an_unknown_model(measure: Measure, url: str) -> None:
    """The server's own words are in the error."""
    message, hint = measure.refusal(url, "--service-kind", "tfserving", "-m", "tripel", status=1)
    assert "Servable not found for request: Latest(tripel)" in message
    assert hint in (
        "check the model's name; the server's log says which it has",
        "check that TensorFlow Serving listens there, and the model's name",
    )


def test_an_unknown_signature(measure: Measure, url: str) -> None:
    """A signature that the model does not have is named."""
    message, hint = measure.refusal(url, *KIND, "--signature-name", "classify", status=1)
    assert message.startswith(url)
    assert message.endswith(" tells nothing of 'classify'")
    assert hint == "check `--signature-name`; `saved_model_cli show` lists a model's signatures"

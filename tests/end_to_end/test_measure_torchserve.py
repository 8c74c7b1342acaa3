"""`tuner measure --service-kind torchserve` against a real TorchServe."""

from pathlib import Path

import pytest

from tests.measuring import Measure, write_json
from tests.servers.torchserve import MODEL, TorchServe

KIND = ("--service-kind", "torchserve")


def http_url(server: TorchServe) -> str:
    return f"http://{server.host}:{server.inference_port}"


@pytest.fixture(params=["http", "grpc"])
def url(torchserve_server: TorchServe, request: pytest.FixtureRequest) -> str:
    grpc = f"grpc://{torchserve_server.grpc_target}"
    return http_url(torchserve_server) if request.param == "http" else grpc


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Any bytes: the model does not look at them as a picture."""
    path = tmp_path / "kitten_small.jpg"
    path.write_bytes(bytes(range(256)))
    return path


def test_raw_bodies(measure: Measure, url: str, picture: Path, tmp_path: Path) -> None:
    """Bodies are sent in turn; the server's counters are not to be had, but its process is."""
    other = tmp_path / "other.bin"
    other.write_bytes(b"1234")
    [point] = measure(url, *KIND, "-m", MODEL, "--body", str(picture), "--body", str(other))

    assert point["requests"] == 64
    assert point["bytes_sent"] > 32 * (256 + 4)
    assert point["server"]["inferences"] is None
    assert point["server"]["process"]["resident_bytes"] > 0


def test_json_bodies(measure: Measure, torchserve_server: TorchServe, tmp_path: Path) -> None:
    """With its type, a body of JSON reaches the handler as an object."""
    url, body = http_url(torchserve_server), write_json(tmp_path / "body.json", [1, 2, 3])
    [point] = measure(
        url, *KIND, "-m", MODEL, "--body", body, "--content-type", "application/json"
    )
    assert point["requests"] >= 64


def test_the_answer_to_a_json_body(
    measure: Measure, torchserve_server: TorchServe, tmp_path: Path
) -> None:
    """The same request as plain HTTP shows what the handler made of it."""
    body = write_json(tmp_path / "body.json", [1, 2, 3])
    http = ("--service-kind", "http", "--path", f"/predictions/{MODEL}", "--body", body)
    right = ("--content-type", "application/json", "--json-path", "$.sum=6.0")
    [point] = measure(http_url(torchserve_server), *http, *right)
    assert point["requests"] >= 64


def test_the_example_of_the_manual(measure: Measure, url: str, picture: Path) -> None:
    """perf_analyzer's JSON names files, which are looked for beside it."""
    data = {"data": [{"TORCHSERVE_INPUT": ["kitten_small.jpg"]}]}
    file = write_json(picture.parent / "data.json", data)
    [point] = measure(url, *KIND, "-m", MODEL, "-b", "1", "--input-data", file)
    assert point["bytes_sent"] > 64 * 256


def test_an_open_loop_with_a_version_and_headers(
    measure: Measure, url: str, picture: Path
) -> None:
    """Version, headers and arrivals are as with any other service."""
    options = ("-x", "1.0", "-H", "X-Run: 7", "--rate", "100", "--request-count", "20")
    [point] = measure(url, *KIND, "-m", MODEL, "--body", str(picture), *options)
    assert (point["rate"], point["requests"]) == (100, 20)


def test_a_unix_socket(measure: Measure, torchserve_socket: TorchServe, picture: Path) -> None:
    """TorchServe may listen on a Unix socket."""
    socket = str(torchserve_socket.inference_socket)
    options = ("-m", MODEL, "--body", str(picture), "--unix-socket", socket)
    [point] = measure("http://localhost", *KIND, *options)
    assert point["requests"] >= 64


def test_its_metrics(measure: Measure, torchserve_server: TorchServe, picture: Path) -> None:
    """TorchServe's metrics are collected from its own port."""
    options = ("-m", MODEL, "--body", str(picture), "--metrics-url", torchserve_server.metrics_url)
    [point] = measure(http_url(torchserve_server), *KIND, *options)

    counters = point["server"]["metrics"]["counters"]
    counted = [n for name, n in counters.items() if name.startswith("ts_inference_requests_total")]
    assert sum(counted) >= 64


def test_an_unknown_model(measure: Measure, url: str, picture: Path) -> None:
    """A model that is not there fails every request, and is not measured."""
    options = ("-m", "nobody", "--body", str(picture))
    message, hint = measure.refusal(url, *KIND, *options, status=1)

    kind = "http_404" if url.startswith("http") else "grpc_"
    assert message.startswith(f"no request of the warm-up was answered well: {kind}")
    assert hint == "check URL, protocol and model, and see the server's log"


def test_no_body(measure: Measure, url: str) -> None:
    """TorchServe does not say what it takes, so that a body must be given."""
    assert measure.refusal(url, *KIND, "-m", MODEL) == (
        "TorchServe takes any body, so one is needed",
        "give `--body FILE`, or `--input-data FILE.json` with `TORCHSERVE_INPUT`",
    )


def test_it_is_no_v2_server(measure: Measure, url: str) -> None:
    """What speaks another protocol is told so, in its own words, and which option to look at."""
    message, hint = measure.refusal(url, "-m", MODEL, status=1)

    if url.startswith("http"):
        assert message.startswith(
            f"the server does not have the model `{MODEL}` ready: "
            f"{url}/v2/models/{MODEL} answered 404: {{ "
        )
        assert hint == (
            "check the name, and `--service-kind`; Triton lists its models at POST "
            "/v2/repository/index"
        )
    else:
        assert message.startswith(
            f"the server does not speak V2: {url}/ModelReady answered UNIMPLEMENTED: "
        )
        assert hint == "check `--service-kind`"

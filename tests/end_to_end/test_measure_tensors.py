"""`tuner measure` against a real Triton over HTTP and gRPC: every form that tensors travel in."""

import sys

import httpx
import pytest

from tests.measuring import LASTING, MANUAL, Measure
from tests.servers.triton import TritonServer

PROTOCOLS = ("http", "grpc")
NOT_OVER_GRPC = "tensors in JSON, and compressed requests, are forms of V2 inference over HTTP"


def url_of(server: TritonServer, protocol: str) -> str:
    return server.http_url if protocol == "http" else f"grpc://{server.grpc_target}"


@pytest.fixture(params=PROTOCOLS)
def url(triton_server: TritonServer, request: pytest.FixtureRequest) -> str:
    return url_of(triton_server, request.param)


def test_client_and_server_agree(measure: Measure, url: str) -> None:
    """What the server counts is what the client sent, and the latency contains the server's."""
    [point] = measure(url, "-m", "echo", "--concurrency", "2", *LASTING)

    server = point["server"]
    assert server["inferences"] == server["executions"] == point["requests"]
    assert server["batches"] == {"1": point["requests"]}
    in_server_ms = sum(
        server[f"{part}_ms"]
        for part in ("queue", "compute_input", "compute_infer", "compute_output")
    )
    assert 0 < in_server_ms < point["avg_ms"]
    assert 0 < point["p50_ms"] <= point["p90_ms"] <= point["p95_ms"] <= point["p99_ms"]
    assert point["std_ms"] > 0
    assert min(point["bytes_sent"], point["bytes_received"]) > 64 * point["requests"]


def test_several_inputs_in_a_batch(measure: Measure, url: str) -> None:
    """With `-b`, each request carries so many inferences, and all of them are counted."""
    [point] = measure(url, "-m", "add_sub", "-b", "4")

    assert point["requests"] == 64
    assert point["server"]["inferences"] == 256
    assert point["server"]["batches"] == {"4": 64}
    assert point["throughput"] == pytest.approx(256 / point["duration_s"])


def test_no_batch_dimension(measure: Measure, url: str) -> None:
    """A batch is refused by a model that has no dimension for it."""
    assert measure.refusal(url, "-m", "echo", "-b", "2") == (
        "`--batch 2` was given, but the model has no batch dimension",
        "leave `--batch` out, or set `max_batch_size` in the model's config.pbtxt",
    )


@pytest.mark.parametrize(
    "options",
    [("--string-length", "5"), ("--string-data", "hëllo"), ("--input-data", "zero")],
    ids=["length", "data", "zero"],
)
def test_strings(measure: Measure, url: str, options: tuple[str, str]) -> None:
    """Strings have the length or the content that was asked for."""
    [point] = measure(url, "-m", "strings", *options)
    assert point["requests"] >= 64


def test_open_shapes(measure: Measure, url: str) -> None:
    """Dimensions that the model leaves open are those of `--shape`."""
    [small] = measure(url, "-m", "variable", "--shape", "INPUT:2,3")
    [large] = measure(url, "-m", "variable", "--shape", "INPUT:20,3", "-b", "2")

    more = large["bytes_sent"] - small["bytes_sent"]
    assert more == pytest.approx(64 * 4 * (2 * 60 - 6), rel=0.1)
    assert large["server"]["batches"] == {"2": 64}


def test_an_open_shape_without_dimensions(measure: Measure, url: str) -> None:
    """Without `--shape`, what is to be given is said."""
    assert measure.refusal(url, "-m", "variable") == (
        "input `INPUT` has the open shape [-1, -1]",
        "choose its dimensions: `--shape INPUT:D1,D2,...`",
    )


@pytest.mark.parametrize("model", ["add_sub", "strings"])
def test_json_tensors(measure: Measure, triton_server: TritonServer, model: str) -> None:
    """Over HTTP, inputs and outputs may be JSON."""
    forms = ("--input-tensor-format", "json", "--output-tensor-format", "json")
    [point] = measure(triton_server.http_url, "-m", model, *forms)
    assert point["requests"] >= 64


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_requests(
    measure: Measure, triton_server: TritonServer, compression: str
) -> None:
    """Over HTTP, requests may be compressed: strings of one letter take no room."""
    options = ("--compression", compression, "--string-data", "a" * 2000)
    [point] = measure(triton_server.http_url, "-m", "strings", *options)

    assert point["bytes_sent"] < 1000 * point["requests"] < point["bytes_received"]


@pytest.mark.parametrize(
    "options",
    [
        ("--input-tensor-format", "json"),
        ("--output-tensor-format", "json"),
        ("--compression", "gzip"),
    ],
    ids=["inputs", "outputs", "compression"],
)
def test_forms_of_http_alone(
    measure: Measure, triton_server: TritonServer, options: tuple[str, str]
) -> None:
    """What gRPC does not have is refused there."""
    url = url_of(triton_server, "grpc")
    assert measure.refusal(url, "-m", "echo", *options) == (
        NOT_OVER_GRPC,
        "choose HTTP, or leave them out",
    )


def test_headers_parameters_and_version(measure: Measure, url: str) -> None:
    """A server takes requests with headers, parameters and a version."""
    parameters = ("a:1:int", "b:true:bool", "c:x:y:string", "d:0.5:float")
    options = [word for each in parameters for word in ("--request-parameter", each)]
    [point] = measure(url, "-m", "echo", "-x", "1", "-H", "X-Run: 7", "-H", "X-Who: me", *options)
    assert point["requests"] >= 64


def test_a_version_that_is_not_there(measure: Measure, url: str) -> None:
    """The server's refusal is named, with status 1."""
    message, hint = measure.refusal(url, "-m", "echo", "-x", "9", status=1)

    assert message.startswith("the server does not have version 9 of the model `echo` ready: ")
    assert "version 9 is not found" in message
    assert hint


@pytest.mark.parametrize(
    ("model", "options"),
    [("add_sub", ("-b", "3")), ("strings", ("--string-length", "9"))],
    ids=["a batch", "strings"],
)
def test_system_shared_memory(
    measure: Measure,
    triton_server: TritonServer,
    url: str,
    model: str,
    options: tuple[str, ...],
) -> None:
    """With shared memory, tensors do not travel; the regions are given back."""
    [point] = measure(url, "-m", model, "--shared-memory", "system", *options)

    assert point["server"]["inferences"] > 0
    regions = httpx.get(f"{triton_server.http_url}/v2/systemsharedmemory/status", trust_env=False)
    assert regions.json() == []


def test_outputs_larger_than_their_shared_memory(measure: Measure, url: str) -> None:
    """An output that does not fit into its part of the memory is the server's refusal."""
    options = ("--shared-memory", "system", "--output-shared-memory-size", "8")
    message, _ = measure.refusal(url, "-m", "echo", *options, status=1)

    kind = "http_500" if url.startswith("http") else "grpc_internal"
    assert message.startswith(f"no request of the warm-up was answered well: {kind} (")


def test_shared_memory_has_nothing_to_compare(measure: Measure, url: str) -> None:
    """Outputs that stay in shared memory cannot be held against validation data."""
    options = ("--shared-memory", "system", "--input-data", str(MANUAL / "validation.json"))
    assert measure.refusal(url, "-m", "add_sub", *options) == (
        "outputs in shared memory cannot be compared with validation data",
        "leave `--shared-memory` or `validation_data` out",
    )


def test_cuda_shared_memory_needs_its_package(
    measure: Measure, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package for it, how to get it is said."""
    for name in ("cuda", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, name, None)

    assert measure.refusal(url, "-m", "echo", "--shared-memory", "cuda") == (
        "`--shared-memory cuda` needs the package `cuda-python`, which cannot be imported",
        "pip install 'serving-tuner[gpu]'",
    )

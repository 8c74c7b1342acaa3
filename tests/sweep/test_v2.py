"""The V2 service: what it asks a server, the requests that it makes, and what it refuses."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.servers.triton import TritonServer
from tests.targets.answering import misbehaving, says
from tuner.clients.v2_address import V2Address
from tuner.errors import InputError, ServerError
from tuner.load.profile import Endpoint
from tuner.load.requests import TensorSpec
from tuner.protocols import v2_grpc, v2_http
from tuner.protocols.tensors.inputs import InputOptions
from tuner.protocols.v2 import V2Options, V2Protocol
from tuner.protocols.v2_wire import SequenceForm
from tuner.sweep.v2 import V2Form, V2Service

TENSOR = {"name": "x", "datatype": "FP32", "shape": [4]}


def http(server: TritonServer) -> V2Address:
    return V2Address(Endpoint(server.host, server.http_port))


def grpc(server: TritonServer) -> V2Address:
    return V2Address(Endpoint(server.host, server.grpc_port), V2Protocol.GRPC)


@pytest.fixture(params=["http", "grpc"])
def address(triton_server: TritonServer, request: pytest.FixtureRequest) -> V2Address:
    return http(triton_server) if request.param == "http" else grpc(triton_server)


@contextmanager
def answering(answers: Mapping[str, object]) -> Iterator[V2Address]:
    """A server that has these paths, each with its JSON."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        found = answers.get(handler.path, {"error": "not here"})
        status = 200 if handler.path in answers else 404
        says(json.dumps(found).encode(), status=status)(handler)

    with misbehaving(answer) as url:
        yield V2Address(Endpoint("127.0.0.1", urlsplit(url).port or 0))


def refusal(
    address: V2Address, model: str, form: V2Form, kind: type[InputError | ServerError]
) -> tuple[str, str]:
    with pytest.raises(kind) as caught, V2Service(address, model, form):
        pass
    return caught.value.message, caught.value.hint


def test_distinct_requests(address: V2Address) -> None:
    """There are as many kinds of requests as samples; one seed always gives the same."""
    payloads = []
    for seed in (1, 1, 2):
        form = V2Form(data=InputOptions(seed=seed, samples=8))
        with V2Service(address, "echo", form) as service:
            payloads.append(service.requests.payloads)
    assert len(set(payloads[0])) == 8
    assert payloads[0] == payloads[1] != payloads[2]


def test_batches(address: V2Address) -> None:
    """Several samples share a request, which counts as so many inferences."""
    form = V2Form(data=InputOptions(samples=8), batch=4)
    with V2Service(address, "add_sub", form) as service:
        assert service.requests.inferences == 4
        assert len(service.requests.payloads) == 2


def test_http_requests(triton_server: TritonServer) -> None:
    """Over HTTP a payload is the whole request: version, headers, parameters."""
    options = V2Options(version="1", headers={"X-Run": "7"}, parameters={"a": 1})
    with V2Service(http(triton_server), "echo", V2Form(options=options)) as service:
        head, _, body = service.requests.payloads[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/echo/versions/1/infer HTTP/1.1\r\n")
    assert b"\r\nX-Run: 7" in head
    assert b'"parameters":{"a":1,' in body
    assert service.requests.call is None


def test_grpc_requests(triton_server: TritonServer) -> None:
    """Over gRPC it is the message; headers are metadata."""
    options = V2Options(headers={"X-Run": "7"})
    for streaming, method in ((False, "ModelInfer"), (True, "ModelStreamInfer")):
        form = V2Form(options=V2Options(headers=options.headers, streaming=streaming))
        with V2Service(grpc(triton_server), "echo", form) as service:
            call = service.requests.call
        assert call is not None
        assert call.path == f"/inference.GRPCInferenceService/{method}"
        assert call.metadata == {"x-run": "7"}
        assert (call.stream is not None) == streaming


def test_sequences(address: V2Address) -> None:
    """A stateful model has sequences in place of payloads, of the length that was asked for."""
    form = V2Form(
        data=InputOptions(seed=3, samples=5),
        sequences=SequenceForm(count=2, length=7, variation=0.5, first_id=9, ids=10),
    )
    with V2Service(address, "accumulate", form) as service:
        requests = service.requests
    assert requests.payloads == ()
    found = requests.sequences
    assert found is not None
    assert [len(stream) for stream in found.streams] == [5]
    assert (found.count, found.length, found.variation) == (2, 7, 0.5)
    assert (found.first_id, found.ids, found.seed) == (9, 10, 3)
    grpc_spoken = address.protocol is V2Protocol.GRPC
    assert found.encode_id == (v2_grpc.encode_id if grpc_spoken else v2_http.encode_id)


def test_streams_of_sequences(address: V2Address, tmp_path: Any) -> None:
    """Streams of one's own are as long as they are."""
    file = tmp_path / "data.json"
    file.write_text(json.dumps({"data": [[{"INPUT": [1]}] * 3, [{"INPUT": [2]}]]}))
    with V2Service(address, "accumulate", V2Form(sources=(str(file),))) as service:
        found = service.requests.sequences
    assert found is not None
    assert ([len(stream) for stream in found.streams], found.length) == ([3, 1], 0)


def test_statistics(address: V2Address) -> None:
    """The server's counters are those of the model."""
    with V2Service(address, "echo", V2Form()) as service:
        statistics = service.statistics()
    assert statistics is not None
    assert statistics.requests > 0


def test_a_model_that_is_not_there(address: V2Address) -> None:
    """Its name is to be checked; the server says why."""
    message, hint = refusal(address, "nobody", V2Form(), ServerError)
    assert message.startswith("the server does not have the model `nobody` ready: ")
    assert "unknown model: 'nobody' is not found" in message
    assert hint == (
        "check the name, and `--service-kind`; Triton lists its models at POST "
        "/v2/repository/index"
    )


def test_a_server_with_nothing_but_the_protocol() -> None:
    """Configuration and statistics are extensions: without them, shapes are sent as they are."""
    metadata = {"name": "m", "inputs": [TENSOR], "outputs": [TENSOR]}
    with answering({"/v2/models/m/ready": {}, "/v2/models/m": metadata}) as address:
        with V2Service(address, "m", V2Form()) as service:
            assert service.statistics() is None
            assert service.requests.sequences is None
            assert b'"shape":[4]' in service.requests.payloads[0]
        assert refusal(address, "m", V2Form(batch=2), InputError)[0] == (
            "`--batch 2` was given, but the model has no batch dimension"
        )


def test_a_server_that_names_no_inputs() -> None:
    """A person does; what the server names is not to be said again."""
    x = TensorSpec("x", "FP32", (1, 4))
    silent: dict[str, object] = {
        "/v2/models/m/ready": {},
        "/v2/models/m": {"inputs": [], "outputs": []},
    }
    with answering(silent) as address:
        assert refusal(address, "m", V2Form(), InputError) == (
            "the server names no inputs of the model `m`",
            "name each with its shape, as it is sent: `--input x:FP32:1,128`",
        )
        with V2Service(address, "m", V2Form(inputs=(x,))) as service:
            assert b'"name":"x"' in service.requests.payloads[0]
            assert b'"shape":[1,4]' in service.requests.payloads[0]
    named = {**silent, "/v2/models/m": {"inputs": [TENSOR], "outputs": []}}
    with answering(named) as address:
        assert refusal(address, "m", V2Form(inputs=(x,)), InputError) == (
            "`--input` means nothing to the model `m`: the server names its inputs",
            "leave it out",
        )


def test_a_model_that_is_not_ready() -> None:
    """A model that the server knows, but has not loaded, is not ready; there is no more to say."""
    metadata = {"name": "m", "inputs": [TENSOR], "outputs": [TENSOR]}
    with answering({"/v2/models/m": metadata}) as address:
        message, _ = refusal(address, "m", V2Form(), ServerError)
    assert message == "the server does not have the model `m` ready"


def test_metadata_that_is_none() -> None:
    """An answer that is not the protocol's names its source."""
    with answering({"/v2/models/m/ready": {}, "/v2/models/m": {"inputs": 3}}) as address:
        message, hint = refusal(address, "m", V2Form(), ServerError)
    url = f"http://{address.endpoint.authority}"
    assert message.startswith(f"the answer of {url}/v2/models/m is not what the V2 protocol says")
    assert hint == "check that a V2 server (Triton, KServe) listens there"

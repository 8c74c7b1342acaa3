"""The TensorFlow Serving service: what it reads from a model's metadata, and what it refuses."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import pytest

from tests.refusals import refused
from tests.servers.tensorflow_serving import (
    METADATA_METHOD,
    METHOD,
    MODEL,
    SIGNATURE,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    PredictRequest,
    TensorFlowServing,
)
from tests.targets.answering import misbehaving, says
from tuner.errors import ServerError
from tuner.load.profile import Endpoint
from tuner.load.requests import TensorSpec
from tuner.protocols.checks import OutputsCheck
from tuner.protocols.tensorflow_serving import RestReader, TensorFlowOptions
from tuner.protocols.tensors.inputs import InputOptions
from tuner.sweep.service import PlainService
from tuner.sweep.tensorflow_serving import TensorFlowForm, tensorflow_service

NO_ANSWER_HINT = "check that TensorFlow Serving listens there, and the model's name"


def rest(server: TensorFlowServing) -> Endpoint:
    return Endpoint(server.host, server.rest_port)


def over_grpc(server: TensorFlowServing) -> Endpoint:
    return Endpoint(server.host, server.grpc_port)


@contextmanager
def rest_answering(content: bytes) -> Iterator[Endpoint]:
    """A server with this answer to everything."""

    with misbehaving(says(content)) as url:
        yield Endpoint("127.0.0.1", urlsplit(url).port or 0)


@contextmanager
def grpc_answering(message: bytes) -> Iterator[Endpoint]:
    """A server with this answer to GetModelMetadata."""
    _, service, method = METADATA_METHOD.split("/")
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: message)
    with ThreadPoolExecutor() as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {method: handler})]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield Endpoint("127.0.0.1", port)
        finally:
            server.stop(grace=None).wait()


def tensor(dtype: str, *sizes: int) -> dict[str, Any]:
    return {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(size)} for size in sizes]}}


def document(inputs: object, outputs: object) -> dict[str, Any]:
    """A metadata answer with one signature."""
    signature = {"inputs": inputs, "outputs": outputs}
    return {"metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}}}


def made(inputs: object, outputs: object, form: TensorFlowForm) -> PlainService:
    with rest_answering(json.dumps(document(inputs, outputs)).encode()) as endpoint:
        return tensorflow_service(endpoint, MODEL, form, grpc=False)


def body(payload: bytes) -> Any:
    return json.loads(payload.split(b"\r\n\r\n", 1)[1])


def test_the_servers_metadata_are_as_documented(tensorflow_serving: TensorFlowServing) -> None:
    """REST has 64-bit numbers as text, gRPC a map of Any; both say the same."""
    url = f"http://{rest(tensorflow_serving).authority}/v1/models/{MODEL}/metadata"
    answered = httpx.get(url, trust_env=False).json()
    signature = answered["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["tensor_shape"]["dim"][0] == {"size": "-1", "name": ""}
    with grpc.insecure_channel(tensorflow_serving.grpc_target) as channel:
        ask = channel.unary_unary(
            METADATA_METHOD,
            request_serializer=GetModelMetadataRequest.SerializeToString,
            response_deserializer=GetModelMetadataResponse.FromString,
        )
        answer = ask(
            GetModelMetadataRequest(model_spec={"name": MODEL}, metadata_field=["signature_def"])
        )
    assert answer.metadata["signature_def"].type_url.endswith("SignatureDefMap")


def test_rest_requests(tensorflow_serving: TensorFlowServing) -> None:
    """Batches are of the first dimension where it is open."""
    options = TensorFlowOptions(version="1", headers={"X-Run": "7"}, signature=SIGNATURE)
    form = TensorFlowForm(data=InputOptions(samples=8), batch=4, options=options)
    with tensorflow_service(rest(tensorflow_serving), MODEL, form, grpc=False) as service:
        first, second = service.requests.payloads
        assert service.statistics() is None
    assert first.startswith(f"POST /v1/models/{MODEL}/versions/1:predict HTTP/1.1\r\n".encode())
    assert b"X-Run: 7\r\n" in first
    assert [len(row) for row in body(first)["inputs"]["x"]] == [4] * 4
    assert body(first) != body(second)
    assert body(first)["signature_name"] == SIGNATURE
    assert (service.requests.inferences, service.requests.check) == (4, None)


def test_grpc_requests(tensorflow_serving: TensorFlowServing) -> None:
    """Over gRPC a payload is the message; headers are metadata."""
    options = TensorFlowOptions(headers={"X-Run": "7"})
    form = TensorFlowForm(data=InputOptions(samples=8), batch=4, options=options)
    service = tensorflow_service(over_grpc(tensorflow_serving), MODEL, form, grpc=True)
    request = PredictRequest.FromString(service.requests.payloads[0])
    assert request.model_spec.name == MODEL
    assert [each.size for each in request.inputs["x"].tensor_shape.dim] == [4, 4]
    assert service.requests.call is not None
    assert (service.requests.call.path, dict(service.requests.call.metadata)) == (
        METHOD,
        {"x-run": "7"},
    )


@pytest.mark.parametrize("over", [rest, over_grpc])
def test_open_dimensions(tensorflow_serving: TensorFlowServing, over: Any, tmp_path: Path) -> None:
    """An open dimension is -1 in the answers of both, and so a batch of any size may be sent."""
    file = tmp_path / "data.json"
    data = {"data": [{"x": [1, 2, 3, 4]}], "validation_data": [{"y": [2, 4, 6, 8]}]}
    file.write_text(json.dumps(data))
    form = TensorFlowForm(sources=(str(file),), batch=3)
    spoken = over is over_grpc
    service = tensorflow_service(over(tensorflow_serving), MODEL, form, grpc=spoken)
    check = service.requests.check
    assert isinstance(check, OutputsCheck)
    [[expected]] = check.expected
    assert (expected.name, expected.datatype, expected.shape) == ("y", "FP32", (3, 4))
    if not spoken:
        assert check.read == RestReader((TensorSpec("y", "FP32", (-1, 4)),))


def test_a_model_without_batches() -> None:
    """Where a first dimension is fixed, there is none for a batch."""
    inputs = {"a": tensor("DT_INT32", 2, 3), "b": tensor("DT_FLOAT", -1)}
    form = TensorFlowForm(data=InputOptions(shapes={"b": (5,)}))
    sent = body(made(inputs, {}, form).requests.payloads[0])["inputs"]
    assert (len(sent["a"]), len(sent["a"][0]), len(sent["b"])) == (2, 3, 5)
    with refused("`--batch 2` was given, but the model has no batch dimension"):
        made({"a": inputs["a"]}, {}, TensorFlowForm(batch=2))


def test_datatypes() -> None:
    """Datatypes of TensorFlow are those of the requests."""
    inputs = {"s": tensor("DT_STRING", -1, 1), "b": tensor("DT_BOOL", -1, 1)}
    [row] = body(made(inputs, {}, TensorFlowForm()).requests.payloads[0])["inputs"]["s"]
    assert list(row[0]) == ["b64"]


def metadata_of(**inputs: object) -> bytes:
    return json.dumps(document(inputs, {})).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "is no model metadata: "),
        (b"[]", "is no model metadata: "),
        (b"{}", "tells nothing of 'metadata'"),
        (metadata_of(x={}), "tells nothing of 'dtype'"),
        (
            metadata_of(x=tensor("DT_COMPLEX64", 1)),
            "is no model metadata: the type `DT_COMPLEX64` is not supported",
        ),
        (metadata_of(x=tensor("DT_FLOAT") | {"tensor_shape": 3}), "is no model metadata: "),
    ],
)
def test_rest_answers_that_are_none(content: bytes, message: str) -> None:
    """What cannot be read is the server's fault, and names the URL."""
    with rest_answering(content) as endpoint, pytest.raises(ServerError) as caught:
        tensorflow_service(endpoint, MODEL, TensorFlowForm(), grpc=False)
    url = f"http://{endpoint.authority}/v1/models/{MODEL}/metadata"
    assert url in caught.value.message
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "is no model metadata: "),
        (b"", "tells nothing of 'signature_def'"),
        (
            GetModelMetadataResponse(
                metadata={"signature_def": {"value": b"\x0a\x04\x0a\x00\x12\x00"}}
            ).SerializeToString(),
            f"tells nothing of '{SIGNATURE}'",
        ),
    ],
)
def test_grpc_answers_that_are_none(content: bytes, message: str) -> None:
    """The same over gRPC."""
    with grpc_answering(content) as endpoint, pytest.raises(ServerError) as caught:
        tensorflow_service(endpoint, MODEL, TensorFlowForm(), grpc=True)
    assert f"grpc://{endpoint.authority}{METADATA_METHOD}" in caught.value.message
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("spoken", [False, True], ids=["REST", "gRPC"])
def test_nothing_listens(spoken: bool) -> None:  # noqa: FBT001 - pytest's
    """Where nothing listens, the model is not known."""
    with pytest.raises(ServerError) as caught:
        tensorflow_service(Endpoint("127.0.0.1", 9), MODEL, TensorFlowForm(), grpc=spoken)
    scheme = "grpc" if spoken else "http"
    assert caught.value.message.startswith(f"no answer from {scheme}://127.0.0.1:9/")
    assert caught.value.hint == NO_ANSWER_HINT


def test_an_unknown_model(tensorflow_serving: TensorFlowServing) -> None:
    """The server's words are in the error."""
    with pytest.raises(ServerError) as caught:
        tensorflow_service(rest(tensorflow_serving), "nobody", TensorFlowForm(), grpc=False)
    url = f"http://{rest(tensorflow_serving).authority}/v1/models/nobody/metadata"
    assert caught.value.message == (
        f'{url} answered 404: {{"error": "Servable not found for request: Latest(nobody)"}}'
    )
    assert caught.value.hint == "check the model's name; the server's log says which it has"
    with pytest.raises(ServerError) as caught:
        tensorflow_service(over_grpc(tensorflow_serving), "nobody", TensorFlowForm(), grpc=True)
    assert caught.value.message.endswith(
        "NOT_FOUND: Servable not found for request: Latest(nobody)"
    )

"""TorchServe's predictions: messages that Google's protobuf reads, requests as its manual says."""

from tests.load.descriptors import message_classes
from tuner.load.profile import Endpoint
from tuner.load.requests import GrpcCall
from tuner.protocols import torchserve
from tuner.protocols.torchserve import TorchServeOptions

ENDPOINT = Endpoint("127.0.0.1", 8080)
# frontend/server/src/main/resources/proto/inference.proto
PredictionsRequest = message_classes(
    "org.pytorch.serve.grpc.inference",
    {
        "PredictionsRequest": """
            string model_name = 1;
            string model_version = 2;
            map<string, bytes> input = 3;
        """,
    },
)["PredictionsRequest"]


def test_the_body_goes_to_the_model() -> None:
    """As bytes of an unknown kind, to the default version."""
    request = torchserve.prepare_http(ENDPOINT, "a model", b"\0\xff")
    assert request == (
        b"POST /predictions/a%20model HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 2\r\n"
        b"Content-Type: application/octet-stream\r\n\r\n\0\xff"
    )


def test_version_type_and_headers_can_be_chosen() -> None:
    """JSON is a body whose type says so."""
    options = TorchServeOptions(
        version="1.0", content_type="application/json", headers={"Authorization": "Bearer x"}
    )
    head, _, body = torchserve.prepare_http(ENDPOINT, "m", b"{}", options).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /predictions/m/1.0 HTTP/1.1\r\n")
    assert head.endswith(b"\r\nContent-Type: application/json\r\nAuthorization: Bearer x")
    assert body == b"{}"


def test_the_message_is_a_predictions_request() -> None:
    """The body is the input `data`, which handlers look for."""
    for version in ("", "2.0"):
        message = torchserve.prepare_grpc("m", b"\0\xff", TorchServeOptions(version=version))
        assert PredictionsRequest.FromString(message) == PredictionsRequest(
            model_name="m", model_version=version, input={"data": b"\0\xff"}
        )


def test_the_method_is_predictions() -> None:
    """Custom headers are metadata, in lower case."""
    assert torchserve.grpc_call(TorchServeOptions(headers={"Authorization": "x"})) == GrpcCall(
        "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions",
        {"authorization": "x"},
    )

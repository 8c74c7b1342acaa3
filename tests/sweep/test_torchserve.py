"""The TorchServe service: one request for each body."""

from tests.servers.torchserve import METHOD, PredictionsRequest
from tuner.load.profile import Endpoint
from tuner.protocols.torchserve import TorchServeOptions
from tuner.sweep.torchserve import torchserve_service

ENDPOINT = Endpoint("127.0.0.1", 9)
BODIES = (b"one", b"two")


def test_http() -> None:
    """Over HTTP a payload is the whole request."""
    options = TorchServeOptions(version="1.0", headers={"X-Run": "7"}, content_type="text/plain")
    with torchserve_service(ENDPOINT, "m", BODIES, options, grpc=False) as service:
        heads, bodies = zip(
            *(each.split(b"\r\n\r\n", 1) for each in service.requests.payloads), strict=True
        )
        assert service.statistics() is None
    assert bodies == BODIES
    for head in heads:
        assert head.startswith(b"POST /predictions/m/1.0 HTTP/1.1\r\n")
        assert b"Content-Type: text/plain" in head
        assert b"X-Run: 7" in head
    assert (service.endpoint, service.requests.call) == (ENDPOINT, None)


def test_grpc() -> None:
    """Over gRPC it is the message, with the body as the input `data`."""
    options = TorchServeOptions(version="1.0", headers={"X-Run": "7"})
    service = torchserve_service(ENDPOINT, "m", BODIES, options, grpc=True)
    messages = [PredictionsRequest.FromString(each) for each in service.requests.payloads]
    assert [dict(each.input) for each in messages] == [{"data": each} for each in BODIES]
    assert {(each.model_name, each.model_version) for each in messages} == {("m", "1.0")}
    assert service.requests.call is not None
    assert service.requests.call.path == METHOD
    assert service.requests.call.metadata == {"x-run": "7"}

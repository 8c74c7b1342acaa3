"""What a model is, as far as its server tells, over HTTP and gRPC."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from operator import methodcaller
from typing import Any

import pytest
from tritonclient.grpc import service_pb2

from tests.targets.answering import Answer, answering_grpc, misbehaving, says
from tuner.clients.v2 import ModelTraits, NotOffered, known_model
from tuner.clients.v2_grpc import V2GrpcClient
from tuner.clients.v2_http import V2Client
from tuner.errors import ServerError
from tuner.load.profile import Endpoint


class TestTraits:
    @pytest.mark.parametrize(
        ("config", "traits"),
        [
            ({}, (False, False, False)),
            ({"max_batch_size": 0}, (False, False, False)),
            ({"max_batch_size": 1}, (True, False, False)),
            ({"sequence_batching": {}}, (False, True, False)),
            ({"model_transaction_policy": {"decoupled": True}}, (False, False, True)),
            ({"model_transaction_policy": {"decoupled": False}}, (False, False, False)),
        ],
    )
    def test_of(self, config: dict[str, Any], traits: tuple[bool, bool, bool]) -> None:
        """A configuration decides all three, also by what it leaves out."""
        assert ModelTraits.of(config) == ModelTraits(*traits)


def says_only(good: dict[str, bytes]) -> Answer:
    """Good answers by path, and 404 to everything else."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = good.get(handler.path)
        says(body or b"", status=404 if body is None else 200)(handler)

    return answer


class TestPlainServer:
    """A KServe server has the protocol, but none of Triton's extensions."""

    @pytest.fixture
    def url(self) -> Iterator[str]:
        with misbehaving(says_only({"/v2/models/m": b'{"inputs": [], "outputs": []}'})) as url:
            yield url

    @pytest.mark.parametrize(("call", "path"), [("config", "config"), ("statistics", "stats")])
    def test_not_offered(self, url: str, call: str, path: str) -> None:
        """What a server lacks is told from what a model lacks."""
        with V2Client(url) as client, pytest.raises(NotOffered) as caught:
            methodcaller(call, "m")(client)
        assert str(caught.value) == f"{url}/v2/models/m/{path} answered 404: "

    def test_unknown_model(self, url: str) -> None:
        """Where the model itself is not there, the extension may well be."""
        with V2Client(url) as client, pytest.raises(ServerError) as caught:
            client.config("other")
        assert type(caught.value) is ServerError

    def test_traits_over_http(self, url: str) -> None:
        """Nothing is known of a model whose configuration is not told, which is no error."""
        with V2Client(url) as client:
            assert known_model(client, "m")[1] == ModelTraits(None, None, None)

    def test_traits_over_grpc(self) -> None:
        """The same over gRPC."""
        nothing = {"ModelMetadata": lambda *_: service_pb2.ModelMetadataResponse()}
        with answering_grpc(nothing) as port, V2GrpcClient(Endpoint("127.0.0.1", port)) as client:
            assert known_model(client, "m")[1] == ModelTraits(None, None, None)

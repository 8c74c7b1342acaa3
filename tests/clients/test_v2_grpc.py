"""The control plane over gRPC: what it says is what HTTP says, and its failures have names."""

import json
import socket
from collections.abc import Iterator
from operator import methodcaller
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from runners.base import RunningServer
from tests.runner_tests.waiting import DEADLINE_S
from tests.targets.answering import answering_grpc, misbehaving, says
from tuner.clients.v2 import ModelTraits, NotOffered, model_traits
from tuner.clients.v2_grpc import V2GrpcClient
from tuner.clients.v2_http import V2Client
from tuner.errors import InputError, ServerError, ServerTimeoutError
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.v2 import MemoryKind
from tuner.records import ServerStatistics
from tuner.targets.triton import config as model_config

pytest_plugins = ["tests.targets.triton.plain_triton"]

NUMBERS = Tensor("numbers", "FP32", (1, 4), np.array([1, 2, 3, 4], np.float32).tobytes())
WORDS = Tensor("words", "BYTES", (1, 2), b"\x02\x00\x00\x00hi\x00\x00\x00\x00")


@pytest.fixture
def http(plain_triton: RunningServer) -> Iterator[V2Client]:
    with V2Client(plain_triton.url("http")) as client:
        yield client


@pytest.fixture
def client(plain_triton: RunningServer) -> Iterator[V2GrpcClient]:
    with V2GrpcClient(Endpoint(plain_triton.host, plain_triton.ports["grpc"])) as client:
        yield client


class TestSameAsHttp:
    """The two clients of one real Triton agree."""

    def test_ready(self, client: V2GrpcClient, http: V2Client) -> None:
        """A loaded model is ready, one that is not there is not."""
        assert client.ready("double")
        assert http.ready("double")
        assert not client.ready("no such/one?")
        assert not http.ready("no such/one?")

    def test_metadata(self, client: V2GrpcClient, http: V2Client) -> None:
        """Inputs and outputs come with the batch dimension."""
        metadata = client.metadata("double")
        assert metadata == http.metadata("double")
        assert metadata.inputs == (
            TensorSpec("numbers", "FP32", (-1, 4)),
            TensorSpec("words", "BYTES", (-1, 2)),
        )

    @pytest.mark.parametrize("model", ["double", "special"])
    def test_config(self, client: V2GrpcClient, http: V2Client, model: str) -> None:
        """The configuration has the same names, numbers and enumerators."""
        assert client.config(model) == http.config(model)

    @pytest.mark.parametrize(
        ("model", "traits"),
        [
            ("double", ModelTraits(batched=True, stateful=False, decoupled=False)),
            ("special", ModelTraits(batched=False, stateful=True, decoupled=True)),
        ],
    )
    def test_traits(
        self, client: V2GrpcClient, http: V2Client, model: str, traits: ModelTraits
    ) -> None:
        """What decides how a model is asked is read from it."""
        assert model_traits(client, model) == model_traits(http, model) == traits

    def test_infer(self, client: V2GrpcClient, http: V2Client) -> None:
        """The outputs are the same, bit for bit."""
        doubled, same = client.infer("double", [NUMBERS, WORDS])
        assert (doubled, same) == http.infer("double", [NUMBERS, WORDS])
        assert (doubled.name, doubled.shape) == ("doubled", (1, 4))
        assert np.frombuffer(doubled.data, np.float32).tolist() == [2, 4, 6, 8]
        assert (same.name, same.data) == ("same", WORDS.data)

    def test_statistics(self, client: V2GrpcClient, http: V2Client) -> None:
        """One reading is the other, and the difference of two is what happened between them."""
        before = client.statistics("double")
        client.infer("double", [NUMBERS, WORDS])
        after = client.statistics("double")
        assert after == http.statistics("double")
        spent = after - before
        assert (spent.inferences, spent.requests, spent.batches) == (1, 1, {1: 1})
        assert spent.compute_infer_s > 0

    def test_load(self, client: V2GrpcClient, http: V2Client) -> None:
        """A configuration takes the place of the one in the model's file."""
        config = dict(http.config("special"))
        for each, count in ((client, 2), (http, 1)):
            config["instance_group"] = [{"count": count, "kind": "KIND_CPU"}]
            message = model_config.from_server(config)
            each.load("special", model_config.as_json(message))
            assert client.config("special")["instance_group"][0]["count"] == count


class TestTriton:
    @pytest.mark.parametrize(
        ("method", "words"),
        [
            ("metadata", "NOT_FOUND: Request for unknown model: 'resnet' is not found"),
            ("config", "NOT_FOUND: Request for unknown model: 'resnet' is not found"),
            ("statistics", "INVALID_ARGUMENT: requested model 'resnet' is not available"),
        ],
    )
    def test_unknown_model(
        self, client: V2GrpcClient, plain_triton: RunningServer, method: str, words: str
    ) -> None:
        """What the server refuses is told with its status and its own words."""
        with pytest.raises(ServerError) as caught:
            methodcaller(method, "resnet")(client)
        url = f"grpc://127.0.0.1:{plain_triton.ports['grpc']}"
        assert str(caught.value) == f"{url}/{METHODS[method]} answered {words}"
        assert type(caught.value) is ServerError

    def test_load_refused(self, client: V2GrpcClient) -> None:
        """A configuration that cannot be read is refused; the model stays as it was."""
        with pytest.raises(ServerError, match="answered INTERNAL: failed to load 'double', fail"):
            client.load("double", json.dumps({"max_batch_size": "many"}))
        assert client.ready("double")


CALLS = {
    "metadata": methodcaller("metadata", "m"),
    "config": methodcaller("config", "m"),
    "statistics": methodcaller("statistics", "m"),
    "infer": methodcaller("infer", "m", [NUMBERS]),
    "load": methodcaller("load", "m", "{}"),
    "ready": methodcaller("ready", "m"),
    "shared_memory": methodcaller("shared_memory", MemoryKind.SYSTEM),
    "share_system_memory": methodcaller("share_system_memory", "r", key="/r", byte_size=64),
    "share_cuda_memory": methodcaller(
        "share_cuda_memory", "r", handle=b"h", device=0, byte_size=64
    ),
    "forget_memory": methodcaller("forget_memory", MemoryKind.CUDA, "r"),
}
METHODS = {
    "metadata": "ModelMetadata",
    "config": "ModelConfig",
    "statistics": "ModelStatistics",
    "infer": "ModelInfer",
    "load": "RepositoryModelLoad",
    "ready": "ModelReady",
    "shared_memory": "SystemSharedMemoryStatus",
    "share_system_memory": "SystemSharedMemoryRegister",
    "share_cuda_memory": "CudaSharedMemoryRegister",
    "forget_memory": "CudaSharedMemoryUnregister",
}


def ask(port: int, call: str, *, timeout_s: float = DEADLINE_S) -> object:
    with V2GrpcClient(Endpoint("127.0.0.1", port), timeout_s=timeout_s) as client:
        return CALLS[call](client)


class TestBadServer:
    @pytest.mark.parametrize("call", CALLS)
    def test_not_offered(self, call: str) -> None:
        """A method that the server lacks is told from one that it refuses."""
        with answering_grpc({}) as port, pytest.raises(NotOffered) as caught:
            ask(port, call)
        assert str(caught.value) == (
            f"grpc://127.0.0.1:{port}/{METHODS[call]} answered UNIMPLEMENTED: Method not found!"
        )

    @pytest.mark.parametrize("call", CALLS)
    def test_refuses(self, call: str) -> None:
        """A refusal is told with the method, the status and the server's words."""

        def refuses(_request: Any, context: Any) -> Any:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not today")

        with (
            answering_grpc({METHODS[call]: refuses}) as port,
            pytest.raises(ServerError) as caught,
        ):
            ask(port, call)
        assert str(caught.value) == (
            f"grpc://127.0.0.1:{port}/{METHODS[call]} answered PERMISSION_DENIED: not today"
        )
        assert type(caught.value) is ServerError

    def test_wrong_outputs(self) -> None:
        """Outputs that are not raw bytes, one each, are no answer."""

        def answer(_request: Any, _context: Any) -> Any:
            return service_pb2.ModelInferResponse(outputs=[{"name": "y"}])

        with answering_grpc({"ModelInfer": answer}) as port, pytest.raises(ServerError) as caught:
            ask(port, "infer")
        assert str(caught.value) == (
            f"the answer of grpc://127.0.0.1:{port}/ModelInfer is not what the V2 protocol says: "
            "1 outputs, but 0 raw contents"
        )
        assert caught.value.hint == "check that a V2 server (Triton, KServe) listens there"

    def test_wrong_version(self) -> None:
        """Statistics of a version that is no number are no answer."""

        def answer(_request: Any, _context: Any) -> Any:
            return service_pb2.ModelStatisticsResponse(model_stats=[{"version": "new"}])

        with (
            answering_grpc({"ModelStatistics": answer}) as port,
            pytest.raises(ServerError, match=r"/ModelStatistics is not what .*: invalid literal"),
        ):
            ask(port, "statistics")

    def test_statistics_of_no_version(self) -> None:
        """A model that has no statistics yet has done nothing."""

        def answer(_request: Any, _context: Any) -> Any:
            return service_pb2.ModelStatisticsResponse()

        with answering_grpc({"ModelStatistics": answer}) as port:
            assert ask(port, "statistics") == ServerStatistics()

    @pytest.mark.parametrize("call", CALLS)
    def test_hangs(self, call: str) -> None:
        """A server that does not answer is given up after the timeout."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with pytest.raises(ServerTimeoutError) as caught:
                ask(port, call, timeout_s=0.1)
        assert str(caught.value) == (
            f"no answer from grpc://127.0.0.1:{port}/{METHODS[call]} within 0.1 s"
        )
        assert caught.value.hint == "see in the server's log what it waits for"

    def test_nobody_listens(self) -> None:
        """Where there is no server, the message names host and port."""
        with answering_grpc({}) as port:
            pass
        with pytest.raises(ServerError) as caught:
            ask(port, "ready")
        assert str(caught.value).startswith(f"grpc://127.0.0.1:{port} is unavailable: failed to")
        assert caught.value.hint == (
            "check that the server runs, and that host, port and model are right"
        )

    def test_back_again(self) -> None:
        """A server that was away is reached as soon as it is there."""
        with answering_grpc({}) as port:
            pass
        with pytest.raises(ServerError, match="is unavailable"):
            ask(port, "ready")
        with answering_grpc({}, address=f"127.0.0.1:{port}"), pytest.raises(NotOffered):
            ask(port, "ready")

    def test_http_server(self) -> None:
        """A server that speaks HTTP/1.1 only is no gRPC server."""
        with misbehaving(says(b"")) as url, pytest.raises(ServerError, match="is unavailable"):
            ask(int(url.rpartition(":")[2]), "ready")

    @pytest.mark.parametrize(("name", "value"), [("a b", "c"), ("a", "ü"), ("a", "")])
    def test_headers(self, name: str, value: str) -> None:
        """Headers that gRPC cannot send are refused at once."""
        with pytest.raises(InputError) as caught:
            V2GrpcClient(Endpoint("127.0.0.1", 1), headers={name: value})
        assert str(caught.value) == f"the header `{name}: {value}` cannot be sent over gRPC"
        assert caught.value.hint == (
            "a name is of letters, digits, `-`, `_` and `.`, a value of printable ASCII"
        )

    def test_proxies_are_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Proxy settings of the environment do not stand between the tuner and its server."""
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

        def answer(_request: Any, _context: Any) -> Any:
            return service_pb2.ModelReadyResponse(ready=True)

        with answering_grpc({"ModelReady": answer}) as port:
            assert ask(port, "ready") is True

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
from tests.clients.v2_calls import CALLS, ready
from tests.refusals import refused
from tests.runner_tests.waiting import DEADLINE_S
from tests.targets.answering import answering_grpc, misbehaving, says
from tuner.clients.v2 import ModelTraits, NotOffered, known_model
from tuner.clients.v2_grpc import V2GrpcClient
from tuner.clients.v2_http import V2Client
from tuner.errors import ServerError, ServerTimeoutError
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor, TensorSpec
from tuner.targets.triton import config as model_config

pytest_plugins = ["tests.targets.triton.plain_triton"]

NUMBERS = Tensor("numbers", "FP32", (1, 4), np.array([1, 2, 3, 4], np.float32).tobytes())
UNKNOWN = "Request for unknown model: 'resnet' is not found"
UNAVAILABLE = "requested model 'resnet' is not available"
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
        config = client.config(model)
        assert config == http.config(model)
        assert config["instance_group"][0]["name"] == f"{model}_0"  # completed by the server

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
        assert known_model(client, model) == known_model(http, model)
        assert known_model(http, model)[1] == traits

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
        for _ in range(3):
            client.infer("double", [NUMBERS, WORDS])
        after = client.statistics("double")
        assert after == http.statistics("double")
        spent = after - before
        assert (spent.inferences, spent.executions, spent.requests) == (3, 3, 3)
        assert (spent.failures, spent.batches, spent.mean_batch) == (0, {1: 3}, 1.0)
        assert spent.compute_infer_s > 0
        assert spent.per_request_s(spent.compute_infer_s) == spent.compute_infer_s / 3

    def test_load(self, client: V2GrpcClient, http: V2Client) -> None:
        """A configuration takes the place of the one in the model's file."""
        config = dict(http.config("special"))
        for each, count in ((client, 2), (http, 1)):
            config["instance_group"] = [{"count": count, "kind": "KIND_CPU"}]
            message = model_config.from_server(config)
            each.load("special", model_config.as_json(message))
            assert client.config("special")["instance_group"][0]["count"] == count

    @pytest.mark.parametrize(
        ("method", "path", "status", "code", "words"),
        [
            ("metadata", "", 404, "NOT_FOUND", UNKNOWN),
            ("config", "/config", 404, "NOT_FOUND", UNKNOWN),
            ("statistics", "/stats", 400, "INVALID_ARGUMENT", UNAVAILABLE),
        ],
    )
    def test_unknown_model(
        self,
        client: V2GrpcClient,
        http: V2Client,
        plain_triton: RunningServer,
        method: str,
        path: str,
        status: int,
        code: str,
        words: str,
    ) -> None:
        """What the server refuses is told with its status and its own words."""
        url, ports = plain_triton.url("http"), plain_triton.ports
        for each, message in (
            (client, f"grpc://127.0.0.1:{ports['grpc']}/{METHODS[method]} answered {code}"),
            (http, f"{url}/v2/models/resnet{path} answered {status}"),
        ):
            with pytest.raises(ServerError) as caught:
                methodcaller(method, "resnet")(each)
            assert str(caught.value) == f"{message}: {words}"
            assert type(caught.value) is ServerError

    def test_load_refused(self, client: V2GrpcClient, http: V2Client) -> None:
        """A configuration that cannot be read is refused; the model stays as it was."""
        for each, status in ((client, "INTERNAL"), (http, "500")):
            refused = f"answered {status}: failed to load 'double', failed to"
            with pytest.raises(ServerError, match=refused):
                each.load("double", json.dumps({"max_batch_size": "many"}))
            assert each.ready("double")


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

    @pytest.mark.parametrize(
        ("call", "answer", "complaint"),
        [
            # Outputs that are not raw bytes, one each.
            (
                "infer",
                service_pb2.ModelInferResponse(outputs=[{"name": "y"}]),
                "1 outputs, but 0 raw contents",
            ),
            # A version that is no number.
            (
                "statistics",
                service_pb2.ModelStatisticsResponse(model_stats=[{"version": "new"}]),
                "invalid literal for int() with base 10: 'new'",
            ),
        ],
    )
    def test_wrong_answer(self, call: str, answer: Any, complaint: str) -> None:
        """An answer that is none is told with the method and what is wrong with it."""
        with (
            answering_grpc({METHODS[call]: lambda *_: answer}) as port,
            pytest.raises(ServerError) as caught,
        ):
            ask(port, call)
        source = f"grpc://127.0.0.1:{port}/{METHODS[call]}"
        assert str(caught.value) == (
            f"the answer of {source} is not what the V2 protocol says: {complaint}"
        )
        assert caught.value.hint == "check that a V2 server (Triton, KServe) listens there"

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
        hint = "a name is of letters, digits, `-`, `_` and `.`, a value of printable ASCII"
        with refused(f"the header `{name}: {value}` cannot be sent over gRPC", hint):
            V2GrpcClient(Endpoint("127.0.0.1", 1), headers={name: value})

    def test_proxies_are_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Proxy settings of the environment do not stand between the tuner and its server."""
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        with answering_grpc({"ModelReady": ready}) as port:
            assert ask(port, "ready") is True

"""The control plane: the real Triton's good answers, and a real server's bad ones."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from operator import methodcaller
from typing import Any

import numpy as np
import pytest

from tests.runner_tests.waiting import DEADLINE_S
from tests.targets.answering import closes, misbehaving, says
from tests.targets.fixtures import Triton
from tuner.clients.v2 import NotOffered
from tuner.clients.v2_http import V2Client
from tuner.errors import ServerError, ServerTimeoutError
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.v2 import MemoryKind
from tuner.records import ServerStatistics

X = Tensor("x", "FP32", (1, 4), np.array([1, 2, 3, 4], np.float32).tobytes())


@pytest.fixture
def client(triton: Triton) -> Iterator[V2Client]:
    with V2Client(triton.server.url("http")) as client:
        yield client


class TestTriton:
    def test_ready(self, client: V2Client) -> None:
        """A loaded model is ready, one that is not there is not."""
        assert client.ready("moody")
        assert not client.ready("no such/model?")

    def test_metadata(self, client: V2Client) -> None:
        """Inputs and outputs come with the batch dimension."""
        metadata = client.metadata("moody")
        assert metadata.inputs == (TensorSpec("x", "FP32", (-1, 4)),)
        assert metadata.outputs == (TensorSpec("y", "FP32", (-1, 4)),)

    def test_config(self, client: V2Client) -> None:
        """The configuration is the one that is in force, completed by the server."""
        config = client.config("moody")
        assert config["max_batch_size"] == 8
        assert config["instance_group"][0]["name"] == "moody_0"

    def test_infer(self, client: V2Client) -> None:
        """The model computes on exactly what was sent: twice the input, bit for bit."""
        [y] = client.infer("moody", [X])
        assert (y.name, y.datatype, y.shape) == ("y", "FP32", (1, 4))
        assert np.frombuffer(y.data, np.float32).tolist() == [2, 4, 6, 8]

    def test_statistics(self, client: V2Client) -> None:
        """The difference of two readings is what happened between them."""
        before = client.statistics("moody")
        for _ in range(3):
            client.infer("moody", [X])
        spent = client.statistics("moody") - before

        assert (spent.inferences, spent.executions, spent.requests) == (3, 3, 3)
        assert (spent.failures, spent.batches, spent.mean_batch) == (0, {1: 3}, 1.0)
        assert spent.compute_infer_s >= 0.003
        assert spent.per_request_s(spent.compute_infer_s) == spent.compute_infer_s / 3

    @pytest.mark.parametrize(
        ("method", "path", "words"),
        [
            ("metadata", "", "404: Request for unknown model: 'resnet' is not found"),
            ("config", "/config", "404: Request for unknown model: 'resnet' is not found"),
            ("statistics", "/stats", "400: requested model 'resnet' is not available"),
        ],
    )
    def test_unknown_model(
        self, client: V2Client, triton: Triton, method: str, path: str, words: str
    ) -> None:
        """What the server refuses is told with its status and its own words."""
        with pytest.raises(ServerError) as caught:
            methodcaller(method, "resnet")(client)
        url = triton.server.url("http")
        assert str(caught.value) == f"{url}/v2/models/resnet{path} answered {words}"

    def test_load_refused(self, client: V2Client) -> None:
        """A configuration that cannot be read is refused; the model stays as it was."""
        with pytest.raises(ServerError, match="answered 500: failed to load 'moody', failed to"):
            client.load("moody", '{"max_batch_size": "many"}')
        assert client.ready("moody")


def test_no_statistics_yet() -> None:
    """Before anything happened, means are 0."""
    assert ServerStatistics().mean_batch == 0.0
    assert ServerStatistics().per_request_s(1.0) == 0.0


CALLS = {
    "metadata": methodcaller("metadata", "m"),
    "config": methodcaller("config", "m"),
    "statistics": methodcaller("statistics", "m"),
    "infer": methodcaller("infer", "m", [X]),
    "load": methodcaller("load", "m", "{}"),
    "ready": methodcaller("ready", "m"),
    "shared_memory": methodcaller("shared_memory", MemoryKind.SYSTEM),
    "share_system_memory": methodcaller("share_system_memory", "r", key="/r", byte_size=64),
    "share_cuda_memory": methodcaller(
        "share_cuda_memory", "r", handle=b"h", device=0, byte_size=64
    ),
    "forget_memory": methodcaller("forget_memory", MemoryKind.CUDA, "r"),
}


class TestBadServer:
    @pytest.mark.parametrize(
        ("call", "path", "body", "complaint"),
        [
            ("metadata", "/v2/models/m", b"<html>", "Expecting value: line 1 column 1 (char 0)"),
            ("metadata", "/v2/models/m", b"[]", "a JSON object was expected"),
            ("metadata", "/v2/models/m", b"\xff", "'utf-8' codec can't decode byte 0xff"),
            ("metadata", "/v2/models/m", b'{"name": "m"}', "no 'inputs'"),
            ("metadata", "/v2/models/m", b'{"inputs": 3}', "'int' object is not iterable"),
            ("metadata", "/v2/models/m", b'{"inputs": [{"name": "x"}]}', "no 'datatype'"),
            (
                "metadata",
                "/v2/models/m",
                b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": ["?"]}]}',
                "invalid literal for int() with base 10: '?'",
            ),
            ("config", "/v2/models/m/config", b"null", "a JSON object was expected"),
            ("statistics", "/v2/models/m/stats", b"{}", "no 'model_stats'"),
            ("statistics", "/v2/models/m/stats", b'{"model_stats": 1}', "'int' object is not"),
            (
                "statistics",
                "/v2/models/m/stats",
                b'{"model_stats": [{"version": "1"}]}',
                "no 'inference_stats'",
            ),
            ("infer", "/v2/models/m/infer", b"ok", "Expecting value: line 1 column 1 (char 0)"),
            ("infer", "/v2/models/m/infer", b"{}", "not a V2 inference response"),
            ("shared_memory", "/v2/systemsharedmemory/status", b"[{}]", "no 'name'"),
        ],
    )
    def test_wrong_answer(self, call: str, path: str, body: bytes, complaint: str) -> None:
        """An answer that is none is told with the path and what is wrong with it."""
        with misbehaving(says(body)) as url, pytest.raises(ServerError) as caught:
            ask(url, call)
        assert str(caught.value).startswith(
            f"the answer of {url}{path} is not what the V2 protocol says: {complaint}"
        )
        assert caught.value.hint == "check that a V2 server (Triton, KServe) listens there"

    @pytest.mark.parametrize("call", sorted(CALLS.keys() - {"ready"}))
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"out of luck", "out of luck"),
            (b'{"error": "out of luck"}', "out of luck"),
            (b"[1]", "[1]"),
            (b"x" * 1000, "x" * 200),
            (b"", ""),
        ],
        ids=["text", "json", "other-json", "long", "empty"],
    )
    def test_error_status(self, call: str, body: bytes, words: str) -> None:
        """An error is told with its status and the server's words, or the start of them."""
        with misbehaving(says(body, status=500)) as url, pytest.raises(ServerError) as caught:
            ask(url, call)
        assert str(caught.value).endswith(f" answered 500: {words}")

    def test_not_ready(self) -> None:
        """Any status but 200 means that the model cannot be asked."""
        with misbehaving(says(b"", status=503)) as url:
            assert ask(url, "ready") is False

    @pytest.mark.parametrize("call", sorted(CALLS))
    def test_closes(self, call: str) -> None:
        """A server that hangs up is named."""
        with misbehaving(closes) as url, pytest.raises(ServerError) as caught:
            ask(url, call)
        assert str(caught.value) == (
            f"no answer from {url}: Server disconnected without sending a response."
        )
        assert caught.value.hint == "check that the server runs and that host and port are right"

    @pytest.mark.parametrize("call", sorted(CALLS))
    def test_hangs(self, call: str) -> None:
        """A server that does not answer is given up after the timeout."""
        released = threading.Event()

        def hangs(_handler: BaseHTTPRequestHandler) -> None:
            released.wait(DEADLINE_S)

        with misbehaving(hangs) as url:
            with pytest.raises(ServerTimeoutError) as caught:
                ask(url, call, timeout_s=0.1)
            released.set()
        assert str(caught.value).startswith(f"no answer from {url}/v2/")
        assert str(caught.value).endswith(" within 0.1 s")
        assert caught.value.hint == "see in the server's log what it waits for"

    def test_nobody_listens(self) -> None:
        """Where there is no server, the message says that and not more."""
        with misbehaving(closes) as url:
            pass
        with pytest.raises(ServerError, match=f"^no answer from {url}: .*Connection refused"):
            ask(url, "ready")

    def test_statistics_of_no_version(self) -> None:
        """A model that has no statistics yet has done nothing."""
        with misbehaving(says(b'{"model_stats": []}')) as url:
            assert ask(url, "statistics") == ServerStatistics()

    def test_statistics_of_several_versions(self) -> None:
        """The newest version counts: it answers requests that name none; 10 is newer than 9."""
        versions = [version_statistics(version) for version in ("9", "10", "2")]
        with misbehaving(says(json.dumps({"model_stats": versions}).encode())) as url:
            assert ask(url, "statistics") == ServerStatistics(
                inferences=10,
                executions=10,
                requests=10,
                failures=10,
                queue_s=1.0,
                compute_input_s=1.0,
                compute_infer_s=1.0,
                compute_output_s=1.0,
            )

    def test_proxies_are_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Proxy settings of the environment do not stand between the tuner and its server."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        with misbehaving(says(b"")) as url:
            assert ask(url, "ready") is True

    @pytest.mark.parametrize("status", [404, 405, 501])
    @pytest.mark.parametrize(
        ("call", "path"),
        [
            ("shared_memory", "/v2/systemsharedmemory/status"),
            ("share_system_memory", "/v2/systemsharedmemory/region/r/register"),
            ("share_cuda_memory", "/v2/cudasharedmemory/region/r/register"),
            ("forget_memory", "/v2/cudasharedmemory/region/r/unregister"),
        ],
    )
    def test_no_shared_memory(self, call: str, path: str, status: int) -> None:
        """A server without the extension is told from one that refuses."""
        with misbehaving(says(b"?", status=status)) as url, pytest.raises(NotOffered) as caught:
            ask(url, call)
        assert str(caught.value) == f"{url}{path} answered {status}: ?"


def ask(url: str, call: str, *, timeout_s: float = DEADLINE_S) -> object:
    with V2Client(url, timeout_s=timeout_s) as client:
        return CALLS[call](client)


def version_statistics(version: str) -> dict[str, Any]:
    each = {"count": version, "ns": 100_000_000 * int(version)}
    names = "success", "fail", "queue", "compute_input", "compute_infer", "compute_output"
    return {
        "version": version,
        "inference_count": version,
        "execution_count": version,
        "inference_stats": dict.fromkeys(names, each),
    }

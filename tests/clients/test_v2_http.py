"""The control plane over HTTP: a real server's bad answers; the good ones are in test_v2_grpc."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.clients.v2_calls import CALLS
from tests.runner_tests.waiting import DEADLINE_S
from tests.targets.answering import closes, misbehaving, says
from tuner.clients.v2 import NotOffered
from tuner.clients.v2_http import V2Client
from tuner.errors import ServerError, ServerTimeoutError
from tuner.records import ServerStatistics

PATHS = {
    "metadata": "/v2/models/m",
    "config": "/v2/models/m/config",
    "statistics": "/v2/models/m/stats",
    "infer": "/v2/models/m/infer",
    "shared_memory": "/v2/systemsharedmemory/status",
    "share_system_memory": "/v2/systemsharedmemory/region/r/register",
    "share_cuda_memory": "/v2/cudasharedmemory/region/r/register",
    "forget_memory": "/v2/cudasharedmemory/region/r/unregister",
}


def test_no_statistics_yet() -> None:
    """Before anything happened, means are 0."""
    assert ServerStatistics().mean_batch == 0.0
    assert ServerStatistics().per_request_s(1.0) == 0.0


class TestBadServer:
    @pytest.mark.parametrize(
        ("call", "body", "complaint"),
        [
            ("metadata", b"<html>", "Expecting value: line 1 column 1 (char 0)"),
            ("metadata", b"[]", "a JSON object was expected"),
            ("metadata", b"\xff", "'utf-8' codec can't decode byte 0xff"),
            ("metadata", b'{"name": "m"}', "no 'inputs'"),
            ("metadata", b'{"inputs": 3}', "'int' object is not iterable"),
            ("metadata", b'{"inputs": [{"name": "x"}]}', "no 'datatype'"),
            (
                "metadata",
                b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": ["?"]}]}',
                "invalid literal for int() with base 10: '?'",
            ),
            ("config", b"null", "a JSON object was expected"),
            ("statistics", b"{}", "no 'model_stats'"),
            ("statistics", b'{"model_stats": 1}', "'int' object is not"),
            ("statistics", b'{"model_stats": [{"version": "1"}]}', "no 'inference_stats'"),
            ("infer", b"ok", "Expecting value: line 1 column 1 (char 0)"),
            ("infer", b"{}", "not a V2 inference response"),
            ("shared_memory", b"[{}]", "no 'name'"),
        ],
    )
    def test_wrong_answer(self, call: str, body: bytes, complaint: str) -> None:
        """An answer that is none is told with the path and what is wrong with it."""
        with misbehaving(says(body)) as url, pytest.raises(ServerError) as caught:
            ask(url, call)
        assert str(caught.value).startswith(
            f"the answer of {url}{PATHS[call]} is not what the V2 protocol says: {complaint}"
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

        def hangs(handler: BaseHTTPRequestHandler) -> None:
            handler.rfile.read(1)  # nothing comes until the client hangs up

        with misbehaving(hangs) as url, pytest.raises(ServerTimeoutError) as caught:
            ask(url, call, timeout_s=0.1)
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
            expected = ServerStatistics(10, 10, 10, 1.0, 1.0, 1.0, 1.0, requests=10)
            assert ask(url, "statistics") == expected

    def test_proxies_are_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Proxy settings of the environment do not stand between the tuner and its server."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        with misbehaving(says(b"")) as url:
            assert ask(url, "ready") is True

    @pytest.mark.parametrize("status", [404, 405, 501])
    @pytest.mark.parametrize("call", [each for each in PATHS if "memory" in each])
    def test_no_shared_memory(self, call: str, status: int) -> None:
        """A server without the extension is told from one that refuses."""
        with misbehaving(says(b"?", status=status)) as url, pytest.raises(NotOffered) as caught:
            ask(url, call)
        assert str(caught.value) == f"{url}{PATHS[call]} answered {status}: ?"


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

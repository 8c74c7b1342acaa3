"""What the tuner asks of a TensorFlow Serving, and what it makes of answers of any kind."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.targets.answering import closes, misbehaving, says
from tuner.clients.tensorflow_serving import BatchingCounters, ModelState, TensorFlowServingClient
from tuner.errors import ServerError, ServerTimeoutError
from tuner.load.requests import Tensor, TensorSpec

X = Tensor("x", "FP32", (1,), b"\0\0\x80?")
Y = (TensorSpec("y", "FP32", (-1,)),)
PAGE = """\
# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{model_name="m",status="OK"} 7
:tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 2
:tensorflow:serving:request_count{model_name="other",status="OK"} 100
# TYPE :tensorflow:serving:runtime_latency histogram
:tensorflow:serving:runtime_latency_sum{model_name="m",API="predict",runtime="TF1"} 3e6
# TYPE :tensorflow:serving:batching_session:wrapped_run_count counter
:tensorflow:serving:batching_session:wrapped_run_count{} 4
# TYPE :tensorflow:serving:batching_session:queuing_latency histogram
:tensorflow:serving:batching_session:queuing_latency_sum{thread_pool_name="a"} 1000
:tensorflow:serving:batching_session:queuing_latency_count{thread_pool_name="a"} 5
:tensorflow:serving:batching_session:queuing_latency_sum{thread_pool_name="b"} 500
:tensorflow:serving:batching_session:queuing_latency_count{thread_pool_name="b"} 2
"""

Ask = Callable[[TensorFlowServingClient], object]


@contextmanager
def answered(content: object, status: int = 200) -> Iterator[TensorFlowServingClient]:
    """A client of a server with this answer to everything; JSON, unless it is text."""
    body = content if isinstance(content, str) else json.dumps(content)
    with (
        misbehaving(says(body.encode(), status=status)) as url,
        TensorFlowServingClient(url) as client,
    ):
        yield client


def refusal(ask: Ask, content: object, status: int = 200) -> ServerError:
    with answered(content, status) as client, pytest.raises(ServerError) as caught:
        ask(client)
    return caught.value


def version(number: int, state: str, **status: str) -> Mapping[str, object]:
    return {"version": str(number), "state": state, "status": status}


class TestState:
    def test_the_newest_version(self) -> None:
        """The version with the largest number counts, with its error."""
        versions = [version(9, "AVAILABLE"), version(10, "END", error_message="no tag")]
        with answered({"model_version_status": versions}) as client:
            assert client.state("m") == ModelState("END", "no tag")

    @pytest.mark.parametrize(
        ("content", "status"), [({"error": "Could not find"}, 404), ({}, 200)]
    )
    def test_unknown(self, content: object, status: int) -> None:
        """A model without any version is none, as one that the server does not know."""
        with answered(content, status) as client:
            assert client.state("m") is None

    @pytest.mark.parametrize(
        "content", ["ready", {"model_version_status": [{"state": "AVAILABLE"}]}, [1]]
    )
    def test_another_form(self, content: object) -> None:
        """What does not tell of versions is refused."""
        error = refusal(lambda client: client.state("m"), content)
        assert error.message.startswith("TensorFlow Serving tells of its model in an unknown form")

    @pytest.mark.parametrize(
        ("content", "words"),
        [({"error": "busy"}, "busy"), ("try later", "try later"), ("", "Service Unavailable")],
    )
    def test_an_error(self, content: object, words: str) -> None:
        """The server's own words are in the error, whatever form they have."""
        error = refusal(lambda client: client.state("m"), content, 503)
        assert error.message == (f"TensorFlow Serving answered 503 to GET /v1/models/m: {words}")


class TestPredict:
    def test_datatypes(self) -> None:
        """Outputs have the datatypes that the signature says: JSON has none."""
        with answered({"outputs": [2.0]}) as client:
            assert client.predict("m", [X], Y) == (Tensor("y", "FP32", (1,), b"\0\0\0@"),)

    @pytest.mark.parametrize("content", ["2.0", {"results": [2.0]}, {"outputs": ["two"]}])
    def test_another_form(self, content: object) -> None:
        """What is no prediction is refused."""
        error = refusal(lambda client: client.predict("m", [X], Y), content)
        assert error.message.startswith(
            "the answer to POST /v1/models/m:predict is of an unknown form: "
        )


class TestSignature:
    def test_another_signature(self) -> None:
        """A model without the signature that is served cannot be asked."""
        content: object = {"metadata": {"signature_def": {"signature_def": {"train": {}}}}}
        error = refusal(lambda client: client.signature("m"), content)
        assert error.message == "/v1/models/m/metadata tells nothing of 'serving_default'"
        assert error.hint == (
            "the model must have this signature; `saved_model_cli show` lists what it has"
        )


class TestMetrics:
    def test_counters(self) -> None:
        """Series of several thread pools are added; what is not there is None."""
        with answered(PAGE) as client:
            assert client.counters() == BatchingCounters(
                batches=4, queued=7, queued_us=1500, padding=None
            )

    def test_statistics(self) -> None:
        """Only the model's own requests count, each with its inferences."""
        with answered(PAGE) as client:
            found = client.statistics("m", batch=3)
        assert (found.requests, found.inferences, found.failures) == (7, 21, 2)
        assert (found.executions, found.queue_s, found.compute_infer_s) == (4, 0.0015, 3.0)

    def test_an_empty_page(self) -> None:
        """A server that has answered nothing counts nothing."""
        with answered("") as client:
            assert client.counters() == BatchingCounters(None, None, None, None)
            assert client.statistics("m", batch=1).requests == 0

    def test_another_form(self) -> None:
        """What is no page of metrics is refused."""
        error = refusal(lambda client: client.counters(), "<html>")
        assert error.message == (
            "/monitoring/prometheus/metrics is no page of metrics: line 1 is no metric: `<html>`"
        )


class TestConnection:
    def test_closed(self) -> None:
        """A connection that ends without an answer is the server's fault."""
        with (
            misbehaving(closes) as url,
            TensorFlowServingClient(url) as client,
            pytest.raises(ServerError) as caught,
        ):
            client.state("m")
        assert caught.value.message.startswith(
            "TensorFlow Serving did not answer GET /v1/models/m: "
        )
        assert caught.value.hint == "look into its log"

    def test_no_answer_in_time(self) -> None:
        """A server that accepts and says nothing is given up."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with (
                TensorFlowServingClient(url, timeout_s=0.1) as client,
                pytest.raises(ServerTimeoutError) as caught,
            ):
                client.state("m")
        assert caught.value.message == (
            "TensorFlow Serving did not answer GET /v1/models/m in time"
        )

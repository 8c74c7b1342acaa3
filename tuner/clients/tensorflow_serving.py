"""What the tuner asks of a TensorFlow Serving itself, over REST.

Sources: TensorFlow Serving's api_rest.md (model status, model metadata, predict); the names in
batching/batching_session.cc, as util/prometheus_exporter.cc spells them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from tuner.clients import tensorflow_signature
from tuner.clients.session import NamedSession, total
from tuner.clients.tensorflow_signature import Signature, understood
from tuner.errors import ServerError
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols import tensorflow_serving
from tuner.protocols.tensorflow_serving import RestReader
from tuner.records import ServerStatistics

METRICS_PATH = "/monitoring/prometheus/metrics"
# States of a model (get_model_status.proto).
AVAILABLE = "AVAILABLE"
ENDED = "END"

_SERVING = ":tensorflow:serving:"
_SESSION = f"{_SERVING}batching_session:"
_SIGNATURE_HINT = "the model must have this signature; `saved_model_cli show` lists what it has"


@dataclass(frozen=True)
class ModelState:
    """What became of the newest version that the server knows; `error` is why it failed."""

    state: str
    error: str


@dataclass(frozen=True)
class BatchingCounters:
    """What the server has counted since it started; None where it does not say.

    Attributes:
        batches: Executions of batches.
        queued: Requests that have been in the queue.
        queued_us: How long they were, summed, in microseconds.
        padding: Rows that were added to make a batch as large as is allowed.
    """

    batches: float | None
    queued: float | None
    queued_us: float | None
    padding: float | None


class TensorFlowServingClient(NamedSession):
    """Talks to the server whose REST API is at `url`.

    Raises:
        ServerError: Every method, when the server refuses.
        ServerTimeoutError: Or when it does not answer in time.
    """

    server = "TensorFlow Serving"
    error_key = "error"

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 10.0
    ) -> None:
        super().__init__(base_url=url, headers=headers, timeout_s=timeout_s)

    def state(self, model: str) -> ModelState | None:
        """None if the server does not know the model, or has begun with none of its versions."""
        response = self._send("GET", tensorflow_serving.model_path(model))
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        try:
            versions = self._checked(response).json().get("model_version_status", [])
            newest = max(versions, key=lambda each: int(each["version"]), default=None)
            if newest is None:
                return None
            return ModelState(
                str(newest["state"]), str(newest.get("status", {}).get("error_message", ""))
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServerError(
                f"TensorFlow Serving tells of its model in an unknown form: {error!r}"
            ) from None

    def signature(self, model: str) -> Signature:
        """That of the model's `serving_default`."""
        path = f"{tensorflow_serving.model_path(model)}/metadata"
        response = self._ask("GET", path)
        with understood(path, _SIGNATURE_HINT):
            return tensorflow_signature.of_rest(response.json())

    def predict(
        self, model: str, inputs: Sequence[Tensor], outputs: Sequence[TensorSpec]
    ) -> tuple[Tensor, ...]:
        """The outputs, with the datatypes that `outputs` say: JSON has none."""
        path = f"{tensorflow_serving.model_path(model)}:predict"
        response = self._ask(
            "POST",
            path,
            content=tensorflow_serving.rest_body(inputs),
            headers={"Content-Type": "application/json"},
        )
        try:
            return RestReader(tuple(outputs))(b"", response.content)
        except ValueError as error:
            raise ServerError(
                f"the answer to POST {path} is of an unknown form: {error}"
            ) from None

    def counters(self) -> BatchingCounters:
        page = self._page(METRICS_PATH)
        return BatchingCounters(
            batches=total(page, f"{_SESSION}wrapped_run_count"),
            queued=total(page, f"{_SESSION}queuing_latency_count"),
            queued_us=total(page, f"{_SESSION}queuing_latency_sum"),
            padding=total(page, f"{_SESSION}padding_size_sum"),
        )

    def statistics(self, model: str, *, batch: int) -> ServerStatistics:
        """Its counters, for requests that carry `batch` inferences each."""
        page = self._page(METRICS_PATH)
        count = f"{_SERVING}request_count"
        answered = round(total(page, count, model_name=model, status="OK") or 0)
        all_requests = round(total(page, count, model_name=model) or 0)
        batches = total(page, f"{_SESSION}wrapped_run_count")
        runtime_us = total(page, f"{_SERVING}runtime_latency_sum", model_name=model) or 0.0
        return ServerStatistics(
            inferences=answered * batch,
            executions=answered if batches is None else round(batches),
            failures=all_requests - answered,
            queue_s=(total(page, f"{_SESSION}queuing_latency_sum") or 0.0) / 1e6,
            compute_infer_s=runtime_us / 1e6,
            requests=answered,
        )

"""The control plane of a TorchServe: its management and metrics APIs, and one prediction.

Sources: TorchServe's management_api.md, metrics_api.md and inference_api.md. What a parameter is
called is taken from `RegisterModelRequest.java`: `max_batch_delay` is heeded, and the
`batch_delay` of TorchServe's own benchmark is silently ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

import httpx

from runners.base import RunningServer
from tuner.clients.session import NamedSession, total
from tuner.errors import ServerError
from tuner.records import ServerStatistics

# The state of a worker that takes requests.
_READY = "READY"
# Metrics.
_REQUESTS = "ts_inference_requests_total"
_QUEUE_US = "ts_queue_latency_microseconds"


@dataclass(frozen=True)
class Description:
    """A registered model: what TorchServe took over, and the status of each of its workers."""

    settings: Mapping[str, int]
    workers: tuple[str, ...]
    archive: str = ""
    version: str = "1.0"
    queue: int = 0

    @property
    def ready_workers(self) -> int:
        return self.workers.count(_READY)


class TorchServeClient(NamedSession):
    """Talks to the server whose APIs are at these URLs.

    Raises:
        ServerError: Every method, when the server refuses.
        ServerTimeoutError: Or when it does not answer in time.
    """

    server = "TorchServe"
    error_key = "message"

    def __init__(
        self, *, management: str, inference: str, metrics: str, timeout_s: float = 10.0
    ) -> None:
        self._management, self._inference, self._metrics = management, inference, metrics
        super().__init__(timeout_s=timeout_s)

    @classmethod
    def of(cls, server: RunningServer, *, timeout_s: float = 10.0) -> Self:
        """For a server whose ports have these names."""
        return cls(
            management=server.url("management"),
            inference=server.url("inference"),
            metrics=server.url("metrics"),
            timeout_s=timeout_s,
        )

    def describe(self, model: str) -> Description | None:
        """None if no such model is registered."""
        response = self._send("GET", self._models(model))
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        try:
            [described, *_] = self._checked(response).json()
            workers = tuple(str(each["status"]) for each in described["workers"])
            settings = {
                name: int(value)
                for name, value in described.items()
                if isinstance(value, int) and not isinstance(value, bool)
            }
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(
                f"TorchServe describes its model in an unknown form: {error!r}"
            ) from None
        archive, version = described.get("modelUrl", ""), described.get("modelVersion", "1.0")
        status = described.get("jobQueueStatus", {})
        queue = sum(int(status.get(name, 0)) for name in ("remainingCapacity", "pendingRequests"))
        return Description(settings, workers, str(archive), str(version), queue)

    def models(self) -> tuple[str, ...]:
        """The names of all that are registered."""
        response = self._ask("GET", f"{self._management}/models", params={"limit": 1000})
        try:
            return tuple(str(each["modelName"]) for each in response.json()["models"])
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(
                f"TorchServe lists its models in an unknown form: {error!r}"
            ) from None

    def register(self, archive: str, parameters: Mapping[str, int | str]) -> None:
        """Register the archive of the model store; its workers start afterwards."""
        query: dict[str, int | str] = {"url": archive, "synchronous": "false", **parameters}
        self._ask("POST", f"{self._management}/models", params=query)

    def scale(self, model: str, least: int, most: int) -> None:
        """Have `least` to `most` workers; those that are new start afterwards."""
        query: dict[str, int | str] = {"min_worker": least, "max_worker": most}
        query["synchronous"] = "false"
        self._ask("PUT", self._models(model), params=query)

    def unregister(self, model: str) -> None:
        self._ask("DELETE", self._models(model))

    def predict(
        self,
        model: str,
        body: bytes,
        content_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The prediction's body."""
        url = f"{self._inference}/predictions/{quote(model, safe='')}"
        headers = {**(headers or {}), "Content-Type": content_type}
        return self._ask("POST", url, content=body, headers=headers).content

    def statistics(self, model: str) -> ServerStatistics:
        """Its counters; TorchServe counts no batches."""
        page = self._page(f"{self._metrics}/metrics")
        count = round(total(page, _REQUESTS, model_name=model) or 0)
        queue_us = total(page, _QUEUE_US, model_name=model) or 0.0
        return ServerStatistics(inferences=count, requests=count, queue_s=queue_us / 1e6)

    def _models(self, model: str) -> str:
        return f"{self._management}/models/{quote(model, safe='')}"

"""The control plane of a V2 inference server over HTTP: health, metadata, repository, statistics.

KServe Open Inference Protocol, with Triton's extensions for the model repository, the model
configuration and statistics.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tuner.errors import ServerError, ServerTimeoutError
from tuner.load import Tensor, TensorSpec
from tuner.load.protocols import v2_http
from tuner.targets.base import ServerStatistics


@dataclass(frozen=True)
class ModelMetadata:
    """A model's inputs and outputs; their shapes include the batch dimension, if there is one."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class V2Client:
    """Talks to the server at `url` within a `with` block; every method raises ServerError.

    Proxy settings of the environment are not used: the servers under test are near.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._client = httpx.Client(base_url=url, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def ready(self, model: str) -> bool:
        """Whether the model can be asked (Triton answers 400 while it cannot)."""
        return self._ask("GET", f"{_path(model)}/ready").status_code == httpx.codes.OK

    def metadata(self, model: str) -> ModelMetadata:
        with self._understood(_path(model)) as path:
            content = self._get(path)
            return ModelMetadata(_specs(content["inputs"]), _specs(content["outputs"]))

    def config(self, model: str) -> Mapping[str, Any]:
        """The effective configuration, as the server has completed it."""
        with self._understood(f"{_path(model)}/config") as path:
            return self._get(path)

    def load(self, model: str, config: str) -> None:
        """Load `model` with `config` (JSON) in place of its file; returns once that is done."""
        content = json.dumps({"parameters": {"config": config}})
        path = f"/v2/repository/models/{quote(model, safe='')}/load"
        self._check(self._ask("POST", path, content=content))

    def infer(self, model: str, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The outputs for `inputs`."""
        headers, body = v2_http.infer_body(inputs)
        with self._understood(v2_http.infer_path(model)) as path:
            response = self._ask("POST", path, content=body, headers=headers)
            self._check(response)
            return v2_http.read_outputs(response.headers, response.content)

    def statistics(self, model: str) -> ServerStatistics:
        """The model's counters since the server started."""
        with self._understood(f"{_path(model)}/stats") as path:
            versions = self._get(path)["model_stats"]
            # Requests that name no version go to the newest.
            newest = max(versions, key=lambda each: int(each["version"]), default=None)
            return _statistics(newest) if newest else ServerStatistics()

    def _get(self, path: str) -> dict[str, Any]:
        response = self._ask("GET", path)
        self._check(response)
        content = response.json()
        if not isinstance(content, dict):
            raise TypeError("a JSON object was expected")
        return content

    def _ask(
        self,
        method: str,
        path: str,
        *,
        content: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            return self._client.request(method, path, content=content, headers=headers)
        except httpx.TimeoutException:
            raise ServerTimeoutError(
                f"no answer from {self._url}{path} within {self._timeout_s:g} s",
                hint="see in the server's log what it waits for",
            ) from None
        except httpx.HTTPError as error:
            raise ServerError(
                f"no answer from {self._url}: {str(error) or type(error).__name__}",
                hint="check that the server runs and that host and port are right",
            ) from None

    @contextmanager
    def _understood(self, path: str) -> Iterator[str]:
        """What goes wrong while the answer of `path` is read is the server's fault."""
        try:
            yield path
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise ServerError(
                f"the answer of {self._url}{path} is not what the V2 protocol says: {what}",
                hint="check that a V2 server (Triton, KServe) listens there",
            ) from None

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        try:
            reason = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            reason = response.text[:200]
        raise ServerError(
            f"{self._url}{response.url.path} answered {response.status_code}: {reason}"
        )


def _path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}"


def _specs(content: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(each["name"], each["datatype"], tuple(int(n) for n in each["shape"]))
        for each in content
    )


def _statistics(content: Mapping[str, Any]) -> ServerStatistics:
    totals = content["inference_stats"]

    def seconds(name: str) -> float:
        return int(totals[name]["ns"]) / 1e9

    return ServerStatistics(
        inferences=int(content["inference_count"]),
        executions=int(content["execution_count"]),
        requests=int(totals["success"]["count"]),
        failures=int(totals["fail"]["count"]),
        queue_s=seconds("queue"),
        compute_input_s=seconds("compute_input"),
        compute_infer_s=seconds("compute_infer"),
        compute_output_s=seconds("compute_output"),
        batches={
            int(each["batch_size"]): int(each["compute_infer"]["count"])
            for each in content.get("batch_stats", [])
        },
    )

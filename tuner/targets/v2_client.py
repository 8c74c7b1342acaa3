"""The control plane of a V2 inference server over HTTP: health, metadata, repository, statistics.

KServe Open Inference Protocol, with Triton's extensions for the model repository, the model
configuration and statistics.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from tuner.errors import ServerError
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
        try:
            response = self._client.get(f"/v2/models/{model}/ready")
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        return response.status_code == httpx.codes.OK

    def metadata(self, model: str) -> ModelMetadata:
        content = self._get(f"/v2/models/{model}")
        return ModelMetadata(_specs(content["inputs"]), _specs(content["outputs"]))

    def config(self, model: str) -> Mapping[str, Any]:
        """The effective configuration, as the server has completed it."""
        return self._get(f"/v2/models/{model}/config")

    def load(self, model: str, config: str, *, timeout_s: float) -> None:
        """Load `model` with `config` (JSON) in place of its file; returns once that is done."""
        content = json.dumps({"parameters": {"config": config}})
        self._post(f"/v2/repository/models/{model}/load", content, timeout_s=timeout_s)

    def infer(self, model: str, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The outputs for `inputs`."""
        headers, body = v2_http.infer_body(inputs)
        response = self._post(v2_http.infer_path(model), body, headers=headers)
        try:
            return v2_http.read_outputs(response.headers, response.content)
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(
                f"the answer of {self._url} is not a V2 inference: {error}"
            ) from None

    def statistics(self, model: str) -> ServerStatistics:
        """The model's counters since the server started."""
        content = self._get(f"/v2/models/{model}/stats")["model_stats"]
        return _statistics(content[0]) if content else ServerStatistics()

    def _get(self, path: str) -> dict[str, Any]:
        try:
            response = self._client.get(path)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        self._check(response)
        try:
            content = response.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise ServerError(f"the answer of {self._url}{path} is not a JSON object")
        return content

    def _post(
        self,
        path: str,
        content: str | bytes,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        timeout = self._client.timeout if timeout_s is None else httpx.Timeout(timeout_s)
        try:
            response = self._client.post(path, content=content, headers=headers, timeout=timeout)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        self._check(response)
        return response

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

    def _unreachable(self, error: httpx.HTTPError) -> ServerError:
        reason = str(error) or type(error).__name__
        return ServerError(
            f"no answer from {self._url}: {reason}",
            hint="check that the server runs and that host and port are right",
        )


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

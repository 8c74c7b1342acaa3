"""The control plane of a V2 inference server over HTTP.

KServe Open Inference Protocol, "HTTP/REST", and the HTTP side of Triton's extensions
(extension_model_repository, _model_configuration, _statistics and _shared_memory.md).
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from tuner.clients.session import HttpSession
from tuner.clients.v2 import (
    CONNECTION_HINT,
    TIMEOUT_HINT,
    TLS_HINT,
    ModelMetadata,
    NotOffered,
    read_metadata,
    read_statistics,
    understood,
)
from tuner.errors import ServerError, ServerTimeoutError
from tuner.load.profile import Endpoint, TlsSettings
from tuner.load.requests import Tensor
from tuner.load.tls import tls_context
from tuner.protocols import v2_http
from tuner.protocols.v2 import DEFAULT, MemoryKind, V2Options
from tuner.records import ServerStatistics

# How servers without an extension answer its paths.
_NOT_OFFERED = frozenset(
    {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.NOT_IMPLEMENTED}
)


class V2Client(HttpSession):
    """Implements V2Control for the server at a URL or an endpoint.

    Raises:
        InputError: The endpoint's certificates cannot be used.
    """

    def __init__(
        self,
        server: str | Endpoint,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        endpoint = server if isinstance(server, Endpoint) else _endpoint(server)
        url = f"{'https' if endpoint.tls else 'http'}://{endpoint.authority}"
        self._name = f"unix:{endpoint.unix_socket}" if endpoint.unix_socket else url
        self._tls = endpoint.tls
        self._timeout_s = timeout_s
        super().__init__(
            base_url=url, transport=_transport(endpoint), headers=headers, timeout_s=timeout_s
        )

    def ready(self, model: str, version: str = "") -> bool:
        # Triton answers 400 while it is not.
        path = f"{v2_http.model_path(model, version)}/ready"
        return self._ask("GET", path).status_code == httpx.codes.OK

    def metadata(self, model: str, version: str = "") -> ModelMetadata:
        path = v2_http.model_path(model, version)
        response = self._ask("GET", path)
        self._check(response)
        with understood(self._name + path):
            return read_metadata(_object(response))

    def config(self, model: str, version: str = "") -> Mapping[str, Any]:
        path = f"{v2_http.model_path(model, version)}/config"
        response = self._ask_extension("GET", path, model)
        with understood(self._name + path):
            return _object(response)

    def load(self, model: str, config: str | None = None) -> None:
        """Let the server load `model`, with `config` in place of that of its repository."""
        content = json.dumps({} if config is None else {"parameters": {"config": config}})
        path = f"/v2/repository/models/{v2_http.segment(model)}/load"
        self._check(self._ask("POST", path, content=content))

    def unload(self, model: str) -> None:
        """Let the server give `model` up; nothing happens if it does not have it."""
        path = f"/v2/repository/models/{v2_http.segment(model)}/unload"
        self._check(self._ask("POST", path, content="{}"))

    def ready_models(self) -> tuple[str, ...]:
        """The names of the models of the repository that are ready."""
        path = "/v2/repository/index"
        response = self._ask_extension("POST", path, content=json.dumps({"ready": True}))
        with understood(self._name + path):
            return tuple(dict.fromkeys(str(each["name"]) for each in response.json()))

    def infer(
        self, model: str, inputs: Sequence[Tensor], options: V2Options = DEFAULT
    ) -> tuple[Tensor, ...]:
        headers, body = v2_http.infer_body(inputs, options)
        path = v2_http.infer_path(model, options.version)
        response = self._ask("POST", path, content=body, headers=headers)
        self._check(response)
        with understood(self._name + path):
            return v2_http.read_outputs(response.headers, response.content)

    def statistics(self, model: str, version: str = "") -> ServerStatistics:
        path = f"{v2_http.model_path(model, version)}/stats"
        response = self._ask_extension("GET", path, model)
        with understood(self._name + path):
            return read_statistics(_object(response), version)

    def shared_memory(self, kind: MemoryKind) -> frozenset[str]:
        path = f"/v2/{kind}sharedmemory/status"
        response = self._ask_extension("GET", path)
        with understood(self._name + path):
            return frozenset(region["name"] for region in response.json())

    def share_system_memory(self, name: str, *, key: str, byte_size: int) -> None:
        content = {"key": key, "offset": 0, "byte_size": byte_size}
        self._order(_region_path(MemoryKind.SYSTEM, name, "register"), content)

    def share_cuda_memory(self, name: str, *, handle: bytes, device: int, byte_size: int) -> None:
        raw_handle = {"b64": base64.b64encode(handle).decode()}
        content = {"raw_handle": raw_handle, "device_id": device, "byte_size": byte_size}
        self._order(_region_path(MemoryKind.CUDA, name, "register"), content)

    def forget_memory(self, kind: MemoryKind, name: str) -> None:
        self._order(_region_path(kind, name, "unregister"), {})

    def _order(self, path: str, content: Mapping[str, object]) -> None:
        self._ask_extension("POST", path, content=json.dumps(content))

    def _ask_extension(
        self, method: str, path: str, model: str = "", *, content: str | None = None
    ) -> httpx.Response:
        """A good answer of an extension, which is about `model` if that is given."""
        response = self._ask(method, path, content=content)
        if response.status_code in _NOT_OFFERED and (
            not model or self._ask("GET", v2_http.model_path(model)).is_success
        ):
            raise NotOffered(self._refusal(response))
        self._check(response)
        return response

    def _ask(
        self,
        method: str,
        path: str,
        *,
        content: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        tls = self._tls
        extensions = {"sni_hostname": tls.server_name} if tls and tls.server_name else {}
        try:
            return self._http.request(
                method, path, content=content, headers=headers, extensions=extensions
            )
        except httpx.TimeoutException:
            raise ServerTimeoutError(
                f"no answer from {self._name}{path} within {self._timeout_s:g} s",
                hint=TIMEOUT_HINT,
            ) from None
        except httpx.HTTPError as error:
            raise ServerError(
                f"no answer from {self._name}: {str(error) or type(error).__name__}",
                hint=TLS_HINT if tls else CONNECTION_HINT,
            ) from None

    def _check(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise ServerError(self._refusal(response))

    def _refusal(self, response: httpx.Response) -> str:
        try:
            reason = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            reason = response.text[:200]
        return f"{self._name}{response.url.path} answered {response.status_code}: {reason}"


def _endpoint(url: str) -> Endpoint:
    parts = httpx.URL(url)
    if parts.scheme == "https":
        return Endpoint(parts.host, parts.port or 443, TlsSettings())
    return Endpoint(parts.host, parts.port or 80)


def _transport(endpoint: Endpoint) -> httpx.HTTPTransport:
    return httpx.HTTPTransport(
        verify=tls_context(endpoint.tls) if endpoint.tls else False,
        uds=str(endpoint.unix_socket) if endpoint.unix_socket else None,
        trust_env=False,
    )


def _object(response: httpx.Response) -> dict[str, Any]:
    content = response.json()
    if not isinstance(content, dict):
        raise TypeError("a JSON object was expected")
    return content


def _region_path(kind: MemoryKind, name: str, action: str) -> str:
    return f"/v2/{kind}sharedmemory/region/{name}/{action}"

"""The control plane of a language-model server: its models, its tokenizer, and one request.

Sources: OpenAI API reference (`/v1/models`); llama.cpp's server README and vLLM's
"OpenAI-Compatible Server" (`/tokenize`, which each has in a form of its own).
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import fsum
from typing import Any

import httpx

from tuner.clients.session import NamedSession, total
from tuner.errors import ServerError, ServerTimeoutError
from tuner.load.profile import Endpoint
from tuner.load.tls import tls_context

# Texts that a server is asked to count at a time.
_COUNTS_AT_ONCE = 4


class OpenAiClient(NamedSession):
    """Talks to the server at `endpoint`; `headers`, the API key's among them, go with everything.

    Raises:
        ServerError: Every method, when the server refuses.
        ServerTimeoutError: Or when it does not answer in time.
    """

    server = "the server"
    error_key = "error"

    def __init__(
        self, endpoint: Endpoint, *, headers: Mapping[str, str], timeout_s: float = 60.0
    ) -> None:
        scheme = "https" if endpoint.tls else "http"
        socket = endpoint.unix_socket
        verify = tls_context(endpoint.tls) if endpoint.tls else True
        transport = httpx.HTTPTransport(verify=verify, uds=str(socket) if socket else None)
        super().__init__(
            base_url=f"{scheme}://{endpoint.authority}",
            timeout_s=timeout_s,
            headers=headers,
            transport=transport,
        )

    def _complaint(self, document: Any) -> str:
        error = document.get(self.error_key, document)  # vLLM once said it without the key
        return str(error["message"] if isinstance(error, dict) else error)

    def models(self) -> tuple[str, ...]:
        """The names of those that it serves."""
        try:
            return tuple(str(each["id"]) for each in self._ask("GET", "/v1/models").json()["data"])
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(
                f"the server lists its models in an unknown form: {error!r}"
            ) from None

    def token_count(self, model: str, text: str) -> int | None:
        """The tokens of `text`; None if the server does not tell."""
        # llama.cpp reads `content`, vLLM and SGLang `prompt`; each ignores the other's.
        asked = {"model": model, "content": text, "prompt": text, "add_special_tokens": False}
        asked["add_special"] = False
        response = self._send("POST", "/tokenize", json=asked)
        if not response.is_success:
            return None
        try:
            return len(response.json()["tokens"])
        except (ValueError, KeyError, TypeError):
            return None

    def counted(self, names: Iterable[str]) -> int | None:
        """The sum of the counters of these names on the page of metrics; None if it has none."""
        try:
            page = self._page("/metrics")
        except ServerTimeoutError:
            raise
        except ServerError:
            return None
        found = [each for name in names if (each := total(page, name)) is not None]
        return round(fsum(found)) if found else None

    def answer(self, path: str, body: Mapping[str, Any]) -> Any:
        """What the JSON of one answer holds."""
        try:
            return self._ask("POST", path, json=body).json()
        except ValueError:
            raise ServerError(f"{path} was answered with what is no JSON") from None

    def refusal(self, path: str, body: Mapping[str, Any]) -> str:
        """What the server says against a request that it does not take; empty if it takes it."""
        response = self._send("POST", path, json=body)
        if response.status_code not in (httpx.codes.BAD_REQUEST, 422):
            self._checked(response)
            return ""
        try:
            self._checked(response)
        except ServerError as error:
            return str(error)
        return ""


class ServerTokenizer:
    """Implements Tokenizer, by asking the server."""

    by = "the server"

    def __init__(self, client: OpenAiClient, model: str) -> None:
        self._client = client
        self._model = model

    def counts(self, texts: Sequence[str]) -> list[int]:
        with ThreadPoolExecutor(_COUNTS_AT_ONCE) as pool:
            return list(pool.map(self._count, texts))

    def _count(self, text: str) -> int:
        count = self._client.token_count(self._model, text)
        if count is None:
            raise ServerError(
                "the server does not count the tokens of one more text",
                hint="give `--tokenizer`, the model's own",
            )
        return count

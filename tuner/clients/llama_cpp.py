"""The control plane of llama.cpp's server, beside OpenAI's interface.

Source: llama.cpp's tools/server/README.md: `/health`, `/props`, `/metrics`,
`/completion`.
"""

from dataclasses import dataclass

import httpx

from tuner.clients.openai import OpenAiClient
from tuner.clients.session import total
from tuner.errors import ServerError
from tuner.records import ServerStatistics

_TWICE = "What is asked twice is known the second time, or it is not."


@dataclass(frozen=True)
class LlamaSettings:
    """What the server says of itself: how many slots it has, and the file of its model."""

    slots: int
    model_file: str


class LlamaCppClient(OpenAiClient):
    """As OpenAiClient, with what llama.cpp says beyond that."""

    server = "llama.cpp"

    def state(self) -> str:
        """What it does instead of being ready; empty once it is."""
        try:
            response = self._send("GET", "/health")
        except ServerError:  # it begins, or it ends: whoever waits for it finds out
            return "not answering"
        if response.is_success:
            return ""
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return "loading the model"
        return f"answering {response.status_code}"

    def settings(self) -> LlamaSettings:
        """Those that it has."""
        found = self._ask("GET", "/props").json()
        try:
            return LlamaSettings(int(found["total_slots"]), str(found["model_path"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(
                f"llama.cpp says its settings in an unknown form: {error!r}"
            ) from None

    def statistics(self) -> ServerStatistics:
        """Executions are its evaluations of a batch; each has tokens of so many slots."""
        page = self._page("/metrics")
        decodes = total(page, "llamacpp:n_decode_total") or 0.0
        busy = total(page, "llamacpp:n_busy_slots_per_decode") or 0.0
        return ServerStatistics(inferences=round(busy * decodes), executions=round(decodes))

    def reuses_prompts(self) -> bool:
        """Whether a prompt that is asked twice is known the second time."""
        asked = {"prompt": _TWICE, "n_predict": 1, "id_slot": 0}
        try:
            first, second = (
                self._ask("POST", "/completion", json=asked).json()["timings"]["prompt_n"]
                for _ in range(2)
            )
            return bool(second < first)
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(f"llama.cpp answers in an unknown form: {error!r}") from None

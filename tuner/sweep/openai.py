"""A language-model server that already runs, behind OpenAI's interface."""

from typing import Self

from tuner.clients.openai import OpenAiClient
from tuner.clients.openai_requests import asked_prompts
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet
from tuner.protocols.openai_form import OpenAiForm
from tuner.records import ServerStatistics
from tuner.sweep.service import Service


class OpenAiService(Service):
    """The service at `endpoint`, with the requests that `form` describes."""

    def __init__(self, endpoint: Endpoint, form: OpenAiForm) -> None:
        self.endpoint = endpoint
        self._form = form

    def __enter__(self) -> Self:
        with OpenAiClient(self.endpoint, headers=self._form.options.headers) as client:
            asked = asked_prompts(client, self._form)
        self.requests: RequestSet = asked.request_set(self.endpoint)
        self.remarks = (*self._form.remarks, *asked.remarks)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def statistics(self) -> ServerStatistics | None:
        return None

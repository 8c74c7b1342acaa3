"""A server of a space file that has OpenAI's interface: asked the prompts of the options."""

from dataclasses import replace
from functools import partial

import httpx

from runners.base import RunningServer
from tuner.clients.openai import OpenAiClient
from tuner.clients.openai_requests import AskedPrompts, asked_prompts, only_model
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet, Tensor
from tuner.records import ServerStatistics
from tuner.space.space import SearchSpace
from tuner.targets.base import ANSWER_TIMEOUT_S, TargetSetup, at_once
from tuner.targets.command.model import CommandModel
from tuner.targets.command.target import CommandTarget
from tuner.targets.openai_golden import golden_outputs
from tuner.watch.scheduling import PREEMPTIONS


class PromptedTarget(CommandTarget):
    """As CommandTarget, with prompts for requests.

    They are made once, when the first server can count their tokens, and are the same for all.
    """

    _asked: AskedPrompts | None = None

    def requests(self, server: RunningServer) -> RequestSet:
        endpoint = self.endpoint(server)
        if self._asked is None:
            with self._openai(endpoint, self.start_timeout_s) as client:
                form = self._setup.form.prompts
                options = replace(form.options, model=self._served(client))
                self._asked = asked_prompts(client, replace(form, options=options))
        return self._asked.request_set(endpoint)

    @property
    def remarks(self) -> tuple[str, ...]:
        return self._asked.remarks if self._asked else ()

    def statistics(self, server: RunningServer) -> ServerStatistics:
        """Preemptions, of those servers that count them on their page of metrics."""
        with self._openai(self.endpoint(server), ANSWER_TIMEOUT_S) as client:
            return ServerStatistics(preemptions=client.counted(PREEMPTIONS))

    def _infer(self, client: httpx.Client, count: int) -> tuple[tuple[Tensor, ...], ...]:
        endpoint = Endpoint(client.base_url.host, client.base_url.port or 80)
        timeout_s = client.timeout.read or self.start_timeout_s
        task = self._setup.form.prompts.options.task
        with self._openai(endpoint, timeout_s) as asking:
            model = self._served(asking)
            return at_once(partial(golden_outputs, asking, model, task), count)

    def _served(self, client: OpenAiClient) -> str:
        """The name that the server knows the model by."""
        named = self._model.filled(self._space, self._space.defaults).served
        return named or only_model(client)

    def _openai(self, endpoint: Endpoint, timeout_s: float) -> OpenAiClient:
        headers = self._setup.form.headers
        return OpenAiClient(endpoint, headers=headers, timeout_s=timeout_s)


def target_of(model: CommandModel, space: SearchSpace, setup: TargetSetup) -> CommandTarget:
    """The target of a job: one that is asked what the file has, or what the options say."""
    kind = CommandTarget if model.serve.request else PromptedTarget
    return kind.of(model, space, setup)

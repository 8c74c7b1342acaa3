"""llama.cpp's server with one model; every configuration is a start.

It listens while it loads the model, and says at `/health` when it is ready. So that its settings
can be proved, its log says more than it does by default (`--log-verbosity 4`).
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import chain

from runners.base import LaunchSpec, RunningServer
from runners.readiness import await_ready
from tuner.clients.llama_cpp import LlamaCppClient
from tuner.clients.openai_requests import AskedPrompts, asked_prompts
from tuner.errors import Reason, TrialFailure
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols.openai_task import Task
from tuner.records import ServerStatistics, SettingVerdict
from tuner.space.settings import Settings
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import launch_settings
from tuner.targets.base import (
    ANSWER_TIMEOUT_S,
    Installation,
    InstalledTarget,
    TargetSetup,
    at_once,
)
from tuner.targets.llama_cpp import texts
from tuner.targets.llama_cpp.evidence import PARALLEL, LlamaCppEvidence
from tuner.targets.llama_cpp.install import PROGRAM, find_llama_server
from tuner.targets.llama_cpp.model import CONTEXT, LlamaCppModel
from tuner.targets.openai_golden import golden_outputs

# Where nobody says how many slots there are (tools/server, `--parallel -1`).
_USUAL_SLOTS = 4
# The context of a slot is a multiple of this number of tokens (llama.cpp pads it).
_CONTEXT_STEP = 256
# Lines of the log's beginning, where it says its settings.
_PROOF_LINES = 1000


class LlamaCppTarget(InstalledTarget[LlamaCppModel, LlamaCppClient]):
    """Implements Target."""

    server = "llama_cpp"
    port = "http"

    def __init__(
        self,
        model: LlamaCppModel,
        space: SearchSpace,
        setup: TargetSetup,
        installation: Installation,
    ) -> None:
        super().__init__(model, space, setup, installation)
        self._longest = setup.form.prompts.longest
        # The same for all starts: the tokens of all forms of a model are the same.
        self._asked: AskedPrompts | None = None

    @staticmethod
    def installation(setup: TargetSetup) -> Installation:
        return find_llama_server(contained=setup.contained)

    def stage(self) -> None:
        self._model.stage(self._setup.workspace)

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        settings = self._space.settings(configuration)
        return LaunchSpec(
            command=(
                str(self._installation.executable),
                *self._installation.flags,
                *self._flags(settings, host="{address}", port="{port:http}"),
                *("--metrics", "--log-verbosity", "4"),
            ),
            environment=self._environment(settings),
            withheld=self._space.variables,
            ports=(self.port,),
            reads=tuple(chain(*(form.parts for form in self._model.whole))),
            start_timeout_s=self.start_timeout_s,
            # It has nothing to put in order.
            stop_grace_s=1.0,
        )

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        del configuration  # the start has made it effective
        with self._client(server, self.start_timeout_s) as client:
            timeout_s = self.start_timeout_s
            if state := await_ready(client.state, server.is_alive, timeout_s=timeout_s):
                raise TrialFailure(
                    Reason.START_TIMEOUT, f"the server must become ready, but it is {state}"
                )
            self._first_outputs(client, asked="request")

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        settings = self._space.settings(configuration)
        with self._client(server) as client:
            evidence = LlamaCppEvidence(
                settings=client.settings(),
                log=server.log_head(_PROOF_LINES),
                pid=server.pid,
                context=self._context(settings),
                files={form.name: str(form.file) for form in self._model.whole},
                reuses=client.reuses_prompts() if self._task.generates else None,
            )
        return self._verdicts(configuration, evidence.verdict)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        with self._client(server) as client:
            return client.statistics()

    def requests(self, server: RunningServer) -> RequestSet:
        if self._asked is None:
            form = self._setup.form.prompts
            named = replace(form, options=replace(form.options, model=self.model))
            with self._client(server) as client:
                self._asked = asked_prompts(client, named)
        return self._asked.request_set(self.endpoint(server))

    @property
    def remarks(self) -> tuple[str, ...]:
        return self._asked.remarks if self._asked else ()

    def concurrency(self, configuration: Configuration) -> int:
        return 2 * self._slots(self._space.settings(configuration))

    def largest_batch(self, configuration: Configuration) -> int:
        # A batch has tokens of all slots.
        return self._slots(self._space.settings(configuration))

    def export(self, configuration: Configuration) -> str:
        """A shell script that starts `llama-server`."""
        settings = self._space.settings(configuration)
        variables = self._environment(settings).items()
        lines = ["#!/bin/sh", *(f"export {n}={shlex.quote(value)}" for n, value in variables)]
        words = [PROGRAM, *self._flags(settings, host="127.0.0.1", port="8080")]
        return "\n".join([*lines, f"exec {shlex.join(words)}", ""])

    @property
    def _task(self) -> Task:
        return self._setup.form.prompts.options.task

    def _flags(self, settings: Settings, *, host: str, port: str) -> list[str]:
        """What the command line says of the model and of its settings."""
        flags = ["--model", str(self._model.form(settings).file), "--alias", self.model]
        flags += ["--host", host, "--port", port]
        if context := self._context(settings):
            flags += ["--ctx-size", str(context)]
        flags += texts.flags(self._task, self._model.form(settings), settings)
        return [*flags, *settings.arguments]

    def _environment(self, settings: Settings) -> dict[str, str]:
        return {**texts.environment(self._task), **launch_settings.environment(settings)}

    def _slots(self, settings: Settings) -> int:
        return int(dict(settings.flags).get(PARALLEL, _USUAL_SLOTS))

    def _context(self, settings: Settings) -> int:
        """The tokens of all slots together; 0 is as many as the model was trained with."""
        if settings.properties.get(CONTEXT) != "requests":
            return 0
        slot = -(-self._longest // _CONTEXT_STEP) * _CONTEXT_STEP
        return self._slots(settings) * min(slot, self._model.form(settings).context or slot)

    def _client(
        self, server: RunningServer, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> LlamaCppClient:
        headers = self._setup.form.headers
        return LlamaCppClient(self.endpoint(server), headers=headers, timeout_s=timeout_s)

    def _infer(self, client: LlamaCppClient, count: int) -> tuple[tuple[Tensor, ...], ...]:
        return at_once(partial(golden_outputs, client, self.model, self._task), count)

"""Triton Inference Server: one model of a repository, loaded and reloaded over its own API.

The server starts without any model (`--model-control-mode=explicit`); each configuration is then
loaded as an override of the model's config.pbtxt (Triton's model repository extension). So a start
and a reload do the very same thing, and the staged copy of the model is never rewritten.
"""

import math
import re
import shlex
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path

from runners.base import LaunchSpec, RunningServer
from tuner.clients.v2 import ModelTraits, check_comparable, known_model
from tuner.clients.v2_http import V2Client
from tuner.errors import Reason, ServerError, ServerTimeoutError, TrialFailure
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols.v2 import V2Options, V2Protocol
from tuner.protocols.v2_wire import V2Wire, WireStep
from tuner.records import ServerStatistics, SettingVerdict
from tuner.space.expressions import Value, value_text
from tuner.space.settings import ConfigPath, ModelVariant, ServerFlag, Settings
from tuner.space.space import Configuration, Parameter
from tuner.targets import launch_settings, tensor_requests, variants
from tuner.targets.base import (
    ANSWER_TIMEOUT_S,
    Installation,
    InstalledTarget,
    TargetSetup,
)
from tuner.targets.process_proofs import judged
from tuner.targets.tensor_requests import Interface
from tuner.targets.triton import config as model_config
from tuner.targets.triton import flags
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.client import TritonClient
from tuner.targets.triton.evidence import field_verdict
from tuner.targets.triton.install import find_triton

_POLL_FAILED = re.compile(r"\"Poll failed for model directory '.*?': (.*)\"$", re.MULTILINE)
# A Triton that has something to do at its end gets this long for it, in seconds: where a model
# says so in its program, or has an environment that is unpacked for each start.
_GRACE_S = 10.0
_AT_THE_END = ("def finalize", "EXECUTION_ENV_PATH")
# Lines of the log's end that may tell of the last load.
PROOF_LINES = 2000


class TritonTarget(InstalledTarget[TritonModel, TritonClient]):
    """Implements Target; the workspace receives the staged copy of the model."""

    server = "triton"
    port = "http"
    reloadable = frozenset({"config", "variant"})

    @staticmethod
    def installation(setup: TargetSetup) -> Installation:
        if setup.contained:
            return Installation(Path("tritonserver"))
        return find_triton(setup.workspace)

    @property
    def _repository(self) -> Path:
        """Where the server may write."""
        return self._setup.workspace / "repository"

    @property
    def _shm_prefix(self) -> str:
        return f"tuner-{self._setup.workspace.name}-"

    def stage(self) -> None:
        self._model.stage(self._repository)

    def restore(self, server: RunningServer) -> None:
        """Load the model as it was: as an override, since nobody knows whether it was one."""
        with self._client(server, self.start_timeout_s) as client:
            client.load(self.model, model_config.as_json(self._model.config))

    @property
    def _grpc(self) -> bool:
        return self._setup.form.grpc

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        settings = self._space.settings(configuration)
        grpc = ("--allow-grpc=true", "--grpc-address={address}", "--grpc-port={port:grpc}")
        return LaunchSpec(
            command=(
                str(self._installation.executable),
                f"--model-repository={self._repository}",
                "--model-control-mode=explicit",
                *self._completing,
                *self._installation.flags,
                "--http-address={address}",
                "--http-port={port:http}",
                *(grpc if self._grpc else ("--allow-grpc=false",)),
                "--allow-metrics=false",
                # Several Tritons on one machine must not share these (python_backend README).
                f"--backend-config=python,shm-region-prefix-name={self._shm_prefix}",
                *settings.arguments,
            ),
            environment={
                **self._installation.environment,
                **launch_settings.environment(settings),
            },
            withheld=self._space.variables,
            ports=("http", "grpc") if self._grpc else ("http",),
            reads=(self._repository, *self._model.needs.reads),
            start_timeout_s=self.start_timeout_s,
            stop_grace_s=self._stop_grace_s,
            leftovers=(f"/dev/shm/{self._shm_prefix}*",),  # noqa: S108 - named by the server
        )

    @property
    def _completing(self) -> tuple[str, ...]:
        """To learn what it might add, the Python backend starts the model's program once more.

        That takes over a second for each load, also where there is nothing to add.
        """
        return ("--disable-auto-complete-config",) if self._model.is_complete else ()

    @property
    def _stop_grace_s(self) -> float:
        """Triton takes 2 s to end by itself: for nothing, unless the model leaves something."""
        return _GRACE_S if any(w in self._model.needs.mentioned for w in _AT_THE_END) else 0.0

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        settings = self._space.settings(configuration)
        with self._client(server, self.start_timeout_s) as client:
            try:
                self._load(client, settings)
            except ServerTimeoutError as error:
                reason, what = Reason.START_TIMEOUT, f"the model was not loaded: {error}"
                raise TrialFailure(reason, what) from None
            except ServerError as error:
                what = f"{error}{reason_in(server.log_tail())}"
                raise TrialFailure(Reason.INVALID_CONFIGURATION, what) from None
            outputs = self._first_outputs(client, asked=f"inference{self._alone}")
        tensor_requests.check_answer(outputs)

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        with self._client(server) as client:
            served = self._served(client)
            effective = model_config.from_server(client.config(served))
        log = server.log_tail(PROOF_LINES)
        verdict = partial(
            judged,
            pid=server.pid,
            config=partial(field_verdict, effective=effective, log=log),
            variant=lambda _, asked: variants.variant_verdict(asked, served),
            flag=partial(flags.flag_verdict, log=server.log_head()),
        )
        return self._verdicts(configuration, verdict)

    def _client(self, server: RunningServer, timeout_s: float = ANSWER_TIMEOUT_S) -> TritonClient:
        return TritonClient(server, self._setup.form, timeout_s=timeout_s)

    def _infer(self, client: TritonClient, count: int) -> tuple[tuple[Tensor, ...], ...]:
        served = self._served(client)
        interface, traits = self._interface(client, served)
        steps = tensor_requests.golden(interface, self._setup.form)
        return client.answers(served, traits, steps, count)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        with self._client(server) as client:
            return client.statistics(self._served(client))

    def endpoint(self, server: RunningServer) -> Endpoint:
        return Endpoint(server.host, server.ports["grpc" if self._grpc else "http"])

    def requests(self, server: RunningServer) -> RequestSet:
        form = self._setup.form
        with self._client(server) as client:
            served = self._served(client)
            interface, traits = self._interface(client, served)
        streams = tensor_requests.streams(interface, form)
        if any(step.expected for step in chain(*streams)):
            check_comparable(traits, served)
        options = V2Options(
            headers=form.headers, parameters=form.parameters, streaming=bool(traits.decoupled)
        )
        protocol = V2Protocol.GRPC if form.grpc else V2Protocol.HTTP
        wire = V2Wire(self.endpoint(server), protocol, served, options)
        written = [
            [WireStep(step.inputs, expected=step.expected) for step in stream]
            for stream in streams
        ]
        if not traits.stateful:
            return wire.request_set(list(chain(*written)), inferences=form.batch)
        sequences = form.sequences.to_the_end() if form.files else form.sequences
        return wire.sequence_set(written, sequences, inferences=form.batch, seed=0)

    def concurrency(self, configuration: Configuration) -> int:
        # "2 x batch x instances": Triton performance_tuning.md; and its optimization.md.
        instances = self._effective(configuration, "instance_group[0].count") or 1
        requests = self.largest_batch(configuration) / self._setup.form.batch
        return max(2, math.ceil(2 * instances * requests))

    def largest_batch(self, configuration: Configuration) -> int:
        schedulers = ("dynamic_batching", "sequence_batching")
        if not any(self._effective(configuration, each) for each in schedulers):
            return 1
        return max(1, self._effective(configuration, "max_batch_size"))

    def export(self, configuration: Configuration) -> str:
        message = self._model.deployed(self._space.settings(configuration))
        return "\n".join([*self._outside(configuration), model_config.as_text(message)])

    def _outside(self, configuration: Configuration) -> list[str]:
        """What deploys that which no model configuration holds, as comments."""
        said = (_outside(self._space[name], value) for name, value in configuration.items())
        return list(filter(None, said))

    def _effective(self, configuration: Configuration, path: str) -> int:
        message = self._model.configured(self._space.settings(configuration))
        return int(model_config.get(message, path) or 0)

    @property
    def _alone(self) -> str:
        """What may be why a model does not answer: a program asks whatever it likes."""
        named = ", ".join(self._model.unused)
        hint = f" (`--with-model NAME` loads another model that it asks; there are: {named})"
        return hint if named else ""

    def _load_companions(self, client: V2Client) -> None:
        """What the model asks, as it is in the repository; before the model."""
        for name in self._model.before:
            if not client.ready(name):
                client.load(name)

    def _load(self, client: V2Client, settings: Settings) -> None:
        form = self._model.form(settings).name
        self._load_companions(client)
        self._unload_others(client, form)
        client.load(form, model_config.as_json(self._model.configured(settings)))

    def _unload_others(self, client: V2Client, form: str) -> None:
        """Two forms of a model at once would take twice the memory."""
        if len(self._model.forms) > 1:
            for other in set(client.ready_models()) & set(self._model.forms) - {form}:
                client.unload(other)

    def _served(self, client: V2Client) -> str:
        """The form of the model that the server has."""
        forms = self._model.forms
        if len(forms) == 1:
            return self.model
        ready = [name for name in client.ready_models() if name in forms]
        if len(ready) != 1:
            raise ServerError(
                "one form of the model must be ready, but "
                f"{len(ready)} are: {', '.join(ready) or 'none'}"
            )
        return ready[0]

    def _interface(self, client: V2Client, served: str) -> tuple[Interface, ModelTraits]:
        # The server's word counts: it may have completed what config.pbtxt leaves out.
        metadata, traits = known_model(client, served)
        interface = Interface(
            inputs=metadata.inputs,
            outputs=metadata.outputs,
            batched=bool(traits.batched),
            stateful=bool(traits.stateful),
            variant="" if served == self.model else f"the variant `{served}`",
        )
        return interface, traits


def reason_in(log: str) -> str:
    """Why Triton could not use a configuration: it answers no more than "failed to poll"."""
    reasons = _POLL_FAILED.findall(log)
    return f": {reasons[-1]}" if reasons else ""


def _outside(parameter: Parameter, value: Value) -> str:
    """What deploys a value that no model configuration holds, as a comment."""
    sets = parameter.sets
    if isinstance(sets, ModelVariant):
        return f"# {parameter.name}: of the model `{value_text(value)}`"
    if isinstance(sets, ConfigPath) or value == sets.omit:
        return ""
    if isinstance(sets, ServerFlag):
        said = shlex.join(sets.arguments(value))
    else:
        said = " ".join(f"{name}={value_text(value)}" for name in sets.names)
    return f"# {parameter.name}: start the server with {said}" if said else ""

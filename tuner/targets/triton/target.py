"""Triton Inference Server: one model of a repository, loaded and reloaded over its own API.

The server starts without any model (`--model-control-mode=explicit`); each configuration is then
loaded as an override of the model's config.pbtxt (Triton's model repository extension). So a start
and a reload do the very same thing, and the staged copy of the model is never rewritten.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from google.protobuf.message import Message

from runners.base import LaunchSpec, RunningServer
from tuner.clients.v2_http import V2Client
from tuner.errors import Reason, ServerError, ServerTimeoutError, TrialFailure
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols import v2_http
from tuner.records import Grade, ServerStatistics, SettingVerdict
from tuner.space.expressions import Value
from tuner.space.settings import (
    ConfigPath,
    EnvironmentVariables,
    ModelVariant,
    ServerFlag,
    Setting,
)
from tuner.space.space import Configuration, Parameter, SearchSpace
from tuner.targets import launch_settings, made_up_requests, variants
from tuner.targets.base import TargetSetup
from tuner.targets.process_proofs import environment_verdict, value_text
from tuner.targets.request_form import RequestForm
from tuner.targets.triton import config as model_config
from tuner.targets.triton import flags, install, proofs
from tuner.targets.triton.install import TritonInstallation
from tuner.targets.triton.model import TritonModel

_POLL_FAILED = re.compile(r"\"Poll failed for model directory '.*?': (.*)\"$", re.MULTILINE)
# How much of the log may tell of the last load.
_PROOF_LINES = 2000


class TritonTarget:
    """Implements Target; `workspace` receives the staged copy of the model."""

    server = "triton"
    warm_up_requests = 0

    def __init__(
        self,
        model: TritonModel,
        space: SearchSpace,
        *,
        installation: TritonInstallation,
        workspace: Path,
        form: RequestForm,
        start_timeout_s: float = 120.0,
    ) -> None:
        self.model = model.name
        self._model = model
        self._space = space
        self._installation = installation
        self._repository = workspace / "repository"
        self._shm_prefix = f"tuner-{workspace.name}-"
        self._request = form
        self._start_timeout_s = start_timeout_s

    @classmethod
    def of(cls, model: TritonModel, space: SearchSpace, setup: TargetSetup) -> Self:
        """The target of a job.

        Raises:
            ServerMissingError: No Triton is installed, and none is in a container.
        """
        return cls(
            model,
            space,
            installation=TritonInstallation(Path("tritonserver"))
            if setup.contained
            else install.find(setup.workspace),
            workspace=setup.workspace,
            form=setup.form,
            start_timeout_s=setup.start_timeout_s,
        )

    def stage(self) -> None:
        """Copy the model to where the server may write; once, before the first start.

        Raises:
            ModelError: A file of it cannot be read, or there is no room for it.
        """
        self._model.stage(self._repository)

    def restore(self, server: RunningServer) -> None:
        """Load the model as it was: as an override, since nobody knows whether it was one."""
        with V2Client(server.url("http"), timeout_s=self._start_timeout_s) as client:
            client.load(self.model, model_config.as_json(self._model.config))

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        return LaunchSpec(
            command=(
                str(self._installation.executable),
                f"--model-repository={self._repository}",
                "--model-control-mode=explicit",
                *self._installation.flags,
                "--http-address={address}",
                "--http-port={port:http}",
                "--allow-grpc=false",
                "--allow-metrics=false",
                # Several Tritons on one machine must not share these (python_backend README).
                f"--backend-config=python,shm-region-prefix-name={self._shm_prefix}",
                *launch_settings.flags(self._space, configuration),
            ),
            environment={
                **self._installation.environment,
                **launch_settings.environment(self._space, configuration),
            },
            ports=("http",),
            reads=(self._repository,),
            start_timeout_s=self._start_timeout_s,
            # Triton takes 2 s to end by itself, and gains nothing by more.
            stop_grace_s=10.0,
            leftovers=(f"/dev/shm/{self._shm_prefix}*",),  # noqa: S108 - named by the server
        )

    def can_reload(self, before: Configuration, after: Configuration) -> bool:
        changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
        parameters = [self._space[name] for name in changed]
        return all(p.reload and isinstance(p.sets, ConfigPath | ModelVariant) for p in parameters)

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        config = model_config.as_json(self._model.configured(self._space, configuration))
        form = self._model.form(self._space, configuration).name
        with V2Client(server.url("http"), timeout_s=self._start_timeout_s) as client:
            try:
                self._unload_others(client, form)
                client.load(form, config)
            except ServerTimeoutError as error:
                reason, what = Reason.START_TIMEOUT, f"the model was not loaded: {error}"
                raise TrialFailure(reason, what) from None
            except ServerError as error:
                what = f"{error}{_reason_in(server.log_tail())}"
                raise TrialFailure(Reason.INVALID_CONFIGURATION, what) from None
            try:
                outputs = self._infer(client, 1)
            except ServerError as error:
                what = f"the first inference failed: {error}"
                raise TrialFailure(Reason.NOT_READY, what) from None
        made_up_requests.check_answer(outputs[0])

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        with V2Client(server.url("http")) as client:
            served = self._served(client)
            effective = model_config.from_server(client.config(served))
        log = server.log_tail(_PROOF_LINES)

        def verdict(sets: Setting, value: Value) -> SettingVerdict:
            match sets:
                case ConfigPath(path, omit) if value != omit:
                    return _verdict(path, value, effective, log)
                case ModelVariant():
                    return variants.verdict(value, served)
                case EnvironmentVariables(names, omit) if value != omit:
                    return environment_verdict(server.pid, dict.fromkeys(names, value_text(value)))
                case ServerFlag(flag, omit) if value != omit:
                    return flags.verdict(flag, value, log=server.log_head())
                case _:  # Triton fills what is left out as it sees fit
                    return SettingVerdict(Grade.ACCEPTED)

        return {n: verdict(self._space[n].sets, value) for n, value in configuration.items()}

    def infer(self, server: RunningServer, *, count: int = 1) -> tuple[tuple[Tensor, ...], ...]:
        with V2Client(server.url("http")) as client:
            return self._infer(client, count)

    def _infer(self, client: V2Client, count: int) -> tuple[tuple[Tensor, ...], ...]:
        served = self._served(client)
        [inputs] = self._inputs(client, served, [made_up_requests.GOLDEN_SEED])
        with ThreadPoolExecutor(count) as pool:
            answers = [pool.submit(client.infer, served, inputs) for _ in range(count)]
            return tuple(answer.result() for answer in answers)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        with V2Client(server.url("http")) as client:
            return client.statistics(self._served(client))

    def endpoint(self, server: RunningServer) -> Endpoint:
        return Endpoint(server.host, server.ports["http"])

    def requests(self, server: RunningServer) -> RequestSet:
        endpoint = self.endpoint(server)
        with V2Client(server.url("http")) as client:
            served = self._served(client)
            made = self._inputs(client, served, made_up_requests.SEEDS)
            return made_up_requests.request_set(
                lambda inputs: v2_http.prepare(endpoint, served, inputs), made, self._request
            )

    def concurrency(self, configuration: Configuration) -> int:
        # "2 x batch x instances": Triton performance_tuning.md; and its optimization.md.
        instances = self._effective(configuration, "instance_group[0].count") or 1
        requests = self.largest_batch(configuration) / self._request.batch
        return max(2, math.ceil(2 * instances * requests))

    def largest_batch(self, configuration: Configuration) -> int:
        if not self._effective(configuration, "dynamic_batching"):
            return 1
        return self._effective(configuration, "max_batch_size")

    def export(self, configuration: Configuration) -> str:
        message = self._model.deployed(self._space, configuration)
        outside = (_outside(self._space[n], value) for n, value in configuration.items())
        return "\n".join([*filter(None, outside), model_config.as_text(message)])

    def _effective(self, configuration: Configuration, path: str) -> int:
        message = self._model.configured(self._space, configuration)
        return int(model_config.get(message, path) or 0)

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

    def _inputs(
        self, client: V2Client, served: str, seeds: Iterable[int]
    ) -> Iterator[tuple[Tensor, ...]]:
        # The server's word counts: it may have completed what config.pbtxt leaves out.
        batched = bool(client.config(served).get("max_batch_size"))
        specs = client.metadata(served).inputs
        with made_up_requests.fitting("" if served == self.model else f"the variant `{served}`"):
            yield from made_up_requests.inputs(specs, self._request, batched=batched, seeds=seeds)


def _verdict(path: str, value: Value, effective: Message, log: str) -> SettingVerdict:
    """Whether the model has the value at `path`, and its backend heeds it."""
    found = model_config.get(effective, path)
    if proofs.is_backend_parameter(path):
        if found == value_text(value):
            name, backend = (str(model_config.get(effective, n)) for n in ("name", "backend"))
            return proofs.verdict(path, value, model=name, backend=backend, log=log)
    elif found in (value, value_text(value)) or (value is False and not found):
        return SettingVerdict(Grade.CONFIRMED)
    return SettingVerdict(Grade.REFUTED, f"the server has {path} = {value_text(found)}")


def _reason_in(log: str) -> str:
    """Why Triton could not use a configuration: it answers no more than "failed to poll"."""
    reasons = _POLL_FAILED.findall(log)
    return f": {reasons[-1]}" if reasons else ""


def _outside(parameter: Parameter, value: Value) -> str:
    """What deploys a value that no model configuration holds, as a comment."""
    match parameter.sets:
        case ModelVariant():
            return f"# {parameter.name}: of the model `{value_text(value)}`"
        case EnvironmentVariables(names, omit) if value != omit:
            settings = " ".join(f"{name}={value_text(value)}" for name in names)
            return f"# {parameter.name}: start the server with {settings}"
        case ServerFlag(flag, omit) if value != omit:
            return f"# {parameter.name}: start the server with {flag}={value_text(value)}"
        case _:
            return ""

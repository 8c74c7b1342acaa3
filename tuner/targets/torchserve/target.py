"""TorchServe: one model archive, registered and scaled over the management API.

The server starts without any model. Each configuration then registers the archive with its batch
size and delay, or only scales its workers where nothing else changed; so a start and a reload do
the same thing. What config.properties or the environment says needs a start.

TorchServe calls itself healthy while its workers die again and again, so nobody asks it: ready is
a model whose workers are all READY, and which answered one inference.
"""

import json
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from runners.base import LaunchSpec, RunningServer
from tuner.clients.torchserve import TorchServeClient
from tuner.errors import Reason, ServerError, ServerTimeoutError, TrialFailure
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols import torchserve
from tuner.protocols.torchserve import TorchServeOptions
from tuner.records import ServerStatistics, SettingVerdict
from tuner.space.settings import ConfigPath, LauncherArgument, ModelVariant, ServerProperty
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import json_outputs, launch_settings, system_libraries
from tuner.targets.base import TargetSetup
from tuner.targets.process_proofs import value_text
from tuner.targets.request_form import RequestForm
from tuner.targets.torchserve import install, launcher
from tuner.targets.torchserve.evidence import LAUNCHER, Evidence
from tuner.targets.torchserve.install import TorchServeInstallation
from tuner.targets.torchserve.model import (
    BATCH,
    DELAY,
    WORKERS,
    ServedTorchServeModel,
    TorchServeModel,
)

_PORTS = ("inference", "management", "metrics", "grpc_inference", "grpc_management")
# TorchServe's own (configuration.md, batch_inference_with_ts.md).
_DEFAULTS = {BATCH: 1, DELAY: 100}
_API_NAMES = {WORKERS: "initial_workers", BATCH: "batch_size", DELAY: "max_batch_delay"}
# A full queue answers 503, which a load engine cannot tell from a model without workers.
_QUEUE = 10_000
_ADDRESSES = {
    "inference_address": "http://{address}:{port:inference}",
    "management_address": "http://{address}:{port:management}",
    "metrics_address": "http://{address}:{port:metrics}",
    "grpc_inference_address": "{address}",
    "grpc_inference_port": "{port:grpc_inference}",
    "grpc_management_address": "{address}",
    "grpc_management_port": "{port:grpc_management}",
    "disable_token_authorization": "true",
    "enable_model_api": "true",
}
# For measuring: every minute, a Python of its own would look at the system.
_MEASURING = {"metrics_mode": "prometheus", "disable_system_metrics": "true"}
_ARGUMENTS = "cpu_launcher_args"
_WORKER_DIED = "Backend worker process died"
_SAID_BY_WORKER = re.compile(r"MODEL_LOG - (.*)")
_ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")
_PROOF_LINES, _LAST_WORDS = 3000, 40
_POLL_S, _TRACEBACK_S = 0.05, 0.5


class TorchServeTarget:
    """Implements Target; `workspace` receives the staged copy of the archive."""

    server = "torchserve"
    # Its Java compiles what ran 5,000 to 15,000 times (HotSpot's Tier4InvocationThreshold and
    # Tier4CompileThreshold); until then the p99 of a small model was ten times as high.
    warm_up_requests = 10_000

    def __init__(
        self,
        model: TorchServeModel,
        space: SearchSpace,
        *,
        installation: TorchServeInstallation,
        workspace: Path,
        form: RequestForm,
        start_timeout_s: float = 120.0,
    ) -> None:
        self.model = model.name
        self._model = model
        self._space = space
        self._installation = installation
        self._store = workspace / "store"
        self._request = form
        self._start_timeout_s = start_timeout_s
        self._options = TorchServeOptions(
            content_type=form.content_type or TorchServeOptions.content_type
        )

    @classmethod
    def of(cls, model: TorchServeModel, space: SearchSpace, setup: TargetSetup) -> Self:
        """The target of a job.

        Raises:
            ServerMissingError: No TorchServe is installed, and none is in a container.
        """
        contained = setup.contained
        return cls(
            model,
            space,
            installation=install.CONTAINED if contained else install.find(),
            workspace=setup.workspace,
            form=setup.form,
            start_timeout_s=setup.start_timeout_s,
        )

    def stage(self) -> None:
        self._model.stage(self._store)

    def restore(self, server: RunningServer) -> None:
        """Register the model as it was, or scale its workers back."""
        if not isinstance(self._model, ServedTorchServeModel):
            return
        with TorchServeClient.of(server, timeout_s=self._start_timeout_s) as client:
            self._bring_up(client, self._model, {**_DEFAULTS, **self._model.settings})
            if self._model.settings.get(WORKERS):
                self._await_workers(client, server)
            client.scale(self.model, self._model.settings[WORKERS], self._model.most_workers)

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        properties = {
            **_ADDRESSES,
            **_MEASURING,
            **self._properties(configuration),
        }
        return LaunchSpec(
            command=(
                str(self._installation.executable),
                *("--start", "--foreground", "--ncs"),
                *("--ts-config", "{folder}/config.properties"),
                *("--model-store", str(self._store)),
            ),
            environment={
                **self._installation.environment,
                # Python looks at TMPDIR; TorchServe tells Java what TEMP says.
                **dict.fromkeys(
                    ("TMPDIR", "TEMP", "LOG_LOCATION", "METRICS_LOCATION"), "{folder}"
                ),
                **self._environment(configuration),
            },
            ports=_PORTS,
            files={"config.properties": _text_of(properties)},
            reads=(self._store,),
            start_timeout_s=self._start_timeout_s,
            # It takes seconds to end by itself, and leaves nothing that matters.
            stop_grace_s=0.0,
        )

    def can_reload(self, before: Configuration, after: Configuration) -> bool:
        changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
        if changed and self._properties(after).get(LAUNCHER) == "true":
            return False  # workers that stay would keep the cores of the new ones
        parameters = [self._space[name] for name in changed]
        return all(p.reload and isinstance(p.sets, ConfigPath | ModelVariant) for p in parameters)

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        with TorchServeClient.of(server, timeout_s=self._start_timeout_s) as client:
            try:
                form = self._model.form(self._space, configuration)
                self._bring_up(client, form, self._settings(configuration))
                self._await_workers(client, server)
            except ServerTimeoutError as error:
                reason, what = Reason.START_TIMEOUT, f"the model was not registered: {error}"
                raise TrialFailure(reason, what) from None
            except ServerError as error:
                raise TrialFailure(Reason.INVALID_CONFIGURATION, str(error)) from None
            try:
                self._infer(client, 1)
            except ServerError as error:
                what = f"the first inference failed: {error}"
                raise TrialFailure(Reason.NOT_READY, what) from None

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        with TorchServeClient.of(server) as client:
            described = client.describe(self.model)
        if described is None:
            raise ServerError("TorchServe does not know the model any more")
        evidence = Evidence(
            described, server.log_head(), server.log_tail(_PROOF_LINES), server.pid
        )
        return {
            name: evidence.verdict(self._space[name].sets, value)
            for name, value in configuration.items()
        }

    def infer(self, server: RunningServer, *, count: int = 1) -> tuple[tuple[Tensor, ...], ...]:
        with TorchServeClient.of(server) as client:
            return self._infer(client, count)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        with TorchServeClient.of(server) as client:
            return client.statistics(self.model)

    def requests(self, server: RunningServer) -> RequestSet:
        endpoint = self.endpoint(server)
        payloads = (
            torchserve.prepare_http(endpoint, self.model, body, self._options)
            for body in self._request.bodies
        )
        return RequestSet(tuple(payloads))

    def endpoint(self, server: RunningServer) -> Endpoint:
        return Endpoint(server.host, server.ports["inference"])

    def concurrency(self, configuration: Configuration) -> int:
        # Each worker takes a batch while the next one is collected for it (Model.pollBatch).
        settings = self._settings(configuration)
        at_work = settings[WORKERS] * settings[BATCH]
        # Twice as many are tried as well, and what does not fit into the queue is refused.
        fits = (at_work + (self._model.queue or _QUEUE)) // 2
        return max(2, min(2 * at_work, fits))

    def largest_batch(self, configuration: Configuration) -> int:
        return self._settings(configuration)[BATCH]

    def export(self, configuration: Configuration) -> str:
        settings = self._settings(configuration)
        settings["maxWorkers"] = settings[WORKERS]
        form = self._model.form(self._space, configuration)
        model = {"defaultVersion": True, "marName": form.archive.name, **settings}
        properties = {
            **self._properties(configuration),
            "load_models": f"{self.model}={form.archive.name}",
            "models": json.dumps({self.model: {form.version: model}}),
        }
        start = [f"{n}={v}" for n, v in self._environment(configuration).items()]
        start += ["torchserve", "--start", "--ncs", "--ts-config", "config.properties"]
        start += ["--model-store", "FOLDER"]
        lines = [f"# {' '.join(start)}"]
        if form.overrules:
            own = ", ".join(form.settings)
            lines.append(
                f"# The archive's own model-config.yaml sets {own}, which wins: take it out"
            )
        return "\n".join([*lines, _text_of(properties)])

    def _settings(self, configuration: Configuration) -> dict[str, int]:
        """What the management API is told of the model, by the names of model-config.yaml."""
        # Without a parameter, as many workers as TorchServe itself would start.
        usual = {WORKERS: self._space.constants.get("cores", 1)}
        settings = {**_DEFAULTS, **usual, **self._model.settings}
        for name, value in configuration.items():
            match self._space[name].sets:
                case ConfigPath(path):
                    settings[path] = int(value)
                case _:
                    pass
        return settings

    def _properties(self, configuration: Configuration) -> dict[str, str]:
        properties, arguments = {"job_queue_size": str(_QUEUE)}, []
        for name, value in configuration.items():
            match self._space[name].sets:
                case ServerProperty(key, omit) if value != omit:
                    properties[key] = value_text(value)
                case LauncherArgument(argument, omit) if value != omit:
                    arguments.append((argument, value))
                case _:
                    pass
        if properties.get(LAUNCHER) == "true":
            # It would preload an allocator of its own choice; that is a parameter of its own.
            arguments.append((launcher.DEFAULT_ALLOCATOR, True))
            properties[_ARGUMENTS] = launcher.arguments(arguments)
        return properties

    def _environment(self, configuration: Configuration) -> dict[str, str]:
        return launch_settings.environment(self._space, configuration, library=self._library)

    def _library(self, name: str) -> str:
        """With its path: the launcher takes what is no file out of LD_PRELOAD (run_cpu.py)."""
        path = None if self._installation.contained else system_libraries.path_of(name)
        return str(path or name)

    def _bring_up(
        self, client: TorchServeClient, form: TorchServeModel, wanted: Mapping[str, int]
    ) -> None:
        """Register a form of the model, or scale its workers where nothing else changes."""
        described = client.describe(self.model)
        if described is not None and (
            described.archive == form.url
            and all(described.settings.get(name) == wanted[name] for name in _DEFAULTS)
        ):
            client.scale(self.model, wanted[WORKERS], wanted[WORKERS])
            return
        if described is not None:
            client.unregister(self.model)
        parameters = {_API_NAMES[name]: value for name, value in wanted.items()}
        parameters |= self._model.registration
        client.register(form.url, {"model_name": self.model, **parameters})

    def _await_workers(self, client: TorchServeClient, server: RunningServer) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            described = client.describe(self.model)
            wanted = described.settings.get(WORKERS, 0) if described else 0
            if described and 0 < wanted == described.ready_workers == len(described.workers):
                return
            if _WORKER_DIED in server.log_tail(_PROOF_LINES):
                time.sleep(_TRACEBACK_S)  # it is written after these words
                raise _death(server.log_tail(_PROOF_LINES))
            if time.monotonic() > deadline:
                ready = described.ready_workers if described else 0
                raise TrialFailure(
                    Reason.START_TIMEOUT,
                    f"{ready} of {wanted} workers are ready after {self._start_timeout_s:g} s",
                )
            time.sleep(_POLL_S)

    def _infer(self, client: TorchServeClient, count: int) -> tuple[tuple[Tensor, ...], ...]:
        golden, kind = self._request.bodies[0], self._options.content_type
        with ThreadPoolExecutor(count) as pool:
            asked = [pool.submit(client.predict, self.model, golden, kind) for _ in range(count)]
            return tuple(json_outputs.as_tensors(each.result()) for each in asked)


def _text_of(properties: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def _death(log: str) -> TrialFailure:
    """How a worker ended when it began, with all that it said then."""
    said = [line for line in _SAID_BY_WORKER.findall(log.partition(_WORKER_DIED)[2]) if line]
    errors = [line for line in said if _ERROR.match(line)]
    last = next(iter([*errors[:1], *said[-1:]]), "it said nothing")
    return TrialFailure(
        Reason.NOT_READY,
        f"a worker died when it began: {last}",
        log_tail="\n".join(said[:_LAST_WORDS]),
    )

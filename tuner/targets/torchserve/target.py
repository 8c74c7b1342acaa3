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
from pathlib import Path

from runners.base import LaunchSpec, RunningServer
from runners.readiness import await_ready
from tuner.clients.torchserve import TorchServeClient
from tuner.errors import Reason, ServerError, ServerTimeoutError, TrialFailure
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols import torchserve
from tuner.protocols.torchserve import TorchServeOptions
from tuner.records import ServerStatistics, SettingVerdict
from tuner.space.expressions import value_text
from tuner.space.settings import Settings
from tuner.space.space import Configuration
from tuner.targets import json_outputs, launch_settings, system_libraries
from tuner.targets.base import (
    ANSWER_TIMEOUT_S,
    Installation,
    InstalledTarget,
    TargetSetup,
    at_once,
)
from tuner.targets.torchserve import launcher
from tuner.targets.torchserve.evidence import LAUNCHER, TorchServeEvidence
from tuner.targets.torchserve.install import find_torchserve
from tuner.targets.torchserve.model import (
    BATCH,
    DELAY,
    WORKERS,
    RunningModel,
    TorchServeModel,
)

_PORTS = ("inference", "management", "metrics", "grpc_inference", "grpc_management")
# TorchServe's own (configuration.md, batch_inference_with_ts.md); the delay is in milliseconds.
_DEFAULTS = {BATCH: 1, DELAY: 100}
_API_NAMES = {WORKERS: "initial_workers", BATCH: "batch_size", DELAY: "max_batch_delay"}
# Requests that may wait. A full queue answers 503, which a load engine cannot tell from a model
# without workers.
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
# What its log says of a worker.
_WORKER_DIED = "Backend worker process died"
_SAID_BY_WORKER = re.compile(r"MODEL_LOG - (.*)")
_ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")
# Lines of the log's end that may tell of the last load.
_PROOF_LINES = 3000
# Lines that are kept of what a worker said before it died.
_LAST_WORDS = 40
# How long a worker's traceback takes into the log, in seconds.
_TRACEBACK_S = 0.5


class TorchServeTarget(InstalledTarget[TorchServeModel, TorchServeClient]):
    """Implements Target; the workspace receives the staged copy of the archive."""

    server = "torchserve"
    port = "inference"
    reloadable = frozenset({"config", "variant"})
    # Its Java compiles what ran 5,000 to 15,000 times (HotSpot's Tier4InvocationThreshold and
    # Tier4CompileThreshold); until then the p99 of a small model was ten times as high.
    warm_up_requests = 10_000

    @staticmethod
    def installation(setup: TargetSetup) -> Installation:
        return Installation(Path("torchserve")) if setup.contained else find_torchserve()

    @property
    def _store(self) -> Path:
        return self._setup.workspace / "store"

    @property
    def _content_type(self) -> str:
        return self._setup.form.content_type or TorchServeOptions.content_type

    def stage(self) -> None:
        self._model.stage(self._store)

    def restore(self, server: RunningServer) -> None:
        """Register the model as it was, or scale its workers back."""
        if not isinstance(self._model, RunningModel):
            return
        with self._client(server, self.start_timeout_s) as client:
            self._bring_up(client, self._model, {**_DEFAULTS, **self._model.settings})
            if self._model.settings.get(WORKERS):
                self._await_workers(client, server)
            client.scale(self.model, self._model.settings[WORKERS], self._model.most_workers)

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        settings = self._space.settings(configuration)
        properties = {**_ADDRESSES, **_MEASURING, **_properties(settings)}
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
                **self._environment(settings),
            },
            withheld=self._space.variables,
            ports=_PORTS,
            files={"config.properties": _text_of(properties)},
            reads=(self._store,),
            start_timeout_s=self.start_timeout_s,
            # It takes seconds to end by itself, and leaves nothing that matters.
            stop_grace_s=0.0,
        )

    def can_reload(self, before: Configuration, after: Configuration) -> bool:
        launched = _properties(self._space.settings(after)).get(LAUNCHER) == "true"
        # Workers that stay would keep the cores of the new ones.
        return super().can_reload(before, after) and not (launched and before != after)

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        with self._client(server, self.start_timeout_s) as client:
            try:
                form = self._model.form(self._space.settings(configuration))
                self._bring_up(client, form, self._settings(configuration))
                self._await_workers(client, server)
            except ServerTimeoutError as error:
                reason, what = Reason.START_TIMEOUT, f"the model was not registered: {error}"
                raise TrialFailure(reason, what) from None
            except ServerError as error:
                raise TrialFailure(Reason.INVALID_CONFIGURATION, str(error)) from None
            self._first_outputs(client)

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        with self._client(server) as client:
            described = client.describe(self.model)
        if described is None:
            raise ServerError("TorchServe does not know the model any more")
        log = server.log_tail(_PROOF_LINES)
        evidence = TorchServeEvidence(described, server.log_head(), log, server.pid)
        return self._verdicts(configuration, evidence.verdict)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        with self._client(server) as client:
            return client.statistics(self.model)

    def requests(self, server: RunningServer) -> RequestSet:
        endpoint = self.endpoint(server)
        headers = self._setup.form.headers
        options = TorchServeOptions(headers=headers, content_type=self._content_type)
        return RequestSet(
            tuple(
                torchserve.prepare_http(endpoint, self.model, body, options)
                for body in self._setup.form.bodies
            )
        )

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
        told = self._space.settings(configuration)
        settings = self._settings(configuration)
        settings["maxWorkers"] = settings[WORKERS]
        form = self._model.form(told)
        model = {"defaultVersion": True, "marName": form.archive.name, **settings}
        properties = {
            **_properties(told),
            "load_models": f"{self.model}={form.archive.name}",
            "models": json.dumps({self.model: {form.version: model}}),
        }
        start = [f"{n}={v}" for n, v in self._environment(told).items()]
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
        said = self._space.settings(configuration).config.items()
        given = {path: int(value) for path, value in said if value is not None}
        return {**_DEFAULTS, **usual, **self._model.settings, **given}

    def _environment(self, settings: Settings) -> dict[str, str]:
        return launch_settings.environment(settings, library=self._library)

    def _library(self, name: str) -> str:
        """With its path: the launcher takes what is no file out of LD_PRELOAD (run_cpu.py)."""
        path = None if self._setup.contained else system_libraries.path_of(name)
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
        def too_few() -> str:
            """How many workers are ready; nothing once all are."""
            described = client.describe(self.model)
            wanted = described.settings.get(WORKERS, 0) if described else 0
            ready = described.ready_workers if described else 0
            if described and 0 < wanted == ready == len(described.workers):
                return ""
            if _WORKER_DIED in server.log_tail(_PROOF_LINES):
                time.sleep(_TRACEBACK_S)  # it is written after these words
                raise _death(server.log_tail(_PROOF_LINES))
            return f"{ready} of {wanted}"

        timeout_s = self.start_timeout_s
        if ready := await_ready(too_few, server.is_alive, timeout_s=timeout_s):
            what = f"{ready} workers are ready after {timeout_s:g} s"
            raise TrialFailure(Reason.START_TIMEOUT, what)

    def _client(
        self, server: RunningServer, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> TorchServeClient:
        return TorchServeClient.of(server, timeout_s=timeout_s)

    def _infer(self, client: TorchServeClient, count: int) -> tuple[tuple[Tensor, ...], ...]:
        form, kind = self._setup.form, self._content_type
        answers = at_once(
            lambda: client.predict(self.model, form.bodies[0], kind, form.headers), count
        )
        return tuple(map(json_outputs.as_tensors, answers))


def _properties(settings: Settings) -> dict[str, str]:
    """Of config.properties, what the settings say."""
    said = {name: value_text(value) for name, value in settings.properties.items()}
    properties = {"job_queue_size": str(_QUEUE), **said}
    if properties.get(LAUNCHER) == "true":
        # It would preload an allocator of its own choice; that is a parameter of its own.
        arguments = [*settings.launcher, (launcher.DEFAULT_ALLOCATOR, True)]
        properties[_ARGUMENTS] = launcher.arguments(arguments)
    return properties


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

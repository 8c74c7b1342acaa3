"""TensorFlow Serving: one SavedModel, served over REST; every configuration is a start.

Nothing but the list of models can be changed while it runs. It listens on all interfaces, over
REST and gRPC, and has no flag that says otherwise (model_servers/server.cc): only in a container,
whose ports are published on 127.0.0.1, is it out of reach of others.

Without retries, a model that fails to load ends the server; one that stays up all the same tells
why with the state of the model.
"""

import math
import shlex
import shutil
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

from runners.base import LaunchSpec, RunningServer
from runners.readiness import await_ready
from tuner.clients.tensorflow_serving import (
    AVAILABLE,
    ENDED,
    METRICS_PATH,
    TensorFlowServingClient,
)
from tuner.clients.tensorflow_signature import Signature
from tuner.errors import Reason, ServerError, ServerMissingError, TrialFailure
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols.tensorflow_serving import TensorFlowOptions, TensorFlowWire
from tuner.records import ServerStatistics, SettingVerdict
from tuner.space.settings import Settings
from tuner.space.space import Configuration
from tuner.targets import launch_settings, tensor_requests
from tuner.targets.base import (
    ANSWER_TIMEOUT_S,
    Installation,
    InstalledTarget,
    TargetSetup,
)
from tuner.targets.tensor_requests import Interface
from tuner.targets.tensorflow_serving.evidence import (
    TensorFlowServingEvidence,
    Tryout,
    batches_seen,
)
from tuner.targets.tensorflow_serving.model import (
    MAX_BATCH,
    MODEL_PATH,
    SERVER_MAX_BATCH,
    TensorFlowServingModel,
    batching_text,
    makes_batches,
)

PROGRAM = "tensorflow_model_server"

_BATCHING_FILE = "batching_parameters.txt"
_MONITORING_FILE = "monitoring.txt"
_MONITORING = f'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}\n'
_REST_THREADS = "--rest_api_num_threads"
# Lines of the log's beginning, where it names the arguments that it does not know.
_PROOF_LINES = 1000


def find_tensorflow_serving() -> str:
    """The program on PATH.

    Raises:
        ServerMissingError: There is none.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise ServerMissingError(
            f"TensorFlow Serving is not installed: no `{PROGRAM}` on PATH",
            hint="run it in a container: `--runner docker --image tensorflow/serving`",
        )
    return found


class TensorFlowServingTarget(InstalledTarget[TensorFlowServingModel, TensorFlowServingClient]):
    """Implements Target; the workspace receives the staged copy of the model."""

    server = "tensorflow_serving"
    port = "rest"

    @staticmethod
    def installation(setup: TargetSetup) -> Installation:
        program = PROGRAM if setup.contained else find_tensorflow_serving()
        return Installation(Path(program))

    @property
    def _grpc(self) -> bool:
        return self._setup.form.grpc

    @property
    def _models(self) -> Path:
        return self._setup.workspace / "models"

    def stage(self) -> None:
        self._model.stage(self._models)

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        settings = self._space.settings(configuration)
        files = {_MONITORING_FILE: _MONITORING}
        if makes_batches(settings):
            files[_BATCHING_FILE] = batching_text(settings.properties)
        return LaunchSpec(
            command=(
                str(self._installation.executable),
                "--port={port:grpc}",
                "--rest_api_port={port:rest}",
                *self._flags(settings, models=str(self._models), files="{folder}/"),
                f"--monitoring_config_file={{folder}}/{_MONITORING_FILE}",
                # A model that cannot be loaded is to be known at once.
                "--max_num_load_retries=0",
                "--file_system_poll_wait_seconds=0",
            ),
            environment=launch_settings.environment(settings),
            withheld=self._space.variables,
            ports=("rest", "grpc"),
            files=files,
            reads=(self._models,),
            start_timeout_s=self.start_timeout_s,
            # It has nothing to put in order.
            stop_grace_s=0.0,
        )

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        del configuration  # the start has made it effective
        with self._client(server, self.start_timeout_s) as client:
            self._await_available(client, server)
            outputs = self._first_outputs(client)
        tensor_requests.check_answer(outputs)

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        settings, form = self._space.settings(configuration), self._setup.form
        batching = makes_batches(settings)
        with self._client(server) as client:
            tryout = Tryout(
                client, self.model, self._interface(client.signature(self.model)), form
            )
            parameters = settings.properties if batching else {}
            seen = batches_seen(tryout, parameters, asked=form.batch)
        log = server.log_head(_PROOF_LINES)
        evidence = TensorFlowServingEvidence(seen, log, server.pid, batching, str(self._models))
        return self._verdicts(configuration, evidence.verdict)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        with self._client(server) as client:
            return client.statistics(self.model, batch=self._setup.form.batch)

    def endpoint(self, server: RunningServer) -> Endpoint:
        return Endpoint(server.host, server.ports["grpc" if self._grpc else "rest"])

    def requests(self, server: RunningServer) -> RequestSet:
        form, endpoint = self._setup.form, self.endpoint(server)
        with self._client(server) as client:
            signature = client.signature(self.model)
        streams = tensor_requests.streams(self._interface(signature), form)
        options = TensorFlowOptions(headers=form.headers)
        wire = TensorFlowWire(endpoint, self.model, signature.outputs, options, self._grpc)
        return wire.request_set(list(chain(*streams)), inferences=form.batch)

    def concurrency(self, configuration: Configuration) -> int:
        # "the number of client threads equal to roughly twice the maximum batch size", of which
        # the server takes as many as it has threads (session_bundle_config.proto, main.cc).
        threads = self._rest_threads(self._space.settings(configuration))
        requests = math.ceil(2 * self.largest_batch(configuration) / self._setup.form.batch)
        cores = self._space.constants.get("cores", 1)
        return max(2, min(threads, max(requests, 2 * cores)))

    def largest_batch(self, configuration: Configuration) -> int:
        settings = self._space.settings(configuration)
        if not makes_batches(settings):
            return 1
        most = settings.properties.get(MAX_BATCH, SERVER_MAX_BATCH)
        # A thread waits for each request: a batch has no more requests than there are threads.
        return min(int(most), self._rest_threads(settings) * self._setup.form.batch)

    def export(self, configuration: Configuration) -> str:
        """The batching parameters file, with the command that starts the server as a comment."""
        settings = self._space.settings(configuration)
        words = [f"{n}={value}" for n, value in launch_settings.environment(settings).items()]
        words += [PROGRAM, "--port=8500", "--rest_api_port=8501"]
        words += self._flags(settings, models="FOLDER", files="")
        command = f"# {shlex.join(words)}\n"
        if makes_batches(settings):
            return command + batching_text(settings.properties)
        return f"{command}# Without batching, the server takes no such file.\n"

    def _flags(self, settings: Settings, *, models: str, files: str) -> list[str]:
        """What the command line says of the model and of its settings."""
        form = settings.variant or self.model
        flags = [f"--model_name={self.model}", f"{MODEL_PATH}={models}/{form}"]
        flags += settings.arguments
        if makes_batches(settings):
            flags.append(f"--batching_parameters_file={files}{_BATCHING_FILE}")
        return flags

    def _rest_threads(self, settings: Settings) -> int:
        usual = 4 * self._space.constants.get("cores", 1)  # its own choice (main.cc)
        return int(dict(settings.flags).get(_REST_THREADS, usual))

    def _client(
        self, server: RunningServer, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> TensorFlowServingClient:
        headers = self._setup.form.headers
        return TensorFlowServingClient(server.url("rest"), headers=headers, timeout_s=timeout_s)

    def _await_available(self, client: TensorFlowServingClient, server: RunningServer) -> None:
        def other_state() -> str:
            """The state of the model; nothing once it is available."""
            found = None
            with suppress(ServerError):  # it begins, or it ends: whoever waits for it finds out
                found = client.state(self.model)
            if found is not None and found.state == ENDED:
                what = f"the model was not loaded: {found.error or 'the server does not say why'}"
                raise TrialFailure(Reason.NOT_READY, what)
            state = found.state if found else "not known to it"
            return "" if state == AVAILABLE else state

        timeout_s = self.start_timeout_s
        if state := await_ready(other_state, server.is_alive, timeout_s=timeout_s):
            raise TrialFailure(
                Reason.START_TIMEOUT, f"the model must become {AVAILABLE}, but it is {state}"
            )

    def _infer(
        self, client: TensorFlowServingClient, count: int
    ) -> tuple[tuple[Tensor, ...], ...]:
        signature = client.signature(self.model)
        steps = tensor_requests.golden(self._interface(signature), self._setup.form)
        return tensor_requests.answers(
            lambda _, __, step: client.predict(self.model, step.inputs, signature.outputs),
            steps,
            count,
        )

    def _interface(self, signature: Signature) -> Interface:
        return Interface(
            inputs=signature.inputs,
            outputs=signature.outputs,
            batched=signature.batched,
            variant="this form of the model" if self._model.others else "",
        )

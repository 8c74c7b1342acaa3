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
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from runners.base import LaunchSpec, RunningServer
from tuner.clients.tensorflow_serving import (
    AVAILABLE,
    ENDED,
    METRICS_PATH,
    ModelState,
    TensorFlowServingClient,
)
from tuner.clients.tensorflow_signature import Signature
from tuner.errors import Reason, ServerError, ServerMissingError, TrialFailure
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols import tensorflow_serving
from tuner.records import ServerStatistics, SettingVerdict
from tuner.space.settings import ServerFlag
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import launch_settings, made_up_requests, variants
from tuner.targets.base import TargetSetup
from tuner.targets.made_up_requests import GOLDEN_SEED
from tuner.targets.request_form import RequestForm
from tuner.targets.tensorflow_serving.evidence import Evidence, Tryout, batches_seen
from tuner.targets.tensorflow_serving.model import (
    MAX_BATCH,
    MODEL_PATH,
    SERVER_MAX_BATCH,
    TensorFlowServingModel,
    batching_parameters,
    batching_text,
    makes_batches,
)

PROGRAM = "tensorflow_model_server"

_BATCHING_FILE, _MONITORING_FILE = "batching_parameters.txt", "monitoring.txt"
_MONITORING = f'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}\n'
_REST_THREADS = "--rest_api_num_threads"
_PROOF_LINES = 1000
_POLL_S = 0.05


def find() -> str:
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


class TensorFlowServingTarget:
    """Implements Target; `workspace` receives the staged copy of the model."""

    server = "tensorflow_serving"
    warm_up_requests = 0

    def __init__(
        self,
        model: TensorFlowServingModel,
        space: SearchSpace,
        *,
        program: str,
        workspace: Path,
        form: RequestForm,
        start_timeout_s: float = 120.0,
    ) -> None:
        self.model = model.name
        self._model = model
        self._space = space
        self._program = program
        self._models = workspace / "models"
        self._request = form
        self._start_timeout_s = start_timeout_s

    @classmethod
    def of(cls, model: TensorFlowServingModel, space: SearchSpace, setup: TargetSetup) -> Self:
        """The target of a job.

        Raises:
            ServerMissingError: No TensorFlow Serving is installed, and none is in a container.
        """
        return cls(
            model,
            space,
            program=PROGRAM if setup.contained else find(),
            workspace=setup.workspace,
            form=setup.form,
            start_timeout_s=setup.start_timeout_s,
        )

    def stage(self) -> None:
        self._model.stage(self._models)

    def restore(self, server: RunningServer) -> None:
        """Nothing: a server of somebody else cannot be changed while it runs."""

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        files = {_MONITORING_FILE: _MONITORING}
        if makes_batches(self._space, configuration):
            files[_BATCHING_FILE] = self._batching_text(configuration)
        return LaunchSpec(
            command=(
                self._program,
                "--port={port:grpc}",
                "--rest_api_port={port:rest}",
                *self._flags(configuration, models=str(self._models), files="{folder}/"),
                f"--monitoring_config_file={{folder}}/{_MONITORING_FILE}",
                # A model that cannot be loaded is to be known at once.
                "--max_num_load_retries=0",
                "--file_system_poll_wait_seconds=0",
            ),
            environment=launch_settings.environment(self._space, configuration),
            ports=("rest", "grpc"),
            files=files,
            reads=(self._models,),
            start_timeout_s=self._start_timeout_s,
            # It has nothing to put in order.
            stop_grace_s=0.0,
        )

    def can_reload(self, before: Configuration, after: Configuration) -> bool:
        return before == after

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        with _client(server, self._start_timeout_s) as client:
            self._await_available(client, server)
            try:
                [outputs] = self._infer(client, 1)
            except ServerError as error:
                what = f"the first inference failed: {error}"
                raise TrialFailure(Reason.NOT_READY, what) from None
        made_up_requests.check_answer(outputs)

    def verify(
        self, server: RunningServer, configuration: Configuration
    ) -> Mapping[str, SettingVerdict]:
        with _client(server) as client:
            signature = client.signature(self.model)
            tryout = Tryout(client, self.model, signature, self._request, GOLDEN_SEED)
            parameters = batching_parameters(self._space, configuration)
            batching = makes_batches(self._space, configuration)
            seen = batches_seen(tryout, parameters if batching else {}, asked=self._request.batch)
        log = server.log_head(_PROOF_LINES)
        evidence = Evidence(seen, log, server.pid, batching, models=str(self._models))
        return {
            name: evidence.verdict(self._space[name].sets, value)
            for name, value in configuration.items()
        }

    def infer(self, server: RunningServer, *, count: int = 1) -> tuple[tuple[Tensor, ...], ...]:
        with _client(server) as client:
            return self._infer(client, count)

    def statistics(self, server: RunningServer) -> ServerStatistics:
        with _client(server) as client:
            return client.statistics(self.model, batch=self._request.batch)

    def requests(self, server: RunningServer) -> RequestSet:
        endpoint = self.endpoint(server)
        with _client(server) as client:
            signature = client.signature(self.model)
        made = self._inputs(signature, made_up_requests.SEEDS)
        return made_up_requests.request_set(
            lambda inputs: tensorflow_serving.prepare_rest(endpoint, self.model, inputs),
            made,
            self._request,
        )

    def endpoint(self, server: RunningServer) -> Endpoint:
        return Endpoint(server.host, server.ports["rest"])

    def concurrency(self, configuration: Configuration) -> int:
        # "the number of client threads equal to roughly twice the maximum batch size", of which
        # the server takes as many as it has threads (session_bundle_config.proto, main.cc).
        threads = self._rest_threads(configuration)
        requests = math.ceil(2 * self.largest_batch(configuration) / self._request.batch)
        cores = self._space.constants.get("cores", 1)
        return max(2, min(threads, max(requests, 2 * cores)))

    def largest_batch(self, configuration: Configuration) -> int:
        if not makes_batches(self._space, configuration):
            return 1
        most = batching_parameters(self._space, configuration).get(MAX_BATCH, SERVER_MAX_BATCH)
        # A thread waits for each request: a batch has no more requests than there are threads.
        return min(int(most), self._rest_threads(configuration) * self._request.batch)

    def export(self, configuration: Configuration) -> str:
        """The batching parameters file, with the command that starts the server as a comment."""
        environment = launch_settings.environment(self._space, configuration).items()
        words = [f"{name}={value}" for name, value in environment]
        words += [PROGRAM, "--port=8500", "--rest_api_port=8501"]
        words += self._flags(configuration, models="FOLDER", files="")
        lines = [f"# {shlex.join(words)}\n"]
        if makes_batches(self._space, configuration):
            return "".join([*lines, self._batching_text(configuration)])
        return "".join([*lines, "# Without batching, the server takes no such file.\n"])

    def _flags(self, configuration: Configuration, *, models: str, files: str) -> list[str]:
        """What the command line says of the model and of `configuration`."""
        form = variants.chosen(self._space, configuration, self.model)
        flags = [f"--model_name={self.model}", f"{MODEL_PATH}={models}/{form}"]
        flags += launch_settings.flags(self._space, configuration)
        if makes_batches(self._space, configuration):
            flags.append(f"--batching_parameters_file={files}{_BATCHING_FILE}")
        return flags

    def _batching_text(self, configuration: Configuration) -> str:
        return batching_text(batching_parameters(self._space, configuration))

    def _rest_threads(self, configuration: Configuration) -> int:
        for name, value in configuration.items():
            match self._space[name].sets:
                case ServerFlag(flag, omit) if flag == _REST_THREADS and value != omit:
                    return int(value)
                case _:
                    pass
        return 4 * self._space.constants.get("cores", 1)  # its own choice (main.cc)

    def _await_available(self, client: TensorFlowServingClient, server: RunningServer) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            found = self._state(client)
            if found is not None and found.state == AVAILABLE:
                return
            if found is not None and found.state == ENDED:
                what = f"the model was not loaded: {found.error or 'the server does not say why'}"
                raise TrialFailure(Reason.NOT_READY, what)
            if time.monotonic() > deadline or not server.is_alive():
                state = found.state if found else "not known to it"
                raise TrialFailure(
                    Reason.START_TIMEOUT,
                    f"the model must become {AVAILABLE}, but it is {state}",
                )
            time.sleep(_POLL_S)

    def _infer(
        self, client: TensorFlowServingClient, count: int
    ) -> tuple[tuple[Tensor, ...], ...]:
        signature = client.signature(self.model)
        [inputs] = self._inputs(signature, [GOLDEN_SEED])
        with ThreadPoolExecutor(count) as pool:
            asked = [
                pool.submit(client.predict, self.model, inputs, signature.outputs)
                for _ in range(count)
            ]
            return tuple(each.result() for each in asked)

    def _inputs(self, signature: Signature, seeds: Iterable[int]) -> Iterator[tuple[Tensor, ...]]:
        with made_up_requests.fitting("this form of the model" if self._model.others else ""):
            yield from made_up_requests.inputs(
                signature.inputs, self._request, batched=signature.batched, seeds=seeds
            )

    def _state(self, client: TensorFlowServingClient) -> ModelState | None:
        try:
            return client.state(self.model)
        except ServerError:  # it begins, or it ends: whoever waits for it finds out
            return None


def _client(server: RunningServer, timeout_s: float = 10.0) -> TensorFlowServingClient:
    return TensorFlowServingClient(server.url("rest"), timeout_s=timeout_s)

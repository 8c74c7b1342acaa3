"""The servers that can be tuned: how a model of each is opened, and which target serves it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from runners.base import Runner
from tuner.errors import InputError, did_you_mean
from tuner.space.files import built_in
from tuner.space.space import SearchSpace
from tuner.targets.base import ModelSource, ServedModel, StagedTarget, TargetSetup
from tuner.targets.command import model as command
from tuner.targets.command.prompted import target_of as command_target
from tuner.targets.command.target import CommandTarget
from tuner.targets.llama_cpp import model as llama_cpp
from tuner.targets.llama_cpp import texts
from tuner.targets.llama_cpp.target import LlamaCppTarget
from tuner.targets.request_form import RequestForm
from tuner.targets.tensorflow_serving import model as tensorflow_serving
from tuner.targets.tensorflow_serving.target import TensorFlowServingTarget
from tuner.targets.torchserve import model as torchserve
from tuner.targets.torchserve.target import TorchServeTarget
from tuner.targets.triton import asking
from tuner.targets.triton import model as triton
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.ensemble_target import target_of as triton_target
from tuner.targets.triton.target import TritonTarget

Model = TypeVar("Model", bound=ServedModel)


@dataclass(frozen=True, kw_only=True)
class ServerKind(Generic[Model]):
    """One of them.

    `configuration_file` is what its winner is exported as. `open_model` raises InputError where
    there is no such model, or several. `fit_form` gives what requests carry as the server takes
    it; InputError where it does not. `fit_space` is what matters of a space for such requests.
    `remote_ports` are the names and the usual numbers of what a remote server is reached by, that
    of the address first; it has none if it cannot be changed while it runs. `grpc_port` is the
    usual one of what it is asked by over gRPC alone; 0 is none. `http_flags` mean nothing to
    requests over gRPC. `open_to_all`: it listens on all interfaces. `experimental`: the tuner was
    never run on a real one. `completed` is the model with what only a server knows of it, if that
    is needed, and what is to be known of that, in sentences.
    """

    name: str
    configuration_file: str
    open_model: Callable[[ModelSource], Model]
    fit_form: Callable[[RequestForm], RequestForm]
    fit_space: Callable[[Model, SearchSpace, RequestForm], SearchSpace] = (
        lambda _model, space, _form: space
    )
    target: Callable[[Model, SearchSpace, TargetSetup], StagedTarget]
    remote_ports: Mapping[str, int] = field(default_factory=dict)
    grpc_port: int = 0
    http_flags: frozenset[str] = frozenset()
    open_to_all: bool = False
    experimental: bool = False
    needs_server: Callable[[Model], bool] = lambda _: False
    completed: Callable[[Model, TargetSetup, Runner], tuple[Model, tuple[str, ...]]] = (
        lambda model, _setup, _runner: (model, ())
    )


_KINDS: tuple[ServerKind[Any], ...] = (
    ServerKind[TritonModel](
        name=TritonTarget.server,
        configuration_file="config.pbtxt",
        open_model=triton.open_model,
        fit_form=lambda form: form.of_tensors("Triton"),
        target=triton_target,
        remote_ports={"http": 8000},
        grpc_port=8001,
        http_flags=frozenset({"--http-thread-count"}),
        needs_server=lambda model: model.needs_server,
        completed=asking.completed,
    ),
    ServerKind[torchserve.TorchServeModel](
        name=TorchServeTarget.server,
        configuration_file="config.properties",
        open_model=torchserve.open_model,
        fit_form=lambda form: form.of_bodies("TorchServe"),
        target=TorchServeTarget.of,
        remote_ports={"inference": 8080, "management": 8081, "metrics": 8082},
    ),
    ServerKind[tensorflow_serving.TensorFlowServingModel](
        name=TensorFlowServingTarget.server,
        configuration_file="batching_parameters.txt",
        open_model=tensorflow_serving.open_model,
        fit_form=lambda form: form.of_tensors("TensorFlow Serving", v2=False),
        target=TensorFlowServingTarget.of,
        http_flags=frozenset({"--rest_api_num_threads"}),
        open_to_all=True,
        experimental=True,
    ),
    ServerKind[llama_cpp.LlamaCppModel](
        name=LlamaCppTarget.server,
        configuration_file="llama-server.sh",
        open_model=llama_cpp.open_model,
        fit_form=lambda form: form.of_prompts("llama.cpp"),
        fit_space=texts.fit_space,
        target=LlamaCppTarget.of,
    ),
    ServerKind[command.CommandModel](
        name=CommandTarget.server,
        configuration_file="serve.sh",
        open_model=command.open_model,
        # The file says whether anything is asked but what it has itself.
        fit_form=lambda form: form,
        target=command_target,
    ),
)
SERVERS = {kind.name: kind for kind in _KINDS}


def server_kind(name: str) -> ServerKind[Any]:
    """The server called `name`.

    Raises:
        InputError: None is.
    """
    if name not in SERVERS:
        hint = f"a space starts it: `--space {name}`" if name in built_in() else ""
        raise InputError(
            f"`{name}` is no server that can be tuned", hint=hint or did_you_mean(name, SERVERS)
        )
    return SERVERS[name]

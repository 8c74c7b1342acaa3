"""The control plane of a V2 inference server, whichever protocol it is spoken in.

KServe Open Inference Protocol, with Triton's extensions for the model repository, the model
configuration, statistics and shared memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from tuner.errors import InputError, ServerError
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.v2 import DEFAULT, MemoryKind, V2Options
from tuner.records import ServerStatistics

TIMEOUT_HINT = "see in the server's log what it waits for"
CONNECTION_HINT = "check that the server runs and that host and port are right"
TLS_HINT = (
    "check that the server speaks TLS there, and that the CA file holds what its certificate "
    "was signed with"
)


@dataclass(frozen=True)
class ModelMetadata:
    """A model's inputs and outputs; their shapes include the batch dimension, if there is one."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class ModelTraits:
    """What decides how a model is asked; None where the server does not tell.

    `batched`: shapes begin with a batch dimension. `stateful`: requests belong to sequences.
    `decoupled`: a request may have any number of answers. `optional` are the names of the inputs
    that a request may leave out.
    """

    batched: bool | None = None
    stateful: bool | None = None
    decoupled: bool | None = None
    optional: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The traits of a model with `config`, as ModelConfig of Triton's model_config.proto."""
        policy = config.get("model_transaction_policy", {})
        return cls(
            batched=bool(config.get("max_batch_size")),
            stateful="sequence_batching" in config,
            decoupled=bool(policy.get("decoupled")),
            optional=frozenset(
                each["name"] for each in config.get("input", []) if each.get("optional")
            ),
        )


class NotOffered(ServerError):  # noqa: N818 - the name of what was found, as TrialFailure
    """The server answers, but does not have this extension of the protocol."""


class ModelFacts(Protocol):
    """What a server tells of its models; an empty `version` is the one that it chooses.

    Every method raises ServerError, ServerTimeoutError without an answer in time, and those of an
    extension NotOffered where the server lacks it.
    """

    def ready(self, model: str, version: str = "") -> bool:
        """Whether the model can be asked."""

    def metadata(self, model: str, version: str = "") -> ModelMetadata:
        """The model's inputs and outputs."""

    def config(self, model: str, version: str = "") -> Mapping[str, Any]:
        """The effective configuration, as the server has completed it, by the proto's names."""

    def statistics(self, model: str, version: str = "") -> ServerStatistics:
        """The model's counters since the server started."""


class V2Control(ModelFacts, AbstractContextManager["V2Control"], Protocol):
    """A client of the server within a `with` block; may be used from several threads.

    Every method raises as those of ModelFacts do.
    """

    def load(self, model: str, config: str) -> None:
        """Load `model` with `config` (JSON) in place of its file; returns once that is done."""

    def infer(
        self, model: str, inputs: Sequence[Tensor], options: V2Options = DEFAULT
    ) -> tuple[Tensor, ...]:
        """The outputs for `inputs`."""

    def shared_memory(self, kind: MemoryKind) -> frozenset[str]:
        """The names of the regions of shared memory that the server knows."""

    def share_system_memory(self, name: str, *, key: str, byte_size: int) -> None:
        """Let the server use the POSIX shared memory `key`, from its start on, as `name`."""

    def share_cuda_memory(self, name: str, *, handle: bytes, device: int, byte_size: int) -> None:
        """Let the server use the memory behind a cudaIpcMemHandle_t of the GPU as `name`."""

    def forget_memory(self, kind: MemoryKind, name: str) -> None:
        """Undo the sharing; nothing happens if there was none."""


def known_model(
    facts: ModelFacts, model: str, version: str = ""
) -> tuple[ModelMetadata, ModelTraits]:
    """What `model` takes and gives, and its traits: unknown where no configuration is told.

    Raises:
        ServerError: The server does not know the model, or does not do its part.
    """
    metadata, traits = facts.metadata(model, version), ModelTraits()
    with suppress(NotOffered):
        traits = ModelTraits.of(facts.config(model, version))
    inputs = tuple(
        replace(each, optional=each.name in traits.optional) for each in metadata.inputs
    )
    return ModelMetadata(inputs, metadata.outputs), traits


def check_comparable(traits: ModelTraits, model: str) -> None:
    """That answers of `model` can be compared with what is known of its outputs.

    Raises:
        InputError: They cannot.
    """
    if traits.decoupled:
        raise InputError(
            f"the model `{model}` is decoupled: its answers cannot be compared with validation "
            "data",
            hint="leave `validation_data` out",
        )


@contextmanager
def understood(source: str) -> Iterator[None]:
    """What goes wrong while the answer of `source` is read is the server's fault."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ServerError(
            f"the answer of {source} is not what the V2 protocol says: {what}",
            hint="check that a V2 server (Triton, KServe) listens there",
        ) from None


def read_metadata(content: Mapping[str, Any]) -> ModelMetadata:
    """What a metadata answer says; numbers may be text, as protobuf's JSON has them.

    Raises:
        LookupError, TypeError, ValueError: It is no such answer.
    """
    return ModelMetadata(_specs(content["inputs"]), _specs(content["outputs"]))


def read_statistics(content: Mapping[str, Any], version: str = "") -> ServerStatistics:
    """The counters of `version`, or of the newest one, which answers requests that name none.

    Raises:
        LookupError, TypeError, ValueError: It is no statistics answer.
    """
    versions = [each for each in content["model_stats"] if version in ("", str(each["version"]))]
    newest = max(versions, key=lambda each: int(each["version"]), default=None)
    return _statistics(newest) if newest else ServerStatistics()


def _specs(content: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(each["name"], each["datatype"], tuple(int(n) for n in each["shape"]))
        for each in content
    )


_DURATIONS = ("queue", "compute_input", "compute_infer", "compute_output")


def _statistics(content: Mapping[str, Any]) -> ServerStatistics:
    totals = content["inference_stats"]
    seconds = {name: int(totals[name]["ns"]) / 1e9 for name in _DURATIONS}
    return ServerStatistics(
        inferences=int(content["inference_count"]),
        executions=int(content["execution_count"]),
        requests=int(totals["success"]["count"]),
        failures=int(totals["fail"]["count"]),
        queue_s=seconds["queue"],
        compute_input_s=seconds["compute_input"],
        compute_infer_s=seconds["compute_infer"],
        compute_output_s=seconds["compute_output"],
        batches={
            int(each["batch_size"]): int(each["compute_infer"]["count"])
            for each in content.get("batch_stats", [])
        },
        batch_times_s={
            int(each["batch_size"]): int(each["compute_infer"]["ns"]) / 1e9
            for each in content.get("batch_stats", [])
        },
    )

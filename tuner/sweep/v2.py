"""A server that speaks V2 inference: Triton, or any other, over HTTP or gRPC."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from time import sleep
from typing import ClassVar, Self

from tuner.clients.shared_memory import OUTPUT_BYTE_SIZE, SharedMemory
from tuner.clients.v2 import (
    ModelFacts,
    ModelMetadata,
    ModelTraits,
    NotOffered,
    check_comparable,
    known_model,
)
from tuner.clients.v2_address import V2Address
from tuner.errors import InputError, ServerError
from tuner.load.requests import RequestSet, TensorSpec
from tuner.protocols.tensors.input_data import InputData, Step, batches, unbatched
from tuner.protocols.tensors.inputs import InputOptions, read_input_data
from tuner.protocols.v2 import MemoryKind, V2Options
from tuner.protocols.v2_in_process import InProcessWire
from tuner.protocols.v2_wire import SequenceForm, V2Wire, WireStep, check_stateless
from tuner.records import ServerStatistics
from tuner.sweep.service import Service

# Between two readings of the statistics that are to be the same, in seconds,
_SETTLES_S = 0.005
# and after how many they are taken as they are: others may be served, too.
_MOST_READINGS = 20


@dataclass(frozen=True, kw_only=True)
class V2Form:
    """What the requests carry, and how; `shared_memory` is None where tensors travel with them.

    `inputs` are the model's, where its server names none.
    """

    sources: tuple[str, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()
    data: InputOptions = field(default_factory=InputOptions)
    batch: int = 1
    options: V2Options = field(default_factory=V2Options)
    sequences: SequenceForm = field(default_factory=SequenceForm)
    shared_memory: MemoryKind | None = None
    output_byte_size: int = OUTPUT_BYTE_SIZE


class V2Service(Service):
    """The service of `model`, with the requests that `form` describes."""

    # What to do about a model whose requests have any number of answers.
    decoupled_hint: ClassVar[str] = "measure it over gRPC with `--streaming`"

    def __init__(self, address: V2Address, model: str, form: V2Form) -> None:
        self.endpoint = address.endpoint
        self._address = address
        self._model = model
        self._form = form

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._facts = self._opened(stack)
            metadata, traits = _known_model(
                self._facts, self._model, self._form, decoupled_hint=self.decoupled_hint
            )
            data = read_input_data(
                self._form.sources, metadata.inputs, metadata.outputs, self._form.data
            )
            streams = [
                batches(stream, self._form.batch, batched=bool(traits.batched))
                for stream in data.streams
            ]
            if any(step.expected for stream in streams for step in stream):
                self._check_comparable(traits)
            outputs = [spec.name for spec in metadata.outputs]
            self.requests = self._requests(traits, data, self._written(stack, streams, outputs))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _opened(self, stack: ExitStack) -> ModelFacts:
        """Who tells of the model, until `stack` is closed."""
        return stack.enter_context(self._address.control())

    def _wire(self) -> V2Wire | InProcessWire:
        """How requests are written."""
        where = self._address
        return V2Wire(where.endpoint, where.protocol, self._model, self._form.options)

    def statistics(self) -> ServerStatistics | None:
        """Once they stand still: Triton counts a request a moment after it has answered it."""
        try:
            found = self._counted()
            for _ in range(_MOST_READINGS):
                sleep(_SETTLES_S)
                before, found = found, self._counted()
                if found == before:
                    break
        except NotOffered:
            return None
        return found

    def _counted(self) -> ServerStatistics:
        return self._facts.statistics(self._model, self._form.options.version)

    def _check_comparable(self, traits: ModelTraits) -> None:
        check_comparable(traits, self._model)
        if self._form.shared_memory is not None:
            raise InputError(
                "outputs in shared memory cannot be compared with validation data",
                hint="leave `--shared-memory` or `validation_data` out",
            )

    def _written(
        self, stack: ExitStack, streams: Sequence[Sequence[Step]], outputs: Sequence[str]
    ) -> list[list[WireStep]]:
        """The steps with their inputs as they are, or with their places in shared memory."""
        kind = self._form.shared_memory
        if kind is None:
            return [[WireStep(s.inputs, expected=s.expected) for s in each] for each in streams]
        sizes = dict.fromkeys(outputs, self._form.output_byte_size)
        tensors = [step.inputs for stream in streams for step in stream]
        memory = stack.enter_context(SharedMemory(self._address, tensors, sizes, kind=kind))
        placed = (WireStep(inputs, places) for inputs, places in memory.requests)
        return [list(islice(placed, len(stream))) for stream in streams]

    def _requests(
        self, traits: ModelTraits, data: InputData, streams: Sequence[Sequence[WireStep]]
    ) -> RequestSet:
        form, wire = self._form, self._wire()
        if not traits.stateful:
            return wire.request_set(list(chain.from_iterable(streams)), inferences=form.batch)
        sequences = form.sequences if data.generated else form.sequences.to_the_end()
        return wire.sequence_set(streams, sequences, inferences=form.batch, seed=form.data.seed)


def _known_model(
    facts: ModelFacts, model: str, form: V2Form, *, decoupled_hint: str
) -> tuple[ModelMetadata, ModelTraits]:
    """Inputs and outputs without the batch dimension, and what the model is like."""
    version = form.options.version
    _check_ready(facts, model, version)
    metadata, traits = known_model(facts, model, version)
    metadata = _with_inputs(metadata, form.inputs, model)
    if traits.decoupled and not form.options.streaming:
        raise InputError(
            f"the model `{model}` is decoupled: a request has any number of answers",
            hint=decoupled_hint,
        )
    if not traits.stateful:
        whom = f"the model `{model}`, which is not stateful"
        check_stateless(form.sequences, SequenceForm(), whom)
    if not traits.batched:
        return metadata, traits
    return ModelMetadata(unbatched(metadata.inputs), unbatched(metadata.outputs)), traits


def _with_inputs(
    metadata: ModelMetadata, given: tuple[TensorSpec, ...], model: str
) -> ModelMetadata:
    """The metadata with the inputs that a person names where a server does not (MLServer may not).

    Raises:
        InputError: Nobody names them, or both do.
    """
    if metadata.inputs and given:
        raise InputError(
            f"`--input` means nothing to the model `{model}`: the server names its inputs",
            hint="leave it out",
        )
    if not metadata.inputs and not given:
        raise InputError(
            f"the server names no inputs of the model `{model}`",
            hint="name each with its shape, as it is sent: `--input x:FP32:1,128`",
        )
    return replace(metadata, inputs=metadata.inputs or given)


def _check_ready(facts: ModelFacts, model: str, version: str) -> None:
    try:
        ready = facts.ready(model, version)
    except NotOffered as error:
        raise ServerError(
            f"the server does not speak V2: {error}", hint="check `--service-kind`"
        ) from None
    if not ready:
        named = f"version {version} of the model `{model}`" if version else f"the model `{model}`"
        raise ServerError(
            f"the server does not have {named} ready{_reason(facts, model, version)}",
            hint="check the name, and `--service-kind`; Triton lists its models at POST "
            "/v2/repository/index",
        )


def _reason(facts: ModelFacts, model: str, version: str) -> str:
    """What the server has to say of it; whether a model is ready, it answers with a mere no."""
    try:
        facts.metadata(model, version)
    except ServerError as error:
        return f": {' '.join(error.message.split())}"
    return ""

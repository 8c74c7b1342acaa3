"""A server that speaks V2 inference: Triton, or any other, over HTTP or gRPC."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Self

from tuner.clients.shared_memory import OUTPUT_BYTE_SIZE, SharedMemory
from tuner.clients.v2 import ModelMetadata, ModelTraits, NotOffered, V2Control, model_traits
from tuner.clients.v2_address import V2Address
from tuner.errors import InputError, ServerError
from tuner.load.requests import RequestSet, SequenceSet, SequenceStep
from tuner.protocols import v2_grpc, v2_http
from tuner.protocols.checks import OutputsCheck, ResponseReader
from tuner.protocols.tensors.input_data import InputData, Step, batches
from tuner.protocols.tensors.inputs import InputOptions, read_input_data
from tuner.protocols.v2 import Input, MemoryKind, V2Options, V2Protocol
from tuner.records import ServerStatistics
from tuner.sweep.service import Service, unbatched


@dataclass(frozen=True, kw_only=True)
class SequenceForm:
    """Sequences of a stateful model: as SequenceSet, `length` is for generated data."""

    count: int = 4
    length: int = 20
    variation: float = 0.2
    first_id: int = 1
    ids: int = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class V2Form:
    """What the requests carry, and how; `shared_memory` is None where tensors travel with them."""

    sources: tuple[str, ...] = ()
    data: InputOptions = field(default_factory=InputOptions)
    batch: int = 1
    options: V2Options = field(default_factory=V2Options)
    sequences: SequenceForm = field(default_factory=SequenceForm)
    shared_memory: MemoryKind | None = None
    output_byte_size: int = OUTPUT_BYTE_SIZE


class V2Service(Service):
    """The service of `model`, with the requests that `form` describes."""

    def __init__(self, address: V2Address, model: str, form: V2Form) -> None:
        self.endpoint = address.endpoint
        self._address = address
        self._model = model
        self._form = form

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._control = stack.enter_context(self._address.control())
            metadata, traits = _known_model(self._control, self._model, self._form)
            data = read_input_data(
                self._form.sources, metadata.inputs, metadata.outputs, self._form.data
            )
            streams = [
                batches(stream, self._form.batch, batched=bool(traits.batched))
                for stream in data.streams
            ]
            steps = [step for stream in streams for step in stream]
            if any(step.expected for step in steps):
                self._check_comparable(traits)
            inputs = self._inputs(stack, steps, [spec.name for spec in metadata.outputs])
            self.requests = self._request_set(data, traits, streams, inputs)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def statistics(self) -> ServerStatistics | None:
        try:
            return self._control.statistics(self._model, self._form.options.version)
        except NotOffered:
            return None

    def _check_comparable(self, traits: ModelTraits) -> None:
        if traits.decoupled:
            raise InputError(
                f"the model `{self._model}` is decoupled: its answers cannot be compared with "
                "validation data",
                hint="leave `validation_data` out",
            )
        if self._form.shared_memory is not None:
            raise InputError(
                "outputs in shared memory cannot be compared with validation data",
                hint="leave `--shared-memory` or `validation_data` out",
            )

    def _inputs(
        self, stack: ExitStack, steps: Sequence[Step], outputs: Sequence[str]
    ) -> Sequence["_Prepared"]:
        """The inputs of each step: as they are, or their places in shared memory."""
        kind = self._form.shared_memory
        if kind is None:
            return [_Prepared(step.inputs, self._form.options) for step in steps]
        sizes = dict.fromkeys(outputs, self._form.output_byte_size)
        tensors = [step.inputs for step in steps]
        memory = stack.enter_context(SharedMemory(self._address, tensors, sizes, kind=kind))
        return [
            _Prepared(inputs, replace(self._form.options, outputs=outputs))
            for inputs, outputs in memory.requests
        ]

    def _request_set(
        self,
        data: InputData,
        traits: ModelTraits,
        streams: Sequence[Sequence[Step]],
        inputs: Sequence["_Prepared"],
    ) -> RequestSet:
        expected = tuple(step.expected for stream in streams for step in stream)
        grpc = self._address.protocol is V2Protocol.GRPC
        return RequestSet(
            payloads=() if traits.stateful else tuple(map(self._payload, inputs)),
            inferences=self._form.batch,
            call=v2_grpc.call(self._form.options) if grpc else None,
            check=OutputsCheck(self._reader(), expected) if any(expected) else None,
            sequences=self._sequences(data, streams, inputs) if traits.stateful else None,
        )

    def _reader(self) -> ResponseReader:
        if self._address.protocol is V2Protocol.HTTP:
            return v2_http.read_response
        if self._form.options.streaming:
            return v2_grpc.read_streamed_response
        return v2_grpc.read_response

    def _payload(self, prepared: "_Prepared") -> bytes:
        if self._address.protocol is V2Protocol.GRPC:
            return v2_grpc.prepare(self._model, prepared.inputs, prepared.options)
        return v2_http.prepare(self.endpoint, self._model, prepared.inputs, prepared.options)

    def _step(self, prepared: "_Prepared") -> SequenceStep:
        if self._address.protocol is V2Protocol.GRPC:
            return v2_grpc.sequence_step(self._model, prepared.inputs, prepared.options)
        return v2_http.sequence_step(self.endpoint, self._model, prepared.inputs, prepared.options)

    def _sequences(
        self, data: InputData, streams: Sequence[Sequence[Step]], inputs: Sequence["_Prepared"]
    ) -> SequenceSet:
        steps: Iterator[SequenceStep] = map(self._step, inputs)
        form = self._form.sequences if data.generated else replace(self._form.sequences, length=0)
        grpc = self._address.protocol is V2Protocol.GRPC
        return SequenceSet(
            streams=tuple(tuple(islice(steps, len(stream))) for stream in streams),
            encode_id=v2_grpc.encode_id if grpc else v2_http.encode_id,
            seed=self._form.data.seed,
            **asdict(form),
        )


@dataclass(frozen=True)
class _Prepared:
    """The inputs of one request, and how it asks for its outputs."""

    inputs: Sequence[Input]
    options: V2Options


def _known_model(
    control: V2Control, model: str, form: V2Form
) -> tuple[ModelMetadata, ModelTraits]:
    """Inputs and outputs without the batch dimension, and what the model is like."""
    version = form.options.version
    _check_ready(control, model, version)
    metadata = control.metadata(model, version)
    traits = model_traits(control, model, version)
    if traits.decoupled and not form.options.streaming:
        raise InputError(
            f"the model `{model}` is decoupled: a request has any number of answers",
            hint="measure it over gRPC with `--streaming`",
        )
    if not traits.batched:
        return metadata, traits
    return ModelMetadata(unbatched(metadata.inputs), unbatched(metadata.outputs)), traits


def _check_ready(control: V2Control, model: str, version: str) -> None:
    try:
        ready = control.ready(model, version)
    except NotOffered as error:
        raise ServerError(
            f"the server does not speak V2: {error}", hint="check `--service-kind`"
        ) from None
    if not ready:
        named = f"version {version} of the model `{model}`" if version else f"the model `{model}`"
        raise ServerError(
            f"the server does not have {named} ready{_reason(control, model, version)}",
            hint="check the name, and `--service-kind`; Triton lists its models at POST "
            "/v2/repository/index",
        )


def _reason(control: V2Control, model: str, version: str) -> str:
    """What the server has to say of it; whether a model is ready, it answers with a mere no."""
    try:
        control.metadata(model, version)
    except ServerError as error:
        return f": {' '.join(error.message.split())}"
    return ""

"""Requests of one model in V2 inference, wire-ready, whichever protocol carries them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from tuner.errors import InputError
from tuner.load.profile import Endpoint
from tuner.load.requests import GrpcCall, RequestSet, SequenceSet, SequenceStep, Tensor
from tuner.protocols import v2, v2_grpc, v2_http
from tuner.protocols.checks import OutputsCheck, ResponseReader
from tuner.protocols.v2 import SharedTensor, V2Options, V2Protocol


@dataclass(frozen=True, kw_only=True)
class SequenceForm:
    """Sequences of a stateful model: as SequenceSet, `length` is for generated data."""

    count: int = 4
    length: int = 20
    variation: float = 0.2
    first_id: int = 1
    ids: int = 2**32 - 1

    def to_the_end(self) -> "SequenceForm":
        """Of data that a person gave: each stream is played to its end."""
        return replace(self, length=0)


# What says the fields of a SequenceForm.
_OPTIONS = {
    "count": "--num-of-sequences",
    "length": "--sequence-length",
    "variation": "--sequence-length-variation",
    "first_id": "--sequence-id-range",
    "ids": "--sequence-id-range",
}


def check_stateless(form: SequenceForm, usual: SequenceForm, whom: str) -> None:
    """That nothing is said of sequences to one who has none, such as "the model `m`, which ...".

    Raises:
        InputError: `form` is not as `usual`.
    """
    for name, option in _OPTIONS.items():
        if getattr(form, name) != getattr(usual, name):
            raise InputError(f"`{option}` means nothing to {whom}", hint="leave it out")


@dataclass(frozen=True)
class WireStep:
    """The inputs of one request, where its outputs go, and those that are known of it."""

    inputs: Sequence[v2.Input]
    outputs: tuple[str | SharedTensor, ...] = ()
    expected: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class V2Wire:
    """Writes requests to `model` for the server at `endpoint`, with these options."""

    endpoint: Endpoint
    protocol: V2Protocol
    model: str
    options: V2Options = v2.DEFAULT

    def request_set(self, steps: Sequence[WireStep], *, inferences: int) -> RequestSet:
        """Requests that are sent in turn, each step being one.

        Raises:
            InputError: Known outputs do not fit their shapes.
        """
        return RequestSet(
            payloads=tuple(map(self.payload, steps)),
            inferences=inferences,
            call=self._call,
            check=self._check(steps),
        )

    def sequence_set(
        self,
        streams: Sequence[Sequence[WireStep]],
        form: SequenceForm,
        *,
        inferences: int,
        seed: int,
    ) -> RequestSet:
        """Sequences that play the streams.

        Raises:
            InputError: Known outputs do not fit their shapes.
        """
        return RequestSet(
            payloads=(),
            inferences=inferences,
            call=self._call,
            check=self._check([step for stream in streams for step in stream]),
            sequences=SequenceSet(
                streams=tuple(tuple(map(self._step, stream)) for stream in streams),
                encode_id=self._encode_id,
                seed=seed,
                **asdict(form),
            ),
        )

    def payload(self, step: WireStep) -> bytes:
        """One request."""
        options = self._options(step)
        if self._grpc:
            return v2_grpc.prepare(self.model, step.inputs, options)
        return v2_http.prepare(self.endpoint, self.model, step.inputs, options)

    def _step(self, step: WireStep) -> SequenceStep:
        options = self._options(step)
        if self._grpc:
            return v2_grpc.sequence_step(self.model, step.inputs, options)
        return v2_http.sequence_step(self.endpoint, self.model, step.inputs, options)

    def _options(self, step: WireStep) -> V2Options:
        return replace(self.options, outputs=step.outputs) if step.outputs else self.options

    @property
    def _grpc(self) -> bool:
        return self.protocol is V2Protocol.GRPC

    @property
    def _call(self) -> GrpcCall | None:
        return v2_grpc.call(self.options) if self._grpc else None

    @property
    def _encode_id(self) -> Callable[[int], bytes]:
        return v2_grpc.encode_id if self._grpc else v2_http.encode_id

    @property
    def _reader(self) -> ResponseReader:
        if not self._grpc:
            return v2_http.read_response
        if self.options.streaming:
            return v2_grpc.read_streamed_response
        return v2_grpc.read_response

    def _check(self, steps: Sequence[WireStep]) -> OutputsCheck | None:
        return outputs_check(self._reader, steps)


def outputs_check(reader: ResponseReader, steps: Sequence[WireStep]) -> OutputsCheck | None:
    """Compares outputs with what is known of them; None where nothing is.

    Raises:
        InputError: Known outputs do not fit their shapes.
    """
    expected = tuple(step.expected for step in steps)
    return OutputsCheck(reader, expected) if any(expected) else None

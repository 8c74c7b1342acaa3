"""V2 inference over gRPC: unary (ModelInfer), and on a stream (ModelStreamInfer).

KServe Open Inference Protocol, "GRPC"; field numbers are those of Triton's grpc_service.proto.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tuner.errors import InputError
from tuner.load.requests import GrpcCall, SequenceStep, Tensor
from tuner.protocols import protobuf, v2
from tuner.protocols.protobuf import Message
from tuner.protocols.tensors.values import from_field
from tuner.protocols.v2 import SharedTensor, V2Options

_SERVICE = "/inference.GRPCInferenceService"
_INT64 = range(-(2**63), 2**63)

# Triton's decoupled models: asks for a last message that is marked, even if it carries nothing.
_ASKS_FOR_LAST = "triton_enable_empty_final_response"
_IS_LAST = "triton_final_response"

# InferTensorContents: the field that has the values of a datatype.
_CONTENTS = {
    "BOOL": 1,
    "INT8": 2,
    "INT16": 2,
    "INT32": 2,
    "INT64": 3,
    "UINT8": 4,
    "UINT16": 4,
    "UINT32": 4,
    "UINT64": 5,
    "FP32": 6,
    "FP64": 7,
    "BYTES": 8,
}

# The parameter up to its value, which `encode_id` gives a fixed width.
_ANY_ID = protobuf.padded_varint(0)
_BEFORE_ID = protobuf.map_entry(4, v2.SEQUENCE_ID, protobuf.tag(2) + _ANY_ID)[: -len(_ANY_ID)]


def call(options: V2Options = v2.DEFAULT) -> GrpcCall:
    """The method that the messages of `prepare` and `sequence_step` are for."""
    metadata = {name.lower(): value for name, value in options.headers.items()}
    if options.streaming:
        return GrpcCall(f"{_SERVICE}/ModelStreamInfer", metadata, StreamedResponse())
    return GrpcCall(f"{_SERVICE}/ModelInfer", metadata)


def prepare(model: str, inputs: Sequence[v2.Input], options: V2Options = v2.DEFAULT) -> bytes:
    """The ModelInferRequest, with the tensors as raw contents.

    Raises:
        InputError: An option is none of gRPC, or a parameter is out of range.
    """
    if options.json_inputs or options.json_outputs or options.compression:
        raise InputError(
            "tensors in JSON, and compressed requests, are forms of V2 inference over HTTP",
            hint="choose HTTP, or leave them out",
        )
    asked = {_ASKS_FOR_LAST: True} if options.streaming else {}
    fields = [
        protobuf.delimited(1, model),
        protobuf.delimited(2, options.version),
        *_parameters(4, {**options.parameters, **asked}),
        *(protobuf.delimited(5, _input(each)) for each in inputs),
        *(protobuf.delimited(6, _output(each)) for each in options.outputs),
    ]
    for each in inputs:
        if isinstance(each, Tensor):
            fields += (protobuf.delimited_head(7, len(each.data)), each.data)
    return b"".join(fields)


def sequence_step(
    model: str, inputs: Sequence[v2.Input], options: V2Options = v2.DEFAULT
) -> SequenceStep:
    """The request as a step of a sequence, its correlation id left open for `encode_id`.

    Raises:
        InputError: An option is none of gRPC, or a parameter is out of range.
    """

    def halves(first_and_last: tuple[bool, bool]) -> tuple[bytes, bytes]:
        first, last = first_and_last
        flags = {v2.SEQUENCE_START: first, v2.SEQUENCE_END: last}
        parameters = {**options.parameters, **flags}
        request = prepare(model, inputs, replace(options, parameters=parameters))
        # Fields may come in any order: the id is the last thing of the message.
        return request + _BEFORE_ID, b""

    return SequenceStep.of(halves)


def encode_id(correlation_id: int) -> bytes:
    """A correlation id as `sequence_step` has room for it."""
    return protobuf.padded_varint(correlation_id)


@dataclass(frozen=True)
class StreamedResponse:
    """Implements StreamRule: where the responses to one request on a stream end.

    Triton marks the last response; a server that marks none gives one response to a request. After
    an error that is not the last, more will come: the stream is of no use to other requests.
    """

    def ends(self, message: bytes) -> str | None:
        try:
            streamed = Message(message)
            if streamed.content(1):
                return "stream_error"
            mark = streamed.message(2).entries(4).get(_IS_LAST)
            is_last = mark is None or bool(Message(mark).integer(1))
        except ValueError:
            return "bad_response"
        return "" if is_last else None


def read_response(head: bytes, body: bytes) -> tuple[Tensor, ...]:
    """The output tensors of a ModelInferResponse, in the server's order; `head` says nothing.

    Those in shared memory, of which a response has no data, are not among them.

    Raises:
        ValueError: The body is not what the protocol says.
    """
    del head
    return _read_outputs(Message(body))


def read_streamed_response(head: bytes, body: bytes) -> tuple[Tensor, ...]:
    """As `read_response`, of a ModelStreamInferResponse.

    Raises:
        ValueError: The body is not what the protocol says.
    """
    del head
    return _read_outputs(Message(body).message(2))


def read_stream_error(body: bytes) -> str:
    """What a ModelStreamInferResponse says is wrong; empty if it says nothing.

    Raises:
        ValueError: The body is not what the protocol says.
    """
    return bytes(Message(body).content(1)).decode(errors="replace")


def _read_outputs(response: Message) -> tuple[Tensor, ...]:
    described = list(response.messages(5))
    # Either raw contents of all outputs, or typed ones in each.
    contents: Sequence[memoryview | None] = response.contents(6) or [None] * len(described)
    if len(contents) != len(described):
        raise ValueError(f"{len(described)} outputs came with {len(contents)} contents")
    outputs = map(_read_output, described, contents)
    # Of an output in shared memory there are no bytes, though it has elements.
    return tuple(each for each in outputs if each.data or 0 in each.shape)


def _read_output(output: Message, content: memoryview | None) -> Tensor:
    """An InferOutputTensor with its raw content, or else with its InferTensorContents."""
    name, datatype, shape = output.text(1), output.text(2), tuple(output.integers(3))
    if content is not None:
        return Tensor(name, datatype, shape, bytes(content))
    if datatype not in _CONTENTS:
        raise ValueError(f"output `{name}` of type `{datatype}` has no raw content")
    return from_field(name, datatype, shape, output.message(5), _CONTENTS[datatype])


def _input(tensor: v2.Input) -> bytes:
    """An InferInputTensor."""
    parameters = tensor.parameters if isinstance(tensor, SharedTensor) else {}
    shape = b"".join(map(protobuf.varint, tensor.shape))
    return b"".join(
        (
            protobuf.delimited(1, tensor.name),
            protobuf.delimited(2, tensor.datatype),
            protobuf.delimited(3, shape),
            *_parameters(4, parameters),
        )
    )


def _output(output: str | SharedTensor) -> bytes:
    """An InferRequestedOutputTensor."""
    if isinstance(output, str):
        return protobuf.delimited(1, output)
    return protobuf.delimited(1, output.name) + b"".join(_parameters(2, output.parameters))


def _parameters(number: int, parameters: Mapping[str, v2.RequestParameter]) -> Iterator[bytes]:
    """The entries of a map of InferParameters."""
    for name, value in parameters.items():
        yield protobuf.map_entry(number, name, _parameter(name, value))


def _parameter(name: str, value: v2.RequestParameter) -> bytes:
    if isinstance(value, str):
        return protobuf.delimited(3, value)
    if isinstance(value, bool):
        return protobuf.integer(1, value)
    if isinstance(value, float):
        return protobuf.double(4, value)
    if value not in _INT64:
        raise InputError(
            f"the request parameter `{name}` is {value}, which has more than 64 bits",
            hint="send it as a string, or as a float",
        )
    return protobuf.integer(2, value)

"""TensorFlow Serving: its Predict method over REST and gRPC.

Sources: TensorFlow Serving's manual, "RESTful API"; the field numbers of
tensorflow_serving/apis/{predict,model}.proto and tensorflow/core/framework/{tensor,types}.proto.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tuner.errors import InputError
from tuner.load.profile import Endpoint
from tuner.load.requests import GrpcCall, RequestSet, Tensor, TensorSpec
from tuner.protocols import generic_http, protobuf
from tuner.protocols.checks import OutputsCheck, ResponseReader
from tuner.protocols.content import decoded
from tuner.protocols.protobuf import Message
from tuner.protocols.tensors.datatypes import unpack_strings
from tuner.protocols.tensors.input_data import Step
from tuner.protocols.tensors.values import from_field, from_values, to_array

_PREDICT = "/tensorflow.serving.PredictionService/Predict"

# By the names of the V2 protocol: a type's number (types.proto), and the field that has its values
# if `tensor_content` is empty (tensor.proto).
_TYPES = {
    "FP32": (1, 5),
    "FP64": (2, 6),
    "INT32": (3, 7),
    "UINT8": (4, 7),
    "INT16": (5, 7),
    "INT8": (6, 7),
    "BYTES": (7, 8),
    "INT64": (9, 10),
    "BOOL": (10, 11),
    "BF16": (14, 13),
    "UINT16": (17, 7),
    "FP16": (19, 13),
    "UINT32": (22, 16),
    "UINT64": (23, 17),
}
_DATATYPES = {number: datatype for datatype, (number, _) in _TYPES.items()}
# "JSON mapping" of the manual: types not listed there are unsupported.
_NOT_IN_JSON = ("FP16", "BF16", "UINT16")


@dataclass(frozen=True, kw_only=True)
class TensorFlowOptions:
    """How a prediction is asked for; `headers` are custom ones (metadata over gRPC).

    Without a `signature`, the model's default serves. `outputs`, all of them if there are none,
    can be chosen over gRPC only; `by_row`, one JSON object for each row of a batch, is a form of
    REST only.
    """

    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    signature: str = ""
    outputs: tuple[str, ...] = ()
    by_row: bool = False


_DEFAULT = TensorFlowOptions()


def model_path(model: str, version: str = "") -> str:
    """The path of a model, of its newest version by default."""
    path = f"/v1/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def prepare_rest(
    endpoint: Endpoint, model: str, inputs: Sequence[Tensor], options: TensorFlowOptions = _DEFAULT
) -> bytes:
    """The wire-ready request.

    Raises:
        InputError: An option is none of REST, or the inputs cannot be sent in its JSON.
    """
    if options.outputs:
        raise InputError(
            "outputs cannot be chosen over TensorFlow Serving's REST API",
            hint="choose gRPC, or leave them out",
        )
    path = model_path(model, options.version) + ":predict"
    headers = generic_http.with_defaults(options.headers, {"Content-Type": "application/json"})
    body = rest_body(inputs, options)
    return generic_http.prepare(endpoint, path, headers=headers, body=body)


def rest_body(inputs: Sequence[Tensor], options: TensorFlowOptions = _DEFAULT) -> bytes:
    """The JSON of a request.

    Raises:
        InputError: The inputs cannot be sent in JSON, or not by row.
    """
    columns = {each.name: _json_values(each) for each in inputs}
    signature = {"signature_name": options.signature} if options.signature else {}
    tensors = {"instances": _rows(inputs, columns)} if options.by_row else {"inputs": columns}
    content = json.dumps({**signature, **tensors}, separators=(",", ":"), default=_json_bytes)
    return content.encode()


def prepare_grpc(
    model: str, inputs: Sequence[Tensor], options: TensorFlowOptions = _DEFAULT
) -> bytes:
    """The PredictRequest.

    Raises:
        InputError: An option is none of gRPC, or the version is not a number.
    """
    if options.by_row:
        raise InputError(
            "rows are a form of TensorFlow Serving's REST API", hint="choose it, or leave them out"
        )
    return b"".join(
        (
            protobuf.delimited(1, model_spec(model, options)),
            *(protobuf.map_entry(2, each.name, _tensor_proto(each)) for each in inputs),
            *(protobuf.delimited(3, name) for name in options.outputs),
        )
    )


def grpc_call(options: TensorFlowOptions = _DEFAULT) -> GrpcCall:
    """The method that the messages of `prepare_grpc` are for."""
    return GrpcCall(_PREDICT, {name.lower(): text for name, text in options.headers.items()})


@dataclass(frozen=True)
class RestReader:
    """Reads `outputs` of REST responses, which do not say names and datatypes themselves."""

    outputs: tuple[TensorSpec, ...]

    def __call__(self, head: bytes, body: bytes) -> tuple[Tensor, ...]:
        """The outputs of a whole response.

        Raises:
            ValueError: The body is not what the protocol says.
        """
        content = decoded(head, body)
        try:
            response = json.loads(content, object_hook=_read_json_bytes)
            return tuple(
                from_values(spec.name, spec.datatype, _column(response, spec.name))
                for spec in self.outputs
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a TensorFlow Serving response: {error!r}") from None


def read_grpc_response(head: bytes, body: bytes) -> tuple[Tensor, ...]:
    """The outputs of a PredictResponse; `head` says nothing.

    Raises:
        ValueError: The body is no such message, or an output has an unknown type.
    """
    del head
    outputs = Message(body).entries(1)
    return tuple(_read_tensor_proto(name, Message(each)) for name, each in outputs.items())


def datatype_named(name: str) -> str:
    """The V2 datatype of `DT_FLOAT` and the like.

    Raises:
        ValueError: There is none.
    """
    names = {"FLOAT": "FP32", "DOUBLE": "FP64", "HALF": "FP16", "BFLOAT16": "BF16"}
    short = name.removeprefix("DT_")
    datatype = names.get(short, "BYTES" if short == "STRING" else short)
    if datatype not in _TYPES:
        raise ValueError(f"the type `{name}` is not supported")
    return datatype


def datatype_numbered(number: int) -> str:
    """The V2 datatype of a number of types.proto.

    Raises:
        ValueError: There is none.
    """
    if number not in _DATATYPES:
        raise ValueError(f"the type {number} is not supported")
    return _DATATYPES[number]


def _json_values(tensor: Tensor) -> Any:
    if tensor.datatype in _NOT_IN_JSON:
        raise InputError(
            f"input `{tensor.name}` has the type {tensor.datatype}, which TensorFlow Serving does "
            "not take in JSON",
            hint="choose gRPC",
        )
    return to_array(tensor).tolist()


def _json_bytes(value: bytes) -> dict[str, str]:
    """What the manual calls "encoding binary values"."""
    return {"b64": b64encode(value).decode()}


def _read_json_bytes(value: dict[str, Any]) -> dict[str, Any] | bytes:
    return b64decode(value["b64"]) if value.keys() == {"b64"} else value


def _rows(inputs: Sequence[Tensor], columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    lengths = {tensor.shape[0] if tensor.shape else 0 for tensor in inputs}
    if len(lengths) > 1 or 0 in lengths:
        raise InputError(
            "inputs can only be sent by row if all have the same first dimension, but got "
            + ", ".join(f"`{each.name}` {list(each.shape)}" for each in inputs),
            hint="send them by column",
        )
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _column(response: Any, name: str) -> Any:
    """The values of an output: under its name, or alone if it is the model's only one."""
    if "outputs" in response:
        outputs = response["outputs"]
        return outputs[name] if isinstance(outputs, dict) else outputs
    rows = response["predictions"]
    return [row[name] if isinstance(row, dict) else row for row in rows]


def model_spec(model: str, options: TensorFlowOptions) -> bytes:
    """A ModelSpec; its version is a message (google.protobuf.Int64Value).

    Raises:
        InputError: The version is not a number.
    """
    spec = protobuf.delimited(1, model)
    if options.version:
        if not options.version.isdecimal():
            raise InputError(
                f"TensorFlow Serving has no version `{options.version}`",
                hint="versions are numbers, such as 3",
            )
        spec += protobuf.delimited(2, protobuf.integer(1, int(options.version)))
    return spec + protobuf.delimited(3, options.signature)


def _tensor_proto(tensor: Tensor) -> bytes:
    sizes = (protobuf.integer(1, size) for size in tensor.shape)
    shape = b"".join(protobuf.delimited(2, size) for size in sizes)
    number, value_field = _TYPES[tensor.datatype]
    head = protobuf.integer(1, number) + protobuf.delimited(2, shape)
    if tensor.datatype != "BYTES":
        return head + protobuf.delimited(4, tensor.data)
    strings = unpack_strings(tensor.data)
    return head + b"".join(protobuf.delimited(value_field, each) for each in strings)


def _read_tensor_proto(name: str, tensor: Message) -> Tensor:
    dtype = tensor.integer(1)
    if dtype not in _DATATYPES:
        raise ValueError(f"output `{name}` has the unknown type {dtype}")
    datatype = _DATATYPES[dtype]
    shape = tuple(dimension.integer(1) for dimension in tensor.message(2).messages(2))
    if content := tensor.content(4):
        return Tensor(name, datatype, shape, bytes(content))
    return from_field(name, datatype, shape, tensor, _TYPES[datatype][1])


@dataclass(frozen=True)
class TensorFlowWire:
    """Writes requests to `model` for the server at `endpoint`, over gRPC or REST.

    `outputs` are all of the model's, with their batch dimension.
    """

    endpoint: Endpoint
    model: str
    outputs: tuple[TensorSpec, ...]
    options: TensorFlowOptions = _DEFAULT
    grpc: bool = False

    def request_set(self, steps: Sequence[Step], *, inferences: int) -> RequestSet:
        """Requests that are sent in turn, each step being one.

        Raises:
            InputError: Data cannot be sent so, or known outputs do not fit their shapes.
        """
        expected = tuple(step.expected for step in steps)
        reader: ResponseReader = read_grpc_response if self.grpc else RestReader(self.outputs)
        return RequestSet(
            tuple(self._payload(step.inputs) for step in steps),
            inferences=inferences,
            call=grpc_call(self.options) if self.grpc else None,
            check=OutputsCheck(reader, expected) if any(expected) else None,
        )

    def _payload(self, inputs: Sequence[Tensor]) -> bytes:
        if self.grpc:
            return prepare_grpc(self.model, inputs, self.options)
        return prepare_rest(self.endpoint, self.model, inputs, self.options)

"""V2 inference over HTTP, with tensors in binary form or in JSON.

KServe Open Inference Protocol, "HTTP/REST", and Triton's "Binary Tensor Data Extension".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tuner.errors import InputError
from tuner.load.profile import Endpoint
from tuner.load.requests import SequenceStep, Tensor
from tuner.protocols import generic_http, v2
from tuner.protocols.content import compressed, decoded, header
from tuner.protocols.tensors.values import from_values, to_array
from tuner.protocols.v2 import SharedTensor, V2Options

# What may stand in a part of a path beside letters, digits and `-._~`.
_PCHAR = "!$&'()*+,;=:@"
_JSON_LENGTH = "Inference-Header-Content-Length"

# The place of a correlation id: blanks before a number are nothing to JSON. 20 digits are 64 bits.
_ID_WIDTH = 20
_BEFORE_ID = b'{"parameters":{"%s":' % v2.SEQUENCE_ID.encode()
_ANY_ID = 10 ** (_ID_WIDTH - 1)


def segment(text: str) -> str:
    """A name as a part of a path, with no more encoded than must be (RFC 3986, `pchar`).

    Triton takes parts of a path as they come: to it, `%2B` is none of `+`.
    """
    return quote(text, safe=_PCHAR)


def model_path(model: str, version: str = "") -> str:
    """The path of a model, of the version that the server chooses by default."""
    path = f"/v2/models/{segment(model)}"
    return f"{path}/versions/{segment(version)}" if version else path


def infer_path(model: str, version: str = "") -> str:
    """Where inference is asked for."""
    return f"{model_path(model, version)}/infer"


def infer_body(
    inputs: Sequence[v2.Input], options: V2Options = v2.DEFAULT
) -> tuple[dict[str, str], bytes]:
    """Headers and body of an inference request.

    Raises:
        InputError: An option is none of HTTP, or a tensor cannot be sent in JSON.
    """
    if options.streaming:
        raise InputError(
            "streaming is a form of V2 inference over gRPC", hint="choose gRPC, or leave it out"
        )
    request: dict[str, object] = {
        "parameters": dict(options.parameters),
        "inputs": [_input(each, options) for each in inputs],
        "outputs": [_output(each, options) for each in options.outputs],
    }
    if not options.outputs and not options.json_outputs:
        request["parameters"] = {**options.parameters, "binary_data_output": True}
    filled = {key: value for key, value in request.items() if value or key == "inputs"}
    described = json.dumps(filled, separators=(",", ":")).encode()
    if options.json_inputs:
        headers, body = {"Content-Type": "application/json"}, described
    else:
        # The length of the JSON before it is compressed, if it is.
        headers = {"Content-Type": "application/octet-stream", _JSON_LENGTH: str(len(described))}
        body = described + b"".join(each.data for each in inputs if isinstance(each, Tensor))
    if options.compression:
        headers["Content-Encoding"] = options.compression
    return generic_http.with_defaults(options.headers, headers), compressed(
        body, options.compression
    )


def prepare(
    endpoint: Endpoint, model: str, inputs: Sequence[v2.Input], options: V2Options = v2.DEFAULT
) -> bytes:
    """The wire-ready inference request.

    Raises:
        InputError: An option cannot be sent, or a tensor cannot be sent in JSON.
    """
    headers, body = infer_body(inputs, options)
    path = infer_path(model, options.version)
    return generic_http.prepare(endpoint, path, headers=headers, body=body)


def sequence_step(
    endpoint: Endpoint, model: str, inputs: Sequence[v2.Input], options: V2Options = v2.DEFAULT
) -> SequenceStep:
    """The request as a step of a sequence, its correlation id left open for `encode_id`.

    Raises:
        InputError: An option cannot be sent, or a tensor cannot be sent in JSON.
    """
    if options.compression:
        raise InputError(
            "requests of a sequence cannot be compressed: each has its own correlation id",
            hint="leave the compression out",
        )

    def halves(first_and_last: tuple[bool, bool]) -> tuple[bytes, bytes]:
        first, last = first_and_last
        flags = {v2.SEQUENCE_ID: _ANY_ID, v2.SEQUENCE_START: first, v2.SEQUENCE_END: last}
        # The id goes first, wherever the request's own parameters have theirs.
        parameters = {v2.SEQUENCE_ID: _ANY_ID, **options.parameters, **flags}
        request = prepare(endpoint, model, inputs, replace(options, parameters=parameters))
        at = request.index(b"\r\n\r\n") + 4 + len(_BEFORE_ID)
        return request[:at], request[at + _ID_WIDTH :]

    return SequenceStep.of(halves)


def encode_id(correlation_id: int) -> bytes:
    """A correlation id as `sequence_step` has room for it."""
    return b"%*d" % (_ID_WIDTH, correlation_id)


def read_response(head: bytes, body: bytes) -> tuple[Tensor, ...]:
    """The output tensors of a whole response, as `read_outputs` says.

    Raises:
        ValueError: The body is not what the protocol says.
    """
    content = decoded(head, body)
    return read_outputs({_JSON_LENGTH: header(head, _JSON_LENGTH) or str(len(content))}, content)


def read_outputs(headers: Mapping[str, str], body: bytes) -> tuple[Tensor, ...]:
    """The output tensors of an inference response, in the server's order.

    Those in shared memory, of which a response has no data, are not among them.

    Raises:
        ValueError: The body is not what the protocol says.
    """
    length = int(headers.get(_JSON_LENGTH, len(body)))
    # Triton writes BYTES into JSON as they are, UTF-8 or not.
    described = json.loads(body[:length].decode("utf-8", "surrogateescape"))
    outputs, at = [], length
    try:
        for output in described["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            end = at + int(size or 0)
            if size is not None or "data" in output:
                outputs.append(_read_output(output, body[at:end]))
            at = end
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a V2 inference response: {error!r}") from None
    if at != len(body):
        raise ValueError(f"outputs of {at} bytes were announced, but {len(body)} came")
    return tuple(outputs)


def _read_output(output: Mapping[str, Any], data: bytes) -> Tensor:
    name, datatype = output["name"], output["datatype"]
    shape = tuple(int(dimension) for dimension in output["shape"])
    if "data" in output:
        return from_values(name, datatype, output["data"], shape)
    return Tensor(name, datatype, shape, data)


def _input(tensor: v2.Input, options: V2Options) -> dict[str, object]:
    described: dict[str, object] = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "datatype": tensor.datatype,
    }
    if isinstance(tensor, SharedTensor):
        return described | {"parameters": tensor.parameters}
    if options.json_inputs:
        return described | {"data": _json_values(tensor)}
    return described | {"parameters": {"binary_data_size": len(tensor.data)}}


def _output(output: str | SharedTensor, options: V2Options) -> dict[str, object]:
    if isinstance(output, SharedTensor):
        return {"name": output.name, "parameters": output.parameters}
    # To an output that is asked for by name, `binary_data_output` of the request means nothing.
    form = {} if options.json_outputs else {"parameters": {"binary_data": True}}
    return {"name": output, **form}


def _json_values(tensor: Tensor) -> list[Any]:
    """The elements, flat; NaN and infinity as Python writes them, which Triton reads."""
    if tensor.datatype in ("FP16", "BF16"):
        raise InputError(
            f"input `{tensor.name}` has the type {tensor.datatype}, which the V2 protocol does "
            "not send in JSON",
            hint="send it in binary form",
        )
    values: list[Any] = to_array(tensor).ravel().tolist()
    if tensor.datatype != "BYTES":
        return values
    try:
        return [each.decode() for each in values]
    except UnicodeDecodeError:
        raise InputError(
            f"input `{tensor.name}` holds bytes that are not UTF-8, which JSON cannot carry",
            hint="send it in binary form",
        ) from None

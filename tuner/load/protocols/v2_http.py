"""V2 inference over HTTP with binary tensors.

KServe Open Inference Protocol, "HTTP/REST", and Triton's "Binary Tensor Data Extension".
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tuner.load.profile import Endpoint
from tuner.load.protocols.http1 import request_bytes
from tuner.load.requests import Tensor

_JSON_LENGTH = "Inference-Header-Content-Length"


def infer_path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}/infer"


def infer_body(inputs: Sequence[Tensor]) -> tuple[dict[str, str], bytes]:
    """Headers and body of an inference request that asks for binary outputs."""
    request = {
        "inputs": [
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                "datatype": tensor.datatype,
                "parameters": {"binary_data_size": len(tensor.data)},
            }
            for tensor in inputs
        ],
        "parameters": {"binary_data_output": True},
    }
    header = json.dumps(request, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/octet-stream", _JSON_LENGTH: str(len(header))}
    return headers, header + b"".join(tensor.data for tensor in inputs)


def prepare(endpoint: Endpoint, model: str, inputs: Sequence[Tensor]) -> bytes:
    """The wire-ready inference request."""
    headers, body = infer_body(inputs)
    host = f"{endpoint.host}:{endpoint.port}"
    return request_bytes(infer_path(model), host=host, headers=headers, body=body)


def read_outputs(headers: Mapping[str, str], body: bytes) -> tuple[Tensor, ...]:
    """The output tensors of an inference response, in the server's order.

    Raises:
        ValueError: The body is not what the protocol says, or an output is not binary.
    """
    length = int(headers.get(_JSON_LENGTH, len(body)))
    try:
        described = [_described(output) for output in json.loads(body[:length])["outputs"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a V2 inference response: {error!r}") from None
    outputs, at = [], length
    for name, datatype, shape, size in described:
        outputs.append(Tensor(name, datatype, shape, body[at : at + size]))
        at += size
    if at != len(body):
        raise ValueError(f"outputs of {at} bytes were announced, but {len(body)} came")
    return tuple(outputs)


def _described(output: Mapping[str, Any]) -> tuple[str, str, tuple[int, ...], int]:
    """Name, datatype, shape and binary size of one output."""
    size = output.get("parameters", {}).get("binary_data_size")
    if size is None:
        raise ValueError(f"output `{output['name']}` is not in binary form")
    shape = tuple(int(dimension) for dimension in output["shape"])
    return output["name"], output["datatype"], shape, int(size)

"""TorchServe's inference API: a body of any form to a model, over HTTP or gRPC.

Sources: TorchServe's manual, "Inference API" (`/predictions/{model}/{version}`), and the field
numbers of frontend/server/src/main/resources/proto/inference.proto.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from tuner.load.profile import Endpoint
from tuner.load.requests import GrpcCall
from tuner.protocols import generic_http, protobuf

_PREDICTIONS = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
# Handlers look for `data`, or else for `body` (BaseHandler.preprocess).
_INPUT = "data"


@dataclass(frozen=True, kw_only=True)
class TorchServeOptions:
    """How a prediction is asked for; `headers` are custom ones (metadata over gRPC).

    Over HTTP, a body of the type `application/json` reaches the handler as an object, others as
    bytes.
    """

    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/octet-stream"


_DEFAULT = TorchServeOptions()


def prepare_http(
    endpoint: Endpoint, model: str, body: bytes, options: TorchServeOptions = _DEFAULT
) -> bytes:
    """The wire-ready request.

    Raises:
        InputError: A header cannot be sent.
    """
    parts = (model, options.version) if options.version else (model,)
    path = "/predictions/" + "/".join(quote(part, safe="") for part in parts)
    headers = {"Content-Type": options.content_type}
    headers = generic_http.with_defaults(options.headers, headers)
    return generic_http.prepare(endpoint, path, headers=headers, body=body)


def prepare_grpc(model: str, body: bytes, options: TorchServeOptions = _DEFAULT) -> bytes:
    """The PredictionsRequest."""
    return b"".join(
        (
            protobuf.delimited(1, model),
            protobuf.delimited(2, options.version),
            protobuf.map_entry(3, _INPUT, body),
        )
    )


def grpc_call(options: TorchServeOptions = _DEFAULT) -> GrpcCall:
    """The method that the messages of `prepare_grpc` are for."""
    return GrpcCall(_PREDICTIONS, {name.lower(): text for name, text in options.headers.items()})

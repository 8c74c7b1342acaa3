"""A TorchServe that already runs: its inference API, over HTTP or gRPC."""

from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet
from tuner.protocols import torchserve
from tuner.protocols.torchserve import TorchServeOptions
from tuner.sweep.service import PlainService


def torchserve_service(
    endpoint: Endpoint,
    model: str,
    bodies: tuple[bytes, ...],
    options: TorchServeOptions,
    *,
    grpc: bool,
) -> PlainService:
    """The server at `endpoint`, asked for predictions on each of `bodies` in turn.

    Raises:
        InputError: The requests cannot be sent as they are.
    """
    if grpc:
        messages = tuple(torchserve.prepare_grpc(model, body, options) for body in bodies)
        return PlainService(endpoint, RequestSet(messages, call=torchserve.grpc_call(options)))
    payloads = tuple(torchserve.prepare_http(endpoint, model, body, options) for body in bodies)
    return PlainService(endpoint, RequestSet(payloads))

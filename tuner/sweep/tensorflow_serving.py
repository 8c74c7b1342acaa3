"""A TensorFlow Serving that already runs, over REST or gRPC."""

from dataclasses import dataclass, field

import httpx

from tuner.clients import tensorflow_signature
from tuner.clients.tensorflow_signature import DEFAULT_SIGNATURE, Signature, understood
from tuner.errors import ServerError
from tuner.load.profile import Endpoint
from tuner.load.tls import tls_context
from tuner.protocols import protobuf, tensorflow_serving
from tuner.protocols.tensorflow_serving import TensorFlowOptions, TensorFlowWire
from tuner.protocols.tensors.input_data import batches, unbatched
from tuner.protocols.tensors.inputs import InputOptions, read_input_data
from tuner.sweep.service import PlainService

_GET_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
_TIMEOUT_S = 10.0
_SIGNATURE_HINT = "check `--signature-name`; `saved_model_cli show` lists a model's signatures"


@dataclass(frozen=True, kw_only=True)
class TensorFlowForm:
    """What the requests carry, and how."""

    sources: tuple[str, ...] = ()
    data: InputOptions = field(default_factory=InputOptions)
    batch: int = 1
    options: TensorFlowOptions = field(default_factory=TensorFlowOptions)


def tensorflow_service(
    endpoint: Endpoint, model: str, form: TensorFlowForm, *, grpc: bool
) -> PlainService:
    """The server at `endpoint`, asked for `model`; it is asked for the model's inputs first.

    Raises:
        InputError: Data or options do not fit the model.
        ServerError: The server does not tell the model's inputs.
    """
    ask = _grpc_signature if grpc else _rest_signature
    signature = ask(endpoint, model, form.options)
    batched = signature.batched
    inputs, outputs = map(unbatched, signature) if batched else signature
    data = read_input_data(form.sources, inputs, outputs, form.data)
    steps = [
        step for stream in data.streams for step in batches(stream, form.batch, batched=batched)
    ]
    wire = TensorFlowWire(endpoint, model, signature.outputs, form.options, grpc)
    requests = wire.request_set(steps, inferences=form.batch)
    return PlainService(endpoint, requests)


def _rest_signature(endpoint: Endpoint, model: str, options: TensorFlowOptions) -> Signature:
    path = tensorflow_serving.model_path(model, options.version) + "/metadata"
    transport = httpx.HTTPTransport(
        verify=tls_context(endpoint.tls) if endpoint.tls else False,
        uds=str(endpoint.unix_socket) if endpoint.unix_socket else None,
        trust_env=False,
    )
    url = f"{'https' if endpoint.tls else 'http'}://{endpoint.authority}{path}"
    server_name = endpoint.tls.server_name if endpoint.tls else ""
    extensions = {"sni_hostname": server_name} if server_name else {}
    try:
        with httpx.Client(transport=transport, timeout=_TIMEOUT_S, trust_env=False) as client:
            response = client.get(url, headers=options.headers, extensions=extensions)
    except httpx.HTTPError as error:
        raise _no_answer(url, str(error) or type(error).__name__) from None
    if not response.is_success:
        raise ServerError(
            f"{url} answered {response.status_code}: {' '.join(response.text[:200].split())}",
            hint="check the model's name; the server's log says which it has",
        )
    with understood(url, _SIGNATURE_HINT):
        name = options.signature or DEFAULT_SIGNATURE
        return tensorflow_signature.of_rest(response.json(), name)


def _grpc_signature(endpoint: Endpoint, model: str, options: TensorFlowOptions) -> Signature:
    # gRPC is slow to import, and not everybody speaks it.
    import grpc as grpcio

    from tuner.clients import grpc_channel

    request = protobuf.delimited(1, tensorflow_serving.model_spec(model, options))
    request += protobuf.delimited(2, "signature_def")
    channel = grpc_channel.new(endpoint)
    source = grpc_channel.name(endpoint) + _GET_METADATA
    try:
        metadata = tuple((name.lower(), text) for name, text in options.headers.items())
        ask = channel.unary_unary(_GET_METADATA)
        answer: bytes = ask(request, timeout=_TIMEOUT_S, metadata=metadata)
    except grpcio.RpcError as error:
        raise _no_answer(source, f"{error.code().name}: {error.details()}") from None
    finally:
        channel.close()
    with understood(source, _SIGNATURE_HINT):
        name = options.signature or DEFAULT_SIGNATURE
        return tensorflow_signature.of_grpc(answer, name)


def _no_answer(source: str, reason: str) -> ServerError:
    return ServerError(
        f"no answer from {source}: {reason}",
        hint="check that TensorFlow Serving listens there, and the model's name",
    )

"""The control plane of a V2 inference server over gRPC.

Service GRPCInferenceService of grpc_service.proto (KServe, with Triton's extensions), as
tritonclient ships it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import grpc
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from tuner.clients import grpc_channel
from tuner.clients.v2 import (
    TIMEOUT_HINT,
    TLS_HINT,
    ModelMetadata,
    NotOffered,
    read_metadata,
    read_statistics,
    understood,
)
from tuner.errors import InputError, ServerError, ServerTimeoutError
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor
from tuner.protocols import v2_grpc
from tuner.protocols.v2 import DEFAULT, MemoryKind, V2Options
from tuner.records import ServerStatistics

# gRPC's PROTOCOL-HTTP2.md: Header-Name (which is sent in lower case) and ASCII-Value.
_HEADER_NAME = re.compile(r"[0-9A-Za-z_.-]+")
_HEADER_VALUE = re.compile(r"[ -~]+")


class V2GrpcClient:
    """Implements V2Control for the server at an endpoint.

    `headers` go with every call, as its metadata.

    Raises:
        InputError: Verification is to be off, which gRPC cannot do, or a header cannot be sent.
        InputError: The endpoint's certificates cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._tls = endpoint.tls
        self._timeout_s = timeout_s
        self._metadata = _metadata(headers or {})
        self._name = grpc_channel.name(endpoint)
        self._channel = grpc_channel.new(endpoint)
        self._stub: Any = GRPCInferenceServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def ready(self, model: str, version: str = "") -> bool:
        return bool(self._ask("ModelReady", name=model, version=version).ready)

    def metadata(self, model: str, version: str = "") -> ModelMetadata:
        content = _content(self._ask("ModelMetadata", name=model, version=version))
        with understood(f"{self._name}/ModelMetadata"):
            return read_metadata(content)

    def config(self, model: str, version: str = "") -> Mapping[str, Any]:
        return _content(self._ask("ModelConfig", name=model, version=version).config)

    def load(self, model: str, config: str) -> None:
        parameters = {"config": service_pb2.ModelRepositoryParameter(string_param=config)}
        self._ask("RepositoryModelLoad", model_name=model, parameters=parameters)

    def infer(
        self, model: str, inputs: Sequence[Tensor], options: V2Options = DEFAULT
    ) -> tuple[Tensor, ...]:
        answer = self._ask(
            "ModelInfer",
            model_name=model,
            model_version=options.version,
            inputs=[{"name": t.name, "datatype": t.datatype, "shape": t.shape} for t in inputs],
            raw_input_contents=[tensor.data for tensor in inputs],
        )
        described, contents = answer.outputs, answer.raw_output_contents
        with understood(f"{self._name}/ModelInfer"):
            if len(described) != len(contents):
                raise ValueError(f"{len(described)} outputs, but {len(contents)} raw contents")
            return tuple(
                Tensor(output.name, output.datatype, tuple(output.shape), data)
                for output, data in zip(described, contents, strict=True)
            )

    def infer_streamed(
        self, model: str, inputs: Sequence[Tensor], options: V2Options = DEFAULT
    ) -> tuple[tuple[Tensor, ...], ...]:
        """The outputs of each response to a request on a stream, as a decoupled model gives them.

        Raises:
            ServerError: There was an error among them, or none came in time.
        """
        method, options = "ModelStreamInfer", replace(options, streaming=True)
        ask = self._channel.stream_stream(v2_grpc.call(options).path)
        request = v2_grpc.prepare(model, inputs, options)
        try:
            responses = [
                bytes(each)
                for each in ask(iter([request]), timeout=self._timeout_s, metadata=self._metadata)
            ]
        except grpc.RpcError as error:
            raise self._failure(method, error) from None
        with understood(f"{self._name}/{method}"):
            for each in responses:
                if said := v2_grpc.read_stream_error(each):
                    raise ServerError(f"{self._name}/{method} answered: {said}")
            outputs = (v2_grpc.read_streamed_response(b"", each) for each in responses)
            return tuple(filter(None, outputs))  # the last may carry nothing but its mark

    def statistics(self, model: str, version: str = "") -> ServerStatistics:
        content = _content(self._ask("ModelStatistics", name=model, version=version))
        with understood(f"{self._name}/ModelStatistics"):
            return read_statistics(content, version)

    def shared_memory(self, kind: MemoryKind) -> frozenset[str]:
        return frozenset(self._ask(_method(kind, "Status")).regions)

    def share_system_memory(self, name: str, *, key: str, byte_size: int) -> None:
        method = _method(MemoryKind.SYSTEM, "Register")
        self._ask(method, name=name, key=key, byte_size=byte_size)

    def share_cuda_memory(self, name: str, *, handle: bytes, device: int, byte_size: int) -> None:
        method = _method(MemoryKind.CUDA, "Register")
        self._ask(method, name=name, raw_handle=handle, device_id=device, byte_size=byte_size)

    def forget_memory(self, kind: MemoryKind, name: str) -> None:
        self._ask(_method(kind, "Unregister"), name=name)

    def _ask(self, method: str, **fields: object) -> Any:
        request = getattr(service_pb2, f"{method}Request")(**fields)
        call = getattr(self._stub, method)
        try:
            return call(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._failure(method, error) from None

    def _failure(self, method: str, error: Any) -> ServerError:
        code, reason = error.code(), error.details()
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return ServerTimeoutError(
                f"no answer from {self._name}/{method} within {self._timeout_s:g} s",
                hint=TIMEOUT_HINT,
            )
        if code is grpc.StatusCode.UNAVAILABLE:  # a server says this of a model, too
            return ServerError(
                f"{self._name} is unavailable: {reason}",
                hint=TLS_HINT
                if self._tls
                else "check that the server runs, and that host, port and model are right",
            )
        refusal = f"{self._name}/{method} answered {code.name}: {reason}"
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return NotOffered(refusal)
        return ServerError(refusal)


def _method(kind: MemoryKind, action: str) -> str:
    return f"{kind.capitalize()}SharedMemory{action}"


def _metadata(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise InputError(
                f"the header `{name}: {value}` cannot be sent over gRPC",
                hint="a name is of letters, digits, `-`, `_` and `.`, a value of printable ASCII",
            )
    return [(name.lower(), value) for name, value in headers.items()]


def _content(message: Message) -> dict[str, Any]:
    """As Triton's JSON: the proto's names, numbers as numbers, enumerators as their names."""
    # protobuf's own conversion would turn 64-bit numbers into text.
    return {
        field.name: _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        [_, entry] = field.message_type.fields
        return {key: _single(entry, each) for key, each in value.items()}
    if field.is_repeated:
        return [_single(field, each) for each in value]
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return _content(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value

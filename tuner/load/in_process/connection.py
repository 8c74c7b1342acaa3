"""A lane to a Triton in this process: a request is a few calls, an answer comes on its threads."""

import asyncio
import json
from collections.abc import Mapping
from ctypes import (
    POINTER,
    addressof,
    byref,
    c_char_p,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
    cast,
    create_string_buffer,
    string_at,
)
from dataclasses import dataclass
from typing import Any

from tuner.load.in_process.library import TritonError
from tuner.load.in_process.payloads import unpacked
from tuner.load.in_process.server import TritonServer
from tuner.load.lane import Lane, LaneOwner
from tuner.load.profile import LoadRun
from tuner.load.requests import ModelCall, RequestSet, ResponseCheck, Tensor

_CPU = 0  # TRITONSERVER_MEMORY_CPU
# Parameters that have functions of their own (Triton's extension_parameters.md).
_RESERVED = {
    "priority": "InferenceRequestSetPriorityUInt64",
    "timeout": "InferenceRequestSetTimeoutMicroseconds",
}
# Of the others, the function by the type of the value.
_SETTERS: dict[type, str] = {
    bool: "InferenceRequestSetBoolParameter",
    int: "InferenceRequestSetIntParameter",
    float: "InferenceRequestSetDoubleParameter",
    str: "InferenceRequestSetStringParameter",
}


@dataclass(frozen=True)
class _Input:
    """An input as the C API wants it; its data lie where they are for as long as this lives."""

    name: bytes
    datatype: int
    shape: Any
    dimensions: int
    data: Any
    byte_size: int


class ModelRequests:
    """Makes the requests of a ModelCall."""

    def __init__(self, server: TritonServer, called: ModelCall) -> None:
        self._server = server
        self._call = server.library.call
        self._model = called.model.encode()
        self._version = called.version
        self._steps = [[self._input(each) for each in step] for step in called.steps]
        self._parameters = [self._parameter(*each) for each in called.parameters.items()]
        # Triton deletes each request itself, once it needs it no more.
        self._delete = cast(self._call.InferenceRequestDelete, c_void_p)

    def _input(self, tensor: Tensor) -> _Input:
        return _Input(
            tensor.name.encode(),
            self._call.StringToDataType(tensor.datatype.encode()),
            (c_int64 * len(tensor.shape))(*tensor.shape),
            len(tensor.shape),
            create_string_buffer(tensor.data, len(tensor.data)),
            len(tensor.data),
        )

    def _parameter(self, name: str, value: Any) -> tuple[Any, tuple[Any, ...]]:
        """The function that sets it, and what that takes beside the request."""
        if name in _RESERVED:
            return getattr(self._call, _RESERVED[name]), (int(value),)
        sent = value.encode() if isinstance(value, str) else value
        return getattr(self._call, _SETTERS[type(value)]), (name.encode(), sent)

    def send(self, payload: bytes, receiver: "TritonLane") -> None:
        """Ask; the answer goes to `receiver`. Raises TritonError."""
        correlation_id, flags, step = unpacked(payload)
        call, answers, request = self._call, self._server.answers, c_void_p()
        call.InferenceRequestNew(byref(request), self._server.pointer, self._model, self._version)
        number = answers.expected(receiver)
        try:
            call.InferenceRequestSetReleaseCallback(request, self._delete, None)
            call.InferenceRequestSetResponseCallback(
                request, answers.allocator, None, answers.respond, number
            )
            for each in self._steps[step]:
                call.InferenceRequestAddInput(
                    request, each.name, each.datatype, each.shape, each.dimensions
                )
                call.InferenceRequestAppendInputData(
                    request, each.name, addressof(each.data), each.byte_size, _CPU, 0
                )
            if correlation_id:
                call.InferenceRequestSetCorrelationId(request, correlation_id)
                call.InferenceRequestSetFlags(request, flags)
            for set_parameter, arguments in self._parameters:
                set_parameter(request, *arguments)
            call.ServerInferAsync(self._server.pointer, request, None)
        except TritonError:
            answers.forget(number)
            call.InferenceRequestDelete(request)
            raise


class TritonLane(Lane):
    """Carries one request at a time; it is its own connection. Implements Receiver."""

    bytes_received = 0

    def __init__(
        self,
        owner: LaneOwner,
        server: TritonServer,
        requests: ModelRequests,
        check: ResponseCheck | None,
    ) -> None:
        super().__init__()
        self._owner = owner
        self._server = server
        self._requests = requests
        self._check = check
        self._closed = False

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return (self,)

    def send(self, data: bytes) -> None:
        try:
            self._requests.send(data, self)
        except TritonError as error:
            # Not at once: the next request, which might fail as fast, would be sent from here.
            asyncio.get_running_loop().call_soon(self._ended, _kind(error))

    def received(self, response: int, at_s: float) -> None:
        if not self._closed:
            self.first_bytes_s = at_s
            self._ended(self._fault(response))

    def _ended(self, fault: str) -> None:
        if not self._closed:
            self._owner.answered(self, fault)

    def cancel(self, kind: str) -> None:
        """Whether Triton still has the request is not known: its answer is not waited for."""
        self.close()
        self._owner.lost(self, kind)

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Hear nothing more, not even of a request that Triton still has."""
        self._closed = True

    async def finish(self) -> None:
        self.close()

    def _fault(self, response: int) -> str:
        """Why the answer is no success; empty if it is one."""
        library = self._server.library
        if not response:
            return "bad_response"
        if error := library.call.InferenceResponseError(response):
            return _kind(library.error(error))
        if self._check is None:
            return ""
        head, body = _as_http(outputs(self._server, response))
        return self._check.fault(self.payload, head, body)


class TritonConnections:
    """Implements Connections: a lane needs nothing but the server."""

    lanes = 1

    def __init__(
        self, server: TritonServer, owner: LaneOwner, run: LoadRun, requests: RequestSet
    ) -> None:
        del run
        if requests.model_call is None:
            raise ValueError("requests of a Triton in this process have a model call")
        self._owner, self._server, self._check = owner, server, requests.check
        self._requests = ModelRequests(server, requests.model_call)
        server.answers.listen(asyncio.get_running_loop())

    async def open(self) -> TritonLane:
        return TritonLane(self._owner, self._server, self._requests, self._check)


def outputs(server: TritonServer, response: int) -> list[Tensor]:
    """The output tensors of a response, their bytes copied."""
    call, found = server.library.call, []
    total = c_uint32()
    call.InferenceResponseOutputCount(response, byref(total))
    for index in range(total.value):
        name, datatype, shape, dimensions = c_char_p(), c_int(), POINTER(c_int64)(), c_uint64()
        data, byte_size, kind, kind_id, user = (
            c_void_p(), c_size_t(), c_int(), c_int64(), c_void_p(),
        )  # fmt: skip
        arguments = (name, datatype, shape, dimensions, data, byte_size, kind, kind_id, user)
        call.InferenceResponseOutput(response, index, *map(byref, arguments))
        found.append(
            Tensor(
                (name.value or b"").decode(),
                call.DataTypeString(datatype).decode(),
                tuple(shape[: dimensions.value]),
                string_at(data, byte_size.value) if byte_size.value else b"",
            )
        )
    return found


def _as_http(tensors: list[Tensor]) -> tuple[bytes, bytes]:
    """Head and body of these outputs as Triton sends them over HTTP, which checks can read."""
    described = json.dumps({"outputs": [_described(each) for each in tensors]}).encode()
    head = b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: %d\r\n\r\n" % len(described)
    return head, described + b"".join(each.data for each in tensors)


def _described(tensor: Tensor) -> Mapping[str, object]:
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.shape,
        "parameters": {"binary_data_size": len(tensor.data)},
    }


def _kind(error: TritonError) -> str:
    """A kind of failure: `Invalid argument` is `triton_invalid_argument`."""
    return f"triton_{error.kind.lower().replace(' ', '_')}"

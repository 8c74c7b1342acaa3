"""The V2 inference protocol, whatever carries it: what a request may ask for beside its inputs.

KServe Open Inference Protocol, and Triton's extensions for sequences, shared memory, parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tuner.load.requests import Tensor

RequestParameter = bool | int | float | str

# Fixed by Triton's sequence extension.
SEQUENCE_ID = "sequence_id"
SEQUENCE_START = "sequence_start"
SEQUENCE_END = "sequence_end"


class V2Protocol(StrEnum):
    """The protocols that V2 servers speak."""

    HTTP = "http"
    GRPC = "grpc"


class MemoryKind(StrEnum):
    """The memory that a server on the same machine can share with its client."""

    SYSTEM = "system"
    CUDA = "cuda"


@dataclass(frozen=True)
class SharedTensor:
    """A tensor that lies in a shared-memory region that the server knows as `region`.

    Of an output the server chooses datatype and shape; `byte_size` is the room it has.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    region: str
    offset: int
    byte_size: int

    @property
    def parameters(self) -> Mapping[str, RequestParameter]:
        """How the protocol names the place (Triton's shared-memory extension)."""
        place: dict[str, RequestParameter] = {"shared_memory_region": self.region}
        if self.offset:
            place["shared_memory_offset"] = self.offset
        return place | {"shared_memory_byte_size": self.byte_size}


Input = Tensor | SharedTensor


@dataclass(frozen=True, kw_only=True)
class V2Options:
    """How inference is asked for.

    `headers` are custom ones (metadata over gRPC); `parameters` those of the request. `outputs`
    are asked for by name, or written to shared memory; all of them if there are none. Tensors in
    JSON and compressed requests (`gzip`, `deflate`) are there over HTTP only, `streaming` over
    gRPC only.
    """

    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, RequestParameter] = field(default_factory=dict)
    outputs: tuple[str | SharedTensor, ...] = ()
    json_inputs: bool = False
    json_outputs: bool = False
    compression: str = ""
    streaming: bool = False


DEFAULT = V2Options()

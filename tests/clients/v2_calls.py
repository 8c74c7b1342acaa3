"""All that the control plane of a V2 server is asked, and answers that a test needs often."""

from operator import methodcaller
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor
from tuner.protocols.v2 import MemoryKind

X = Tensor("x", "FP32", (1, 4), np.array([1, 2, 3, 4], np.float32).tobytes())
CALLS = {
    "metadata": methodcaller("metadata", "m"),
    "config": methodcaller("config", "m"),
    "statistics": methodcaller("statistics", "m"),
    "infer": methodcaller("infer", "m", [X]),
    "load": methodcaller("load", "m", "{}"),
    "ready": methodcaller("ready", "m"),
    "shared_memory": methodcaller("shared_memory", MemoryKind.SYSTEM),
    "share_system_memory": methodcaller("share_system_memory", "r", key="/r", byte_size=64),
    "share_cuda_memory": methodcaller(
        "share_cuda_memory", "r", handle=b"h", device=0, byte_size=64
    ),
    "forget_memory": methodcaller("forget_memory", MemoryKind.CUDA, "r"),
}


def ready(_request: Any, _context: Any) -> Any:
    """The answer that a model is ready, over gRPC."""
    return service_pb2.ModelReadyResponse(ready=True)


def endpoint_of(url: str) -> Endpoint:
    return Endpoint("127.0.0.1", int(url.rpartition(":")[2]))

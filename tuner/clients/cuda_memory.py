"""Memory of a GPU that a server on the same machine can use, through tritonclient."""

import base64
from typing import Any, Self

import numpy as np

from tuner.clients.v2 import V2Control
from tuner.errors import InputError


class CudaRegion:
    """New memory on a GPU within a `with` block.

    Raises:
        InputError: The package for CUDA, the driver, the GPU or room on it is missing.
    """

    def __init__(self, name: str, byte_size: int, *, device: int = 0) -> None:
        self._name = name
        self._byte_size = byte_size
        self._device = device

    def __enter__(self) -> Self:
        self._cuda = _cuda_shared_memory()
        try:
            self._handle = self._cuda.create_shared_memory_region(
                self._name, self._byte_size, self._device
            )
        except self._cuda.CudaSharedMemoryException as error:
            raise InputError(
                f"no shared memory of {self._byte_size:,} bytes could be made on GPU "
                f"{self._device}: {_reason(error)}",
                hint="see in `nvidia-smi` whether the driver runs and the GPU is there and has "
                "room, or use `--shared-memory system`",
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._cuda.destroy_shared_memory_region(self._handle)
        del self._handle  # the last reference: only now the memory is free

    def write(self, content: bytes) -> None:
        """Put `content` where the region begins."""
        self._cuda.set_shared_memory_region(self._handle, [np.frombuffer(content, np.uint8)])

    def share(self, control: V2Control) -> None:
        """Let the server use it under its name."""
        control.share_cuda_memory(
            self._name,
            handle=base64.b64decode(self._cuda.get_raw_handle(self._handle)),
            device=self._device,
            byte_size=self._byte_size,
        )


def _cuda_shared_memory() -> Any:
    try:
        from tritonclient.utils import cuda_shared_memory
    except (ImportError, RuntimeError):  # the latter is tritonclient's, for the former
        raise InputError(
            "`--shared-memory cuda` needs the package `cuda-python`, which cannot be imported",
            hint="pip install 'serving-tuner[gpu]'",
        ) from None
    return cuda_shared_memory


def _reason(error: BaseException) -> str:
    """What CUDA says, which tritonclient hands on as bytes in the cause of its own error."""
    told = (error.__cause__ or error).args[0]
    return told.decode() if isinstance(told, bytes) else str(told)

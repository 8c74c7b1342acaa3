"""Shared memory on a GPU: what is told where there is none.

Each test runs the tuner in a process that finds another package `cuda`.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.targets.answering import misbehaving, says

# As cuda-python 13.4 answers on a machine without a GPU.
CUDA_WITHOUT_DRIVER = """
from enum import IntEnum


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorInsufficientDriver = 35


class cudaIpcMemHandle_t:
    pass


def cudaGetDevice():
    return cudaError_t.cudaErrorInsufficientDriver, None


def cudaGetErrorString(error):
    return cudaError_t.cudaSuccess, b"CUDA driver version is insufficient for CUDA runtime version"
"""
CUDA_SCRIPT = """
import sys
from tuner.protocols.v2 import MemoryKind
from tuner.errors import InputError
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor
from tuner.clients.shared_memory import SharedMemory
from tuner.clients.v2_address import V2Address

address = V2Address(Endpoint("127.0.0.1", int(sys.argv[1])))
inputs = [[Tensor("x", "FP32", (1, 4), bytes(16))]]
try:
    with SharedMemory(address, inputs, {"y": 384}, kind=MemoryKind.CUDA):
        pass
except InputError as error:
    print(error, error.hint, sep="\\n")
"""


def test_no_package(tmp_path: Path) -> None:
    """Without the package for CUDA it is told what to install."""
    (tmp_path / "cuda.py").write_text("raise ModuleNotFoundError\n")
    assert cuda_refusal(tmp_path) == (
        "`--shared-memory cuda` needs the package `cuda-python`, which cannot be imported\n"
        "pip install 'serving-tuner[gpu]'\n"
    )


def test_no_driver(tmp_path: Path) -> None:
    """Without a driver or a GPU what CUDA says of it is told."""
    bindings = tmp_path / "cuda" / "bindings"
    bindings.mkdir(parents=True)
    (bindings / "runtime.py").write_text(CUDA_WITHOUT_DRIVER)
    (bindings / "driver.py").write_text("class CUresult: pass\n")
    assert cuda_refusal(tmp_path) == (
        "no shared memory of 64 bytes could be made on GPU 0: CUDA driver version is "
        "insufficient for CUDA runtime version\n"
        "see in `nvidia-smi` whether the driver runs and the GPU is there and has room, or "
        "use `--shared-memory system`\n"
    )


def cuda_refusal(folder: Path) -> str:
    """Message and hint where the package `cuda` is the one in `folder`."""
    with misbehaving(says(b"[]")) as url:
        command = [sys.executable, "-c", CUDA_SCRIPT, url.rpartition(":")[2]]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        ).stdout

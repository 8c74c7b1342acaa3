"""Whether the memory of a server that is gone is free again on the GPUs."""

from types import SimpleNamespace

import pytest

from tuner.watch.gpu_memory import GpuMemory
from tuner.watch.gpu_usage import Nvml

GIB = 1 << 30


def gpus(*used: int) -> Nvml:
    """A GPU that has so much in use at each look, and the last of it from then on."""
    left = list(used)

    def memory(_: object) -> SimpleNamespace:
        return SimpleNamespace(used=left.pop(0) if len(left) > 1 else left[0], total=80 * GIB)

    def refused(_: object) -> object:
        raise OSError

    return Nvml(
        SimpleNamespace(
            NVMLError=OSError,
            nvmlDeviceGetCount=lambda: 1,
            nvmlDeviceGetHandleByIndex=lambda number: number,
            nvmlDeviceGetUUID="GPU-{}".format,
            nvmlDeviceGetMemoryInfo=memory,
            nvmlDeviceGetPowerUsage=refused,
            nvmlDeviceGetUtilizationRates=refused,
        )
    )


@pytest.mark.parametrize(
    "used", [(GIB, GIB), (GIB, GIB + (60 << 20)), (GIB, 9 * GIB, 5 * GIB, GIB)]
)
def test_memory_that_comes_back_is_waited_for(used: tuple[int, ...]) -> None:
    """To a driver's own share of it."""
    memory = GpuMemory(gpus(*used))

    assert memory.settle()
    assert memory.settle()


def test_memory_that_somebody_else_has_is_not_waited_for_twice() -> None:
    """The next start finds what this one found."""
    memory = GpuMemory(gpus(GIB, 9 * GIB), patience_s=0.05)

    assert [memory.settle() for _ in range(3)] == [True, False, True]


def test_without_a_gpu_nothing_is_waited_for() -> None:
    """Nor is anything asked."""
    memory = GpuMemory()
    assert [memory.settle() for _ in range(2)] == [True, True]

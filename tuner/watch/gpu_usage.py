"""How busy the GPUs are: readings, how they are put together, and NVML as their source."""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from operator import itemgetter
from statistics import fmean
from typing import Any

from tuner.watch.sampling import Samples, sampled


@dataclass(frozen=True)
class GpuUsage:
    """One reading of a GPU, or several put together; None is what its source does not tell.

    `utilization` is from 0 to 1.
    """

    utilization: float | None = None
    power_w: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


@dataclass(frozen=True)
class Gpu:
    """What a GPU is; `compute_capability` is NVIDIA's number, such as 8.0 for Ampere."""

    name: str
    compute_capability: float
    memory_bytes: int

    @property
    def has_tensor_cores(self) -> bool:
        """Whether its generation does: Volta, 7.0, was the first (the GTX 16 series has none)."""
        return self.compute_capability >= 7.0 and "GTX 16" not in self.name


_TOGETHER: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "utilization": fmean,
    "power_w": fmean,
    "memory_used_bytes": max,
    "memory_total_bytes": itemgetter(0),
}


def put_together(readings: Sequence[Mapping[str, GpuUsage]]) -> dict[str, GpuUsage]:
    """For each GPU: mean utilization, mean power, largest used memory, first total memory.

    Source: perf_analyzer's manual, "Server-side Prometheus metrics". The keys name the GPUs, by
    UUID where it is known.
    """
    names = sorted({name for reading in readings for name in reading})
    return {name: _one([each[name] for each in readings if name in each]) for name in names}


def _one(readings: Sequence[GpuUsage]) -> GpuUsage:
    told = {
        name: [value for each in readings if (value := getattr(each, name)) is not None]
        for name in _TOGETHER
    }
    return GpuUsage(**{name: _TOGETHER[name](values) for name, values in told.items() if values})


class Nvml:
    """The GPUs of this machine as the driver sees them, whoever uses them; see `opened`."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def window(
        self, interval_s: float = 1.0
    ) -> AbstractContextManager[Samples[dict[str, GpuUsage]]]:
        """Reads all GPUs within the block; their usage is `put_together(samples.within)`."""
        return sampled(self.read, interval_s)

    def read(self) -> dict[str, GpuUsage] | None:
        """All GPUs now, by their UUIDs; None where the driver does not answer."""
        try:
            count = self._library.nvmlDeviceGetCount()
            handles = [self._library.nvmlDeviceGetHandleByIndex(n) for n in range(count)]
            return {self._library.nvmlDeviceGetUUID(each): self._reading(each) for each in handles}
        except self._library.NVMLError:
            return None

    def devices(self) -> tuple[Gpu, ...]:
        """All GPUs; none where the driver does not answer."""
        try:
            count = self._library.nvmlDeviceGetCount()
            return tuple(self._device(n) for n in range(count))
        except self._library.NVMLError:
            return ()

    def _device(self, number: int) -> Gpu:
        handle = self._library.nvmlDeviceGetHandleByIndex(number)
        name = self._library.nvmlDeviceGetName(handle)
        major, minor = self._library.nvmlDeviceGetCudaComputeCapability(handle)
        return Gpu(
            # Versions before 11.515 hand out bytes.
            name=name.decode() if isinstance(name, bytes) else str(name),
            compute_capability=float(f"{major}.{minor}"),
            memory_bytes=int(self._library.nvmlDeviceGetMemoryInfo(handle).total),
        )

    def _reading(self, handle: Any) -> GpuUsage:
        percent = self._asked(lambda: self._library.nvmlDeviceGetUtilizationRates(handle).gpu)
        milliwatts = self._asked(lambda: self._library.nvmlDeviceGetPowerUsage(handle))
        memory = self._asked(lambda: self._library.nvmlDeviceGetMemoryInfo(handle))
        return GpuUsage(
            utilization=None if percent is None else percent / 100,
            power_w=None if milliwatts is None else milliwatts / 1e3,
            memory_used_bytes=None if memory is None else memory.used,
            memory_total_bytes=None if memory is None else memory.total,
        )

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What NVML answers; None where the GPU does not support the question."""
        try:
            return ask()
        except self._library.NVMLError:
            return None


@contextmanager
def opened() -> Iterator[Nvml | None]:
    """NVML within the block; None without the package `nvidia-ml-py` (extra `gpu`) or a driver."""
    try:
        library: Any = importlib.import_module("pynvml")
    except ImportError:
        yield None
        return
    try:
        library.nvmlInit()
    except library.NVMLError:
        yield None
        return
    try:
        yield Nvml(library)
    finally:
        library.nvmlShutdown()

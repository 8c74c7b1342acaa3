"""GPU usage: how readings are put together, and NVML as one of their sources."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from tuner.watch import gpu_usage
from tuner.watch.gpu_usage import Gpu, GpuUsage, Nvml, put_together


class NVMLError(Exception):
    """As nvidia-ml-py has one."""


def pynvml(fault: str, opened: list[bool]) -> SimpleNamespace:
    """In the place of nvidia-ml-py; the second of its two GPUs does not tell its power."""

    def init() -> None:
        if fault == "no driver":
            raise NVMLError("NVML Shared Library Not Found")
        opened.append(True)

    def count() -> int:
        if fault == "lost":
            raise NVMLError("GPU is lost")
        return 2

    def power(handle: int) -> int:
        if handle == 1:
            raise NVMLError("Not Supported")
        return 61500

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=init,
        nvmlShutdown=opened.pop,
        nvmlDeviceGetCount=count,
        nvmlDeviceGetHandleByIndex=int,
        nvmlDeviceGetUUID="GPU-{}".format,
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=40 * handle),
        nvmlDeviceGetPowerUsage=power,
        nvmlDeviceGetName=lambda handle: (b"NVIDIA T4", "NVIDIA H200")[handle],
        nvmlDeviceGetCudaComputeCapability=lambda handle: ((7, 5), (9, 0))[handle],
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=8 << 30, used=handle << 30),
    )


@contextmanager
def nvml(monkeypatch: pytest.MonkeyPatch, fault: str = "") -> Iterator[Nvml | None]:
    """What is there with this fault of the driver; its library is closed in the end."""
    opened: list[bool] = []
    monkeypatch.setitem(sys.modules, "pynvml", pynvml(fault, opened))
    with gpu_usage.opened() as found:
        yield found
    assert opened == []


def test_as_the_manual_says() -> None:
    """Utilization and power are averaged, used memory is the largest, total the first."""
    readings = [
        {"a": GpuUsage(0.25, 50.0, 300, 1000), "b": GpuUsage(0.0, 10.0, 0, 500)},
        {"a": GpuUsage(0.75, 70.0, 200, 999), "b": GpuUsage(0.0, 10.0, 0, 500)},
    ]
    assert put_together(readings) == {
        "a": GpuUsage(0.5, 60.0, 300, 1000),
        "b": GpuUsage(0.0, 10.0, 0, 500),
    }


def test_what_a_gpu_does_not_tell() -> None:
    """What was never told is None, and what was not told once does not count."""
    readings = [{"a": GpuUsage(power_w=50.0)}, {}, {"a": GpuUsage(memory_total_bytes=7)}]
    assert put_together(readings) == {"a": GpuUsage(power_w=50.0, memory_total_bytes=7)}
    assert put_together([]) == {}


class TestNvml:
    def test_reads_all_gpus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Percent, milliwatts and bytes become shares, watts and bytes, by UUID."""
        with nvml(monkeypatch) as found:
            assert found is not None
            with found.window(interval_s=1000.0) as samples:
                pass

        assert samples.within == 2 * [
            {
                "GPU-0": GpuUsage(0.0, 61.5, 0, 8 << 30),
                "GPU-1": GpuUsage(0.4, None, 1 << 30, 8 << 30),
            }
        ]

    def test_without_a_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the driver is missing there is nothing to read."""
        with nvml(monkeypatch, "no driver") as found:
            assert found is None

    def test_a_lost_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What fails later is a missing sample, not a fault of the measurement."""
        with nvml(monkeypatch, "lost") as found:
            assert found is not None
            with found.window() as samples:
                pass

        assert samples.within == []

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without nvidia-ml-py there is nothing to read."""
        monkeypatch.setitem(sys.modules, "pynvml", None)
        with gpu_usage.opened() as found:
            assert found is None


def test_what_gpus_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names (bytes from old versions), compute capabilities and memory."""
    with nvml(monkeypatch) as found:
        assert found is not None
        assert found.devices() == (
            Gpu("NVIDIA T4", 7.5, 8 << 30),
            Gpu("NVIDIA H200", 9.0, 8 << 30),
        )


def test_what_lost_gpus_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that does not answer tells of none."""
    with nvml(monkeypatch, "lost") as found:
        assert found is not None
        assert found.devices() == ()

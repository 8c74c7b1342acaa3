"""GPU usage: how readings are put together, and NVML as one of their sources."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuner.watch import gpu_usage
from tuner.watch.gpu_usage import GpuUsage, put_together

# A module in the place of nvidia-ml-py, for machines without a GPU; the second of its two GPUs
# does not tell its power.
_PYNVML = """
from types import SimpleNamespace


class NVMLError(Exception):
    pass


def nvmlInit():
    if FAULT == "no driver":
        raise NVMLError("NVML Shared Library Not Found")
    OPEN.append(True)


def nvmlShutdown():
    OPEN.pop()


def nvmlDeviceGetCount():
    if FAULT == "lost":
        raise NVMLError("GPU is lost")
    return 2


def nvmlDeviceGetHandleByIndex(index):
    return index


def nvmlDeviceGetUUID(handle):
    return f"GPU-{handle}"


def nvmlDeviceGetUtilizationRates(handle):
    return SimpleNamespace(gpu=40 * handle, memory=0)


def nvmlDeviceGetPowerUsage(handle):
    if handle == 1:
        raise NVMLError("Not Supported")
    return 61500


def nvmlDeviceGetMemoryInfo(handle):
    return SimpleNamespace(total=8 << 30, used=handle << 30, free=0)


OPEN = []
"""


@pytest.fixture(params=["", "no driver", "lost"])
def fault(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """What is wrong with the driver; its library is closed in the end."""
    fault = str(request.param)
    (tmp_path / "pynvml.py").write_text(f"{_PYNVML}FAULT = {fault!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    yield fault
    assert sys.modules.pop("pynvml").OPEN == []


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
    @pytest.mark.parametrize("fault", [""], indirect=True)
    def test_reads_all_gpus(self, fault: str) -> None:
        """Percent, milliwatts and bytes become shares, watts and bytes, by UUID."""
        assert not fault
        with gpu_usage.opened() as nvml:
            assert nvml is not None
            with nvml.window(interval_s=1000.0) as samples:
                pass

        assert samples.within == 2 * [
            {
                "GPU-0": GpuUsage(0.0, 61.5, 0, 8 << 30),
                "GPU-1": GpuUsage(0.4, None, 1 << 30, 8 << 30),
            }
        ]

    @pytest.mark.parametrize("fault", ["no driver"], indirect=True)
    def test_without_a_driver(self, fault: str) -> None:
        """Where the driver is missing there is nothing to read."""
        with gpu_usage.opened() as nvml:
            assert nvml is None, fault

    @pytest.mark.parametrize("fault", ["lost"], indirect=True)
    def test_a_lost_gpu(self, fault: str) -> None:
        """What fails later is a missing sample, not a fault of the measurement."""
        with gpu_usage.opened() as nvml:
            assert nvml is not None, fault
            with nvml.window() as samples:
                pass

        assert samples.within == []

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without nvidia-ml-py there is nothing to read."""
        monkeypatch.setitem(sys.modules, "pynvml", None)
        with gpu_usage.opened() as nvml:
            assert nvml is None

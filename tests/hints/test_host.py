"""What this host offers, and the facts that a study keeps of another one."""

import os
from dataclasses import replace

import pytest

from tuner.hints import host
from tuner.hints.facts import NAMES, known
from tuner.hints.host import environment_facts, hardware_facts, host_facts
from tuner.watch.gpu_usage import Gpu

HERE = host.detect()


def test_this_host() -> None:
    """All facts but those of GPUs are known here, and agree with what the system says."""
    found = host_facts(HERE)

    assert {name for name in NAMES if name.startswith("host.")} - found.keys() <= {
        "host.tensor_cores"
    }
    assert found["host.usable"] == len(os.sched_getaffinity(0))
    assert 0 < HERE.processor.quota <= HERE.processor.usable
    assert 1 <= HERE.processor.physical <= HERE.processor.usable
    assert found["host.x86"] is (os.uname().machine == "x86_64")


def test_libraries() -> None:
    """What the linker finds; a name stands for its kind."""
    path = HERE.openmp.get("libgomp.so.1")
    with_one = replace(HERE, allocators={"libtcmalloc.so.4": path} if path else {}, openmp={})

    assert host_facts(replace(HERE, allocators={}, openmp={}))["host.tcmalloc"] is False
    assert host_facts(with_one)["host.tcmalloc"] is bool(path)
    assert host_facts(with_one)["host.jemalloc"] is False


@pytest.mark.parametrize(("capabilities", "expected"), [((8.0, 7.5), True), ((8.0, 6.1), False)])
def test_tensor_cores(capabilities: tuple[float, ...], expected: bool) -> None:  # noqa: FBT001
    """All GPUs must have them, as nobody knows which one a server gets."""
    gpus = tuple(Gpu("NVIDIA", each, 16 << 30) for each in capabilities)

    machine = replace(HERE.hardware, gpus=len(gpus))
    found = host_facts(replace(HERE, gpus=gpus, hardware=machine))

    assert found["host.tensor_cores"] is expected


def test_a_gpu_without_tensor_cores_of_a_generation_with() -> None:
    """The GTX 16 series is of compute capability 7.5 and has none (NVIDIA, Turing)."""
    assert not Gpu("NVIDIA GeForce GTX 1660 Ti", 7.5, 6 << 30).has_tensor_cores


def test_without_gpus_nothing_is_said_of_their_cores() -> None:
    """Neither without NVML, nor where it finds none, nor where CUDA_VISIBLE_DEVICES hides them."""
    hidden = replace(HERE.hardware, gpus=0)
    for gpus in (None, (), (Gpu("NVIDIA T4", 7.5, 16 << 30),)):
        assert "host.tensor_cores" not in host_facts(replace(HERE, gpus=gpus, hardware=hidden))


def test_what_a_study_keeps() -> None:
    """Its stored facts, and those that follow from them."""
    found = hardware_facts({"cores": 8, "threads_per_core": 2, "processor": "Intel(R) Xeon(R)"})

    assert found == {
        "host.cores": 8,
        "host.threads_per_core": 2,
        "host.physical_cores": 4,
        "host.intel": True,
    }


def test_a_study_of_an_early_version() -> None:
    """What it did not keep is not known."""
    assert hardware_facts({}) == {}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (0, False, True, False)),
        ({"OMP_NUM_THREADS": "4", "ENABLE_TORCH_PROFILER": "TRUE"}, (4, True, True, False)),
        (
            {"TF_ENABLE_ONEDNN_OPTS": "0", "LD_PRELOAD": "/lib/libjemalloc.so.2"},
            (0, False, False, True),
        ),
        ({"OMP_NUM_THREADS": "4,2"}, (0, False, True, False)),
    ],
)
def test_the_environment(
    variables: dict[str, str], expected: tuple[int, bool, bool, bool]
) -> None:
    """What a server that is started from here inherits."""
    found = environment_facts(variables)

    names = ("environment.threads", "environment.profiler", "environment.onednn")
    assert tuple(found[name] for name in (*names, "config.allocator")) == expected
    assert known(found) == found

"""What this host offers to a server, and the facts that follow from it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner import hardware
from tuner.hardware import Hardware
from tuner.space.expressions import Value
from tuner.targets import system_libraries
from tuner.watch import gpu_usage, processor
from tuner.watch.gpu_usage import Gpu
from tuner.watch.processor import Processor

TCMALLOC = ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4")
JEMALLOC = ("libjemalloc.so.2",)
INTEL_OPENMP = ("libiomp5.so",)
_OTHER_OPENMP = ("libomp.so.5", "libgomp.so.1")


@dataclass(frozen=True)
class Host:
    """This host; `gpus` are those that NVML tells of, None without it.

    `allocators` and `openmp` are the libraries that the dynamic linker finds, by their names.
    """

    hardware: Hardware
    processor: Processor
    gpus: tuple[Gpu, ...] | None
    allocators: Mapping[str, Path]
    openmp: Mapping[str, Path]


def detect() -> Host:
    """The host that this process runs on."""
    with gpu_usage.opened() as nvml:
        gpus = None if nvml is None else nvml.devices()
    return Host(
        hardware=hardware.detect(),
        processor=processor.detect(),
        gpus=gpus,
        allocators=_found(*TCMALLOC, *JEMALLOC),
        openmp=_found(*INTEL_OPENMP, *_OTHER_OPENMP),
    )


def _found(*names: str) -> dict[str, Path]:
    return {name: path for name in names if (path := system_libraries.path_of(name))}


def hardware_facts(stored: Mapping[str, Any]) -> dict[str, Value]:
    """What a study keeps of its machine (`Hardware.as_record`); versions before kept less."""
    facts: dict[str, Value] = {
        f"host.{name}": stored[name]
        for name in ("cores", "threads_per_core", "numa_nodes", "numactl", "gpus")
        if name in stored
    }
    if {"cores", "threads_per_core"} <= stored.keys():
        facts["host.physical_cores"] = max(1, stored["cores"] // stored["threads_per_core"])
    if "processor" in stored:
        facts["host.intel"] = "Intel" in stored["processor"]
    return facts


def host_facts(host: Host, granted: Mapping[str, Any] | None = None) -> dict[str, Value]:
    """All that is known of this host; `granted` is what of it a study's servers had, as stored."""
    found, libraries = host.processor, host.allocators.keys() | host.openmp.keys()
    machine: dict[str, Any] = {**host.hardware.as_record(), **(granted or {})}
    facts: dict[str, Value] = {
        **hardware_facts(machine),
        "host.physical_cores": min(found.physical, machine["cores"]),
        "host.x86": found.is_x86,
        "host.usable": found.usable,
        "host.quota": found.quota,
        "host.tcmalloc": not libraries.isdisjoint(TCMALLOC),
        "host.jemalloc": not libraries.isdisjoint(JEMALLOC),
        "host.intel_openmp": not libraries.isdisjoint(INTEL_OPENMP),
    }
    for name, instructions in (("vnni", "VNNI"), ("amx", "AMX"), ("bf16", "bf16")):
        facts[f"host.{name}"] = found.instructions[instructions]
    if host.gpus and machine["gpus"]:
        facts["host.tensor_cores"] = all(gpu.has_tensor_cores for gpu in host.gpus)
    return facts


def environment_facts(variables: Mapping[str, str] = os.environ) -> dict[str, Value]:
    """What a server that is started from here inherits."""
    threads = variables.get("OMP_NUM_THREADS", "")
    preloaded = variables.get(system_libraries.PRELOAD, "")
    return {
        "environment.threads": int(threads) if threads.isdecimal() else 0,
        "environment.profiler": variables.get("ENABLE_TORCH_PROFILER", "").upper() == "TRUE",
        "environment.onednn": variables.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0",
        "config.allocator": "malloc" in preloaded,
        "config.intel_openmp": "iomp5" in preloaded,
    }

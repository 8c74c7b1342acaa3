"""TorchServe's CPU launcher: its arguments, and whether it did what they say.

TorchServe 0.12 starts its workers through `torch.backends.xeon.run_cpu`; before 0.7 it was
Intel's `intel_extension_for_pytorch.cpu.launch`, some of whose arguments have other names. A space
names those of the launcher that there is. Where the launcher cannot run, TorchServe warns and goes
on without it (WorkerLifeCycle.java).

Sources: torch/backends/xeon/run_cpu.py of PyTorch 2.13, and the launch script's guide of
Intel Extension for PyTorch 1.13.
"""

import re
from collections.abc import Iterable

from tuner.records import SettingVerdict
from tuner.space.expressions import Value, value_text
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted

MODULES = frozenset({"torch.backends.xeon.run_cpu", "intel_extension_for_pytorch.cpu.launch"})
"""The programs, as their modules are called."""

# Both launchers take this spelling.
DEFAULT_ALLOCATOR = "--use_default_allocator"
_CORES = frozenset({"--ncores-per-instance", "--ncore-per-instance"})
_NOT_RUN = re.compile(r"(\S+) is not available\. Proceeding without worker core pinning")
_THREADS = re.compile(r"OMP_NUM_THREADS=(\d+)")
_NO_NUMACTL = "Disabling numactl and using taskset instead"


def arguments(values: Iterable[tuple[str, Value]]) -> str:
    """`cpu_launcher_args`: each argument with its value, those that are false left out."""
    given = [(name, value) for name, value in values if value is not False]
    return " ".join(
        name if value is True else f"{name} {value_text(value)}" for name, value in given
    )


def launcher_verdict(log: str) -> SettingVerdict:
    """What the log says of the launcher: that it could not run, or nothing that proves it."""
    if absent := _NOT_RUN.search(log):
        return refuted(f"the log says that {absent[1]} is not available")
    return ACCEPTED


def argument_verdict(name: str, value: Value, log: str) -> SettingVerdict:
    """Whether the log shows what an argument does, for those that the launcher tells of."""
    match name.replace("_", "-"), value:
        case "--disable-numactl", True if "numactl -C" in log:
            return refuted("the log shows that numactl was used")
        case "--disable-numactl", False if _NO_NUMACTL in log:
            return refuted("the log says that numactl cannot be used here")
        case argument, int() if argument in _CORES:
            threads = {int(each) for each in _THREADS.findall(log)}
            if threads and threads != {value}:
                listed = ", ".join(map(str, sorted(threads)))
                return refuted(f"the log shows OMP_NUM_THREADS={listed}")
            return CONFIRMED if threads else ACCEPTED
        case _:
            return ACCEPTED

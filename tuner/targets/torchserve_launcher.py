"""TorchServe's CPU launcher: its arguments, and whether it did what they say.

TorchServe 0.12 starts its workers through `torch.backends.xeon.run_cpu`; before 0.7 it was
Intel's `intel_extension_for_pytorch.cpu.launch`, whose arguments are spelled differently. Where
the launcher cannot run, TorchServe warns and goes on without it (WorkerLifeCycle.java).

Sources: torch/backends/xeon/run_cpu.py of PyTorch 2.13, and the launch script's guide of
Intel Extension for PyTorch 1.13.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from tuner.expressions import Value
from tuner.targets.base import Grade, Verdict
from tuner.targets.process_proofs import value_text


class Launcher(StrEnum):
    """Which program it is, by the module that TorchServe runs."""

    RUN_CPU = "torch.backends.xeon.run_cpu"
    IPEX = "intel_extension_for_pytorch.cpu.launch"


_IPEX_SPELLING = {
    "--ncores-per-instance": "--ncore_per_instance",
    "--node-id": "--node_id",
    "--rank": "--instance_idx",
}
_NOT_RUN = re.compile(r"(\S+) is not available\. Proceeding without worker core pinning")
_THREADS = re.compile(r"OMP_NUM_THREADS=(\d+)")
_NO_NUMACTL = "Disabling numactl and using taskset instead"


def arguments(values: Iterable[tuple[str, Value]], launcher: Launcher = Launcher.RUN_CPU) -> str:
    """`cpu_launcher_args`: each argument with its value, those that are false left out."""
    words = []
    for name, value in values:
        if value is False:
            continue
        spelled = name
        if launcher is Launcher.IPEX:
            spelled = _IPEX_SPELLING.get(name, "--" + name[2:].replace("-", "_"))
        words.append(spelled if value is True else f"{spelled} {value_text(value)}")
    return " ".join(words)


def verdict(log: str) -> Verdict:
    """What the log says of the launcher: that it could not run, or nothing that proves it."""
    if absent := _NOT_RUN.search(log):
        return Verdict(Grade.REFUTED, f"the log says that {absent[1]} is not available")
    return Verdict(Grade.ACCEPTED)


def argument_verdict(name: str, value: Value, log: str) -> Verdict:
    """Whether the log shows what an argument does, for those that the launcher tells of."""
    match name, value:
        case "--disable-numactl", True if "numactl -C" in log:
            return Verdict(Grade.REFUTED, "the log shows that numactl was used")
        case "--disable-numactl", False if _NO_NUMACTL in log:
            return Verdict(Grade.REFUTED, "the log says that numactl cannot be used here")
        case "--ncores-per-instance", int():
            threads = {int(each) for each in _THREADS.findall(log)}
            if threads and threads != {value}:
                listed = ", ".join(map(str, sorted(threads)))
                return Verdict(Grade.REFUTED, f"the log shows OMP_NUM_THREADS={listed}")
            return Verdict(Grade.CONFIRMED if threads else Grade.ACCEPTED)
        case _:
            return Verdict(Grade.ACCEPTED)

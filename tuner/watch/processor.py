"""What the processor of this machine can do, in more detail than a study stores of it.

None of it is part of the fingerprint of tuner/hardware.py: databases have that.
"""

import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tuner import hardware

_PROC = Path("/proc")
_SYS = Path("/sys")
# Names in /proc/cpuinfo (kernel: arch/x86/include/asm/cpufeatures.h, arch/arm64 cpuinfo.c).
_INSTRUCTIONS = {
    "AVX2": frozenset({"avx2"}),
    "AVX-512": frozenset({"avx512f"}),
    "VNNI": frozenset({"avx512_vnni", "avx_vnni"}),
    "AMX": frozenset({"amx_tile"}),
    "bf16": frozenset({"avx512_bf16", "amx_bf16", "bf16"}),
}
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Processor:
    """`usable` are the logical processors that this process may run on, `physical` their cores.

    `quota` is the processors' worth of time that the control groups allow, that of all usable ones
    where they set no limit. `instructions` says of each set whether there is one; `caches` are
    the sizes in bytes of those that the first processor has, by level: `L1d`, `L2`.
    """

    architecture: str
    usable: int
    physical: int
    quota: float
    instructions: Mapping[str, bool]
    caches: Mapping[str, int]

    @property
    def is_x86(self) -> bool:
        return self.architecture in ("x86_64", "AMD64", "i686")


def detect(*, proc: Path = _PROC, sys: Path = _SYS) -> Processor:
    """The processor of this machine, as `proc` and `sys` show it."""
    usable = os.sched_getaffinity(0)
    quota = hardware.quota(proc=proc, sys=sys)
    words = _feature_words(proc)
    return Processor(
        architecture=platform.machine(),
        usable=len(usable),
        physical=len({_core(sys, each) for each in usable}),
        quota=min(len(usable), quota or len(usable)),
        instructions={name: bool(each & words) for name, each in _INSTRUCTIONS.items()},
        caches=dict(_caches(sys)),
    )


def _core(sys: Path, processor: int) -> str:
    """What all threads of a core have in common; the processor alone where that is not said."""
    folder = sys / f"devices/system/cpu/cpu{processor}/topology"
    return _text(folder / "thread_siblings_list") or str(processor)


def _feature_words(proc: Path) -> frozenset[str]:
    """`flags` of x86, `Features` of Arm."""
    line = r"^(?:flags|Features)\s*:(.*)"
    found = re.search(line, _text(proc / "cpuinfo"), re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def _caches(sys: Path) -> Iterator[tuple[str, int]]:
    """Source: the kernel's Documentation/ABI/testing/sysfs-devices-system-cpu."""
    for folder in sorted((sys / "devices/system/cpu/cpu0/cache").glob("index[0-9]*")):
        size = re.fullmatch(r"(\d+)([KMG])", _text(folder / "size"))
        if size:
            kind = {"Data": "d", "Instruction": "i"}.get(_text(folder / "type"), "")
            yield f"L{_text(folder / 'level')}{kind}", int(size[1]) * _UNITS[size[2]]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""

"""How often the kernel has ended a process for want of memory."""

from pathlib import Path

_COUNTERS = Path("/proc/vmstat")
# Counts processes killed by the OOM killer, of the machine and of groups with a limit alike
# (Linux 4.13, mm/oom_kill.c).
_NAME = "oom_kill"


def oom_kills(counters: Path = _COUNTERS) -> int | None:
    """Since this machine was started; None where the kernel does not say."""
    try:
        lines = counters.read_text().splitlines()
    except OSError:
        return None
    found = (line.partition(" ") for line in lines)
    return next((int(value) for name, _, value in found if name == _NAME), None)

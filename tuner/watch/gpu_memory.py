"""Whether the memory of a server that is gone is free again on the GPUs."""

import time

from tuner.watch.gpu_usage import Nvml

# What a driver may keep for itself.
_SLACK_BYTES = 64 << 20
# How long a driver may take to give memory back, and how often it is asked, in seconds.
_PATIENCE_S = 10.0
_POLL_S = 0.1


class GpuMemory:
    """The memory in use before the first server, which every later one is to find again."""

    def __init__(self, gpus: Nvml | None = None, *, patience_s: float = _PATIENCE_S) -> None:
        self._gpus = gpus
        self._patience_s = patience_s
        self._before: dict[str, int] = {}

    def missing(self) -> str:
        """What is not free again although it was waited for, in a sentence; empty if all is.

        The first call, while no server was started yet, is what the later ones compare with.
        """
        if not self._before:
            self._before = self._used()
            return ""
        deadline = time.monotonic() + self._patience_s
        while late := self._late():
            if time.monotonic() > deadline:
                return late
            time.sleep(_POLL_S)
        return ""

    def _late(self) -> str:
        for name, used in self._used().items():
            before = self._before.get(name, used)
            if used > before + _SLACK_BYTES:
                return (
                    f"{used / 2**30:.1f} GiB of {name} are in use without a server, "
                    f"{before / 2**30:.1f} GiB were before the first one; `nvidia-smi` shows by "
                    "whom"
                )
        return ""

    def _used(self) -> dict[str, int]:
        """By the names of the GPUs that tell it."""
        found = (self._gpus.read() or {}) if self._gpus else {}
        told = {name: usage.memory_used_bytes for name, usage in found.items()}
        return {name: used for name, used in told.items() if used is not None}

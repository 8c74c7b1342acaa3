"""The memory of a server that is gone, on the GPUs: the next one starts when it is free again."""

import time

from tuner.watch.gpu_usage import Nvml

# What a driver may keep for itself.
_SLACK_BYTES = 64 << 20
# How long a driver may take to give memory back, and how often it is asked, in seconds.
_PATIENCE_S = 10.0
_POLL_S = 0.1


class GpuMemory:
    """What was in use before the last start, which the next one is to find again."""

    def __init__(self, gpus: Nvml | None = None, *, patience_s: float = _PATIENCE_S) -> None:
        self._gpus = gpus
        self._patience_s = patience_s
        self._before: dict[str, int] = {}

    def settle(self) -> bool:
        """Wait, before each start, until what the last one took is free; whether it is.

        After ten seconds whoever has it is somebody else: the start goes on with what there is,
        and what is in use then is what the next one compares with.
        """
        deadline = time.monotonic() + self._patience_s
        while not (free := self._is_free(used := self._used())) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self._before = used
        return free

    def _is_free(self, used: dict[str, int]) -> bool:
        return all(
            bytes_used <= self._before.get(name, bytes_used) + _SLACK_BYTES
            for name, bytes_used in used.items()
        )

    def _used(self) -> dict[str, int]:
        """By the names of the GPUs that tell it."""
        found = (self._gpus.read() or {}) if self._gpus else {}
        told = {name: usage.memory_used_bytes for name, usage in found.items()}
        return {name: used for name, used in told.items() if used is not None}

"""One server in a container of this machine's Docker engine."""

import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter, sleep

from runners.docker_engine import ContainerState, Engine, Refused
from runners.errors import EngineUnreachable, StopFailed
from runners.guardian import descendants
from runners.ports import LOCAL_HOST, Addressed, accepts_connections, listens_in_its_network

# Lines of the log that are kept once the container is gone; more can be read while it runs.
_KEPT_LINES = 1000
# Seconds for a container to be gone once it is killed: the engine may be restarted meanwhile, and
# the server may hand back a GPU's memory.
_REMOVE_ALLOWANCE_S = 60.0
# Seconds in which the engine learns that a container's process has ended.
_NOTICE_S = 2.0
# Seconds between two questions to the engine, and to one that is away.
_POLL_S = 0.02
_AWAY_POLL_S = 0.5
# What an init process or a shell says of one that a signal ended (POSIX, Shell & Utilities 2.8.2).
_ENDED_BY_SIGNAL = 128


class ContainerServer(Addressed):
    """A `RunningServer`; only the runner that made it calls `stop`, once."""

    log_location = ""  # the engine keeps it, and loses it with the container

    def __init__(self, engine: Engine, container: str, *, ports: Mapping[str, int]) -> None:
        super().__init__(LOCAL_HOST, ports)
        self._engine = engine
        self._container = container
        self._lock = threading.Lock()
        self.pid = 0
        self._ended = False
        self._exit_code: int | None = None
        self._kept_log: bytes | None = None
        self._head: list[str] = []  # asked of the engine once only: it tells it with all the rest

    def is_alive(self) -> bool:
        with self._lock:
            self._look()
            return not self._ended

    def exit_code(self) -> int | None:
        """None while it runs, and where the engine that knew it is gone, or lost it."""
        with self._lock:
            self._look()
            return self._exit_code

    def log_head(self, lines: int = 200) -> str:
        if len(self._head) < lines and self.is_alive():
            with suppress(EngineUnreachable):
                log = self._engine.log(self._container).decode(errors="replace")
                self._head = log.splitlines()[:lines]
        return "\n".join(self._head[:lines])

    def log_tail(self, lines: int = 40) -> str:
        if lines <= 0:
            return ""
        kept = self._kept_log
        if kept is None:
            with suppress(EngineUnreachable):
                kept = self._engine.log(self._container, lines=lines)
        rows = (kept or b"").decode(errors="replace").splitlines()
        return "\n".join(rows[-lines:])

    def started(self) -> None:
        """Take in what the engine knows now that it was asked to start the container."""
        state = self._engine.state(self._container)
        self.pid = state.pid if state else 0
        unseen = self.pid and not Path(f"/proc/{self.pid}").exists()
        if unseen and not self.wait_for_exit(_NOTICE_S):
            raise EngineUnreachable(reason="its processes cannot be seen from here")

    def listens_on(self, port: int) -> bool:
        """Whether the server itself does: the engine's proxy accepts connections before it."""
        processes = (self.pid, *descendants(self.pid))
        if not self.pid or not listens_in_its_network(port, processes, ancestor=self.pid):
            return False
        return accepts_connections(port)

    def stop(self, grace_s: float) -> None:
        """Return once the container is gone; interrupts must be deferred meanwhile."""
        deadline = perf_counter() + grace_s + _REMOVE_ALLOWANCE_S
        while True:
            try:
                return self._stop(min(grace_s, deadline - perf_counter()))
            except EngineUnreachable:
                if perf_counter() > deadline:
                    waited_s = grace_s + _REMOVE_ALLOWANCE_S
                    raise StopFailed(pid=self.pid, waited_s=waited_s) from None
                sleep(_AWAY_POLL_S)

    def _stop(self, grace_s: float) -> None:
        if self.is_alive():
            self._engine.signal(self._container, "SIGTERM")
            self.wait_for_exit(grace_s)
        if self.is_alive():
            self._engine.signal(self._container, "SIGKILL")
            self.wait_for_exit(_REMOVE_ALLOWANCE_S)
        self._kept_log = self._engine.log(self._container, lines=_KEPT_LINES)
        try:
            self._engine.remove(self._container)
        except Refused:
            raise StopFailed(pid=self.pid, waited_s=_REMOVE_ALLOWANCE_S) from None
        with self._lock:
            self._ended = True

    def wait_for_exit(self, timeout_s: float) -> bool:
        """Return at once when the server ends, else after the timeout."""
        deadline = perf_counter() + timeout_s
        while (alive := self.is_alive()) and perf_counter() < deadline:
            sleep(_POLL_S)
        return not alive

    def _look(self) -> None:
        if self._ended:
            return
        try:
            state = self._engine.state(self._container)
        except (EngineUnreachable, Refused):
            # Its processes tell whether it lives; how it ended, nobody knows any more.
            self._ended = not (self.pid and Path(f"/proc/{self.pid}").exists())
            return
        self._ended = state is None or not state.running
        if state is not None and self._ended:
            self._exit_code = _exit_code(state)


def _exit_code(state: ContainerState) -> int:
    """As a process of this machine would have it: a signal's number is negative."""
    if state.out_of_memory:
        return -signal.SIGKILL
    code = state.exit_code
    return _ENDED_BY_SIGNAL - code if code > _ENDED_BY_SIGNAL else code

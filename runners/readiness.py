"""Waits for a server: until it listens, or until it says that it is ready."""

from collections.abc import Callable
from time import perf_counter, sleep
from typing import Protocol, TypeVar

from runners.base import LaunchSpec, RunningServer
from runners.errors import StartFailed, StartTimeout
from runners.log_ends import COMPLAINT_LINES, complaint

Missing = TypeVar("Missing")

# Pauses between two looks, in seconds; each is longer than the one before it.
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.1
_PAUSE_GROWTH = 1.2


class StartedServer(RunningServer, Protocol):
    """A server that may not listen yet."""

    @property
    def log_location(self) -> str:
        """Where its whole log is; empty if nobody can read it there."""

    def listens_on(self, port: int) -> bool: ...

    def wait_for_exit(self, timeout_s: float) -> bool: ...


def await_ready(
    missing: Callable[[], Missing],
    is_alive: Callable[[], bool],
    *,
    timeout_s: float,
    pause: Callable[[float], object] = sleep,
) -> Missing:
    """Ask `missing` until its answer is empty; the last answer.

    It is not asked again once `timeout_s` is over, or the server has ended. `pause` waits for the
    seconds that it is given.
    """
    deadline = perf_counter() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while (found := missing()) and is_alive() and perf_counter() <= deadline:
        pause(pause_s)
        pause_s = min(_PAUSE_GROWTH * pause_s, _LONGEST_PAUSE_S)
    return found


def await_listening(server: StartedServer, launch: LaunchSpec) -> bool:
    """Return once the server listens on all its ports: True; or has ended: False.

    Raises:
        StartTimeout: It did neither within the launch's `start_timeout_s`.
    """
    silent = dict(server.ports)

    def still_silent() -> dict[str, int]:
        for name in [name for name, port in silent.items() if server.listens_on(port)]:
            del silent[name]
        return silent

    await_ready(
        still_silent,
        server.is_alive,
        timeout_s=launch.start_timeout_s,
        pause=server.wait_for_exit,
    )
    if silent and server.is_alive():
        raise StartTimeout(
            command=launch.command[0],
            timeout_s=launch.start_timeout_s,
            ports=silent,
            log_tail=server.log_tail(),
            log_location=server.log_location,
        )
    return not silent and server.is_alive()


def start_failed(server: StartedServer, launch: LaunchSpec) -> StartFailed:
    """The error of a server that ended before it listened, with what it said last."""
    return StartFailed(
        command=launch.command[0],
        exit_code=server.exit_code() or 0,
        complaint=complaint(server.log_tail(COMPLAINT_LINES)),
        log_tail=server.log_tail(),
        log_location=server.log_location,
    )

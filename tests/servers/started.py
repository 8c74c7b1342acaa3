"""Starts a server as our own runner does, and hands it out once it answers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import perf_counter, sleep

import httpx

from runners.base import LaunchSpec, RunningServer
from runners.errors import PortTaken, StartFailed, StartTimeout
from runners.ports import choose_free_ports
from runners.process import ProcessRunner

READY_TIMEOUT_S = 60.0
_POLL_S = 0.05

PortChoice = Callable[[tuple[str, ...]], Mapping[str, int]]


@contextmanager
def started(
    launch_spec: LaunchSpec,
    *,
    logs: Path,
    is_ready: Callable[[RunningServer], bool],
    choose_ports: PortChoice = choose_free_ports,
) -> Iterator[RunningServer]:
    """The server, once `is_ready` says that it answers; an `httpx.TransportError` says no.

    Raises:
        RunnerError: It did not start; what it logged is a note of the error.
        AssertionError: It did not become ready; what it logged is in the message.
    """
    runner = ProcessRunner(log_directory=logs, choose_ports=choose_ports)
    with ExitStack() as stack:
        try:
            server = stack.enter_context(runner.start(launch_spec))
        except (StartFailed, StartTimeout, PortTaken) as error:
            error.add_note(error.log_tail)
            raise
        _wait_until_ready(server, is_ready)
        yield server


def _wait_until_ready(server: RunningServer, is_ready: Callable[[RunningServer], bool]) -> None:
    deadline = perf_counter() + READY_TIMEOUT_S
    while True:
        with suppress(httpx.TransportError):
            if is_ready(server):
                return
        if not server.is_alive() or perf_counter() > deadline:
            raise AssertionError(f"the server does not answer; it logged:\n{server.log_tail()}")
        sleep(_POLL_S)

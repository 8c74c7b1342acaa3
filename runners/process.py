"""Runs a server as a process of this machine."""

import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from runners import environment
from runners.base import LaunchSpec
from runners.errors import PortTaken
from runners.interrupts import interrupts_deferred
from runners.ports import LOCAL_HOST, PORT_ATTEMPTS, choose_free_ports, is_held
from runners.process_server import ProcessServer
from runners.readiness import await_listening, start_failed


class ProcessRunner:
    """Starts every server under a guardian process of its own.

    The kernel's "die with your parent" alone would not do: it fires when the parent THREAD ends,
    covers no grandchildren, and removes no files.
    """

    may_restart = True

    def __init__(
        self,
        *,
        log_directory: Path,
        choose_ports: Callable[[tuple[str, ...]], Mapping[str, int]] = choose_free_ports,
    ) -> None:
        self._log_directory = log_directory
        self._choose_ports = choose_ports

    @contextmanager
    def start(self, launch_spec: LaunchSpec) -> Iterator[ProcessServer]:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            server = self._describe_server(launch_spec)
            with _stopped_at_last(server):
                if await_listening(server, launch_spec):
                    yield server
                    return
            # Now all that could hold a port on behalf of this server is gone.
            held = [port for port in server.ports.values() if is_held(port)]
            if not held:
                raise start_failed(server, launch_spec)
            if attempt == PORT_ATTEMPTS:
                raise PortTaken(ports=held, attempts=attempt, log_tail=server.log_tail())

    def _describe_server(self, launch_spec: LaunchSpec) -> ProcessServer:
        ports = self._choose_ports(launch_spec.ports)
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        unique = uuid.uuid4().hex[:8]
        name = f"{Path(launch_spec.command[0]).name}-{moment}-{unique}"
        # Short: servers put sockets there, whose paths have 107 characters at most (unix(7)).
        folder = Path(tempfile.gettempdir(), f"tuner-{unique}").absolute()
        return ProcessServer(
            launch=launch_spec.placed(ports, address=LOCAL_HOST, folder=str(folder)),
            ports=ports,
            folder=folder if launch_spec.needs_folder else None,
            inherited_environment=environment.inherited(launch_spec.withheld),
            log_path=self._log_directory / f"{name}.log",
        )


@contextmanager
def _stopped_at_last(server: ProcessServer) -> Iterator[None]:
    try:
        with interrupts_deferred():
            server.launch()
        yield
    finally:
        with interrupts_deferred():
            server.stop()

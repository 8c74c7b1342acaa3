"""A server that already runs: nothing is started here, and nothing is stopped."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from runners.base import LaunchSpec
from runners.errors import StartTimeout
from runners.ports import Addressed, accepts_connections

# For a connection to a server that may be far away, in seconds.
_CONNECT_TIMEOUT_S = 5.0


class RemoteServer(Addressed):
    """A `RunningServer` of which only its addresses are known; `pid` is 0: it has none here."""

    pid = 0

    def is_alive(self) -> bool:
        return all(self.listens_on(port) for port in self.ports.values())

    def exit_code(self) -> int | None:
        """None: how it ended is known to those who run it."""
        return None

    def log_tail(self, lines: int = 40) -> str:
        """Empty: its log is with those who run it."""
        del lines
        return ""

    log_head = log_tail

    def listens_on(self, port: int) -> bool:
        return accepts_connections(port, self.host, timeout_s=_CONNECT_TIMEOUT_S)


class RemoteRunner:
    """Hands out the one server; a start of it is only a look whether it listens."""

    may_restart = False

    def __init__(self, host: str, ports: Mapping[str, int]) -> None:
        self.server = RemoteServer(host, ports)

    @contextmanager
    def start(self, launch_spec: LaunchSpec) -> Iterator[RemoteServer]:
        del launch_spec  # it runs already
        server = self.server
        silent = [name for name, port in server.ports.items() if not server.listens_on(port)]
        if silent:
            raise StartTimeout(
                command=server.url(silent[0]), timeout_s=_CONNECT_TIMEOUT_S, ports=silent
            )
        yield server

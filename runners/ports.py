"""Ports of this machine: choosing free ones, and seeing who listens on them."""

import socket
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

LOCAL_HOST = "127.0.0.1"
# Starts of a server, each with other ports, until a taken port is an error.
PORT_ATTEMPTS = 3
# For a connection to a port of this machine, in seconds.
_CONNECT_TIMEOUT_S = 0.5
# TCP_LISTEN in the tables of proc_net(5).
_LISTENING = b"0A"


class Addressed:
    """The part of a `RunningServer` that says where it is."""

    def __init__(self, host: str, ports: Mapping[str, int]) -> None:
        self.host = host
        self.ports: Mapping[str, int] = MappingProxyType(dict(ports))

    def url(self, port_name: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.ports[port_name]}"


def choose_free_ports(names: Iterable[str]) -> dict[str, int]:
    ports: dict[str, int] = {}
    with ExitStack() as stack:  # all stay bound until the last is chosen, so that they differ
        for name in names:
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            probe.bind((LOCAL_HOST, 0))
            ports[name] = probe.getsockname()[1]
    return ports


def accepts_connections(
    port: int, host: str = LOCAL_HOST, *, timeout_s: float = _CONNECT_TIMEOUT_S
) -> bool:
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as probe:
            # Connecting to a free port of the ephemeral range can, by chance, get that very port
            # as its own end; TCP then connects the socket to itself.
            return bool(probe.getsockname() != probe.getpeername())
    except OSError:
        return False


def is_held(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections that a dead server left in TIME_WAIT hold nothing.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCAL_HOST, port))
        except OSError:
            return True
    return False


def is_listener_among(port: int, pids: Iterable[int]) -> bool:
    """Whether one of the processes listens on the port; True as well when nobody can tell."""
    sockets = set(_listening(port, Path("/proc/net")))
    return not sockets or any(_holds_one(pid, sockets) for pid in pids)


def listens_in_its_network(port: int, pids: Iterable[int], *, ancestor: int) -> bool:
    """The same for processes that may have a network of their own, that of `ancestor`."""
    sockets = set(_listening(port, Path(f"/proc/{ancestor}/net")))
    return bool(sockets) and any(_holds_one(pid, sockets) for pid in pids)


def _listening(port: int, tables: Path) -> Iterator[str]:
    """The sockets that listen on the port, as links to them are called."""
    for table in (tables / "tcp", tables / "tcp6"):
        try:
            lines = table.read_bytes().splitlines()[1:]
        except OSError:  # no such protocol here, or the process has ended
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(b":")[2], 16) == port:
                yield f"socket:[{int(fields[9])}]"


def _holds_one(pid: int, sockets: Collection[str]) -> bool:
    try:
        descriptors = Path(f"/proc/{pid}/fd").iterdir()
        return any(str(descriptor.readlink()) in sockets for descriptor in descriptors)
    except PermissionError:
        return True
    except OSError:  # it ended, or closed a descriptor, while we looked
        return False

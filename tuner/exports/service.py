"""One server as it is to be deployed, whatever is to start it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from tuner.numbers import quantities

MODELS = "/models"
"""Where a container has the models."""

FILES = "/tuner-files"
"""Where a container has the files that the tuner writes."""

ALL_GPUS = "all"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Mount:
    """A file or folder of the machine, and where the server finds it.

    It reads it; one that is `writable` keeps what the server has compiled or downloaded.
    """

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True)
class TextFile:
    """A file that comes with the service; `covers` says whether `target` lies in a mount."""

    name: str
    text: str
    target: str
    covers: bool = False


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What the server gets, as it was measured; what is empty or zero was not limited.

    Attributes:
        cpus: Processors' worth of time.
        cpuset: Their numbers, such as `0,2-3`.
        memory: The limit, as Docker writes it (`4g`), also of `shm_size`.
        used_bytes: What the server took in bytes, as measured.
        gpus: `all`, or ids in a list such as `0,1`; empty where only their number is known.
        gpu_count: How many it had.
    """

    cpus: float = 0.0
    cpuset: str = ""
    memory: str = ""
    used_bytes: int = 0
    shm_size: str = ""
    gpus: str = ""
    gpu_count: int = 0

    @property
    def reserved_mib(self) -> int:
        """What was used, rounded up to whole MiB, within the limit; 0 if that is not known."""
        used = -(-max(self.used_bytes, 0) >> 20)
        # Pages that processes share count for each of them: their sum may exceed the limit.
        return min(used, quantities.size_bytes(self.memory) >> 20) if self.memory else used


@dataclass(frozen=True)
class Probes:
    """Paths that answer with success while the server lives, and once it is ready."""

    live: str
    ready: str


@dataclass(frozen=True, kw_only=True)
class Service:
    """A server with everything that it needs.

    Attributes:
        name: A DNS label that begins with a letter (RFC 1035).
        image: Empty for a program of the machine.
        command: The program and its arguments; no shell reads it.
        secrets: Variables that it needs and whose values are not stored.
        ports: By name, that of requests over HTTP first.
        directory: Where it starts; empty where that does not matter.
        limits: `ulimit`s by name.
        host_network: Whether it has the network of the machine.
        start_timeout_s: How long it may take until it is ready, in seconds.
        notes: What is to be known and to be replaced, in sentences.
    """

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    files: tuple[TextFile, ...] = ()
    ports: Mapping[str, int]
    probes: Probes
    resources: Resources = Resources()
    directory: str = ""
    capabilities: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    user: str = ""
    host_network: bool = False
    start_timeout_s: float = 120.0
    notes: tuple[str, ...] = ()

    @property
    def port(self) -> int:
        """The one that takes requests over HTTP."""
        return next(iter(self.ports.values()))

    def url(self, path: str) -> str:
        """The address of `path` on the machine that it runs on."""
        return f"http://{LOOPBACK}:{self.port}{path}"


def comments(notes: tuple[str, ...]) -> str:
    """`notes` as lines that every format here takes for comments."""
    lines = (line for note in notes for line in note.splitlines() or [""])
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def probing(path: str, port: int) -> str:
    """A command for bash that succeeds where the answer does: images often have no curl."""
    request = rf"GET %s HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n"
    return (
        f"exec 3<>/dev/tcp/{LOOPBACK}/{port} && printf '{request}' {shlex.quote(path)} >&3 && "
        "read -r _ status _ <&3 && [[ $status == 2?? ]]"
    )

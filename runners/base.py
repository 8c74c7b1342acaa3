"""What a runner is given, what it hands out, and what it promises."""

import dataclasses
import itertools
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

PLACEHOLDER = re.compile(r"\{(?:port:([^{}]+)|address|folder)\}")
"""What a start fills in; the group is the name of a port."""


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """How to start one server.

    In a command argument, an environment value, a file or a leftover pattern, `{port:NAME}` is
    replaced by the number that was chosen for the port `NAME` at this start, `{address}` by the
    address to listen on, and `{folder}` by a folder of this start alone, which the server may
    write to and which is gone when the server is.

    Attributes:
        command: The program and its arguments; no shell reads it.
        environment: Variables set over the inherited ones.
        withheld: Variables that are not inherited.
        ports: Names of the ports the server listens on; a free number is chosen at every start.
        files: Texts by name, written into `{folder}` before the start.
        reads: Files and folders of this machine that the server needs; a container sees them at
            the same place, read-only.
        keeps: Folders of this machine that outlive the server, which may write to them; a
            container sees them at the same place.
        labels: What the start is marked with, where a runner can mark it.
        start_timeout_s: How long the server may take until every port accepts a connection.
        stop_grace_s: How long the server may take to end by itself once it was asked to.
        cpus: The processors the server may use; all of the tuner's when None.
        leftovers: Glob patterns of what the server leaves elsewhere, removed once it is gone.
        working_directory: Where the server starts; the tuner's own directory when None.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()
    ports: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[Path, ...] = ()
    keeps: tuple[Path, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 60.0
    stop_grace_s: float = 10.0
    cpus: frozenset[int] | None = None
    leftovers: tuple[str, ...] = ()
    working_directory: Path | None = None

    def __post_init__(self) -> None:
        self._check_command_and_ports()
        self._check_limits()
        for pattern in self.leftovers:
            _check_leftover(pattern)
        for name in self.files:
            _check_file_name(name)

    @property
    def needs_folder(self) -> bool:
        return bool(self.files) or any("{folder}" in text for text in self._texts)

    def placed(self, ports: Mapping[str, int], *, address: str, folder: str) -> "LaunchSpec":
        """The same launch with all placeholders replaced."""

        def fill(text: str) -> str:
            return PLACEHOLDER.sub(value, text)

        def value(match: re.Match[str]) -> str:
            if match[1] is not None:
                return str(ports[match[1]])
            return address if match[0] == "{address}" else folder

        return dataclasses.replace(
            self,
            command=tuple(fill(argument) for argument in self.command),
            environment={name: fill(text) for name, text in self.environment.items()},
            files={name: fill(text) for name, text in self.files.items()},
            leftovers=tuple(fill(pattern) for pattern in self.leftovers),
        )

    @property
    def _texts(self) -> tuple[str, ...]:
        """All that may hold a placeholder."""
        texts = (self.environment.values(), self.files.values(), self.leftovers)
        return (*self.command, *itertools.chain(*texts))

    def _check_command_and_ports(self) -> None:
        if not self.command or not self.command[0]:
            raise ValueError(f"`command` must name a program, but got {self.command!r}")
        if len(set(self.ports)) != len(self.ports):
            raise ValueError(f"names in `ports` must be unique, but got {self.ports!r}")
        for text in self._texts:
            for name in filter(None, PLACEHOLDER.findall(text)):
                if name not in self.ports:
                    raise ValueError(
                        f"`{{port:{name}}}` must name one of `ports`, but got ports={self.ports!r}"
                    )

    def _check_limits(self) -> None:
        if not self.start_timeout_s > 0:
            raise ValueError(f"`start_timeout_s > 0` must hold, but got {self.start_timeout_s!r}")
        if not self.stop_grace_s >= 0:
            raise ValueError(f"`stop_grace_s >= 0` must hold, but got {self.stop_grace_s!r}")
        if self.cpus is not None and (not self.cpus or min(self.cpus) < 0):
            raise ValueError(
                f"`cpus` must be processor numbers or None, but got {sorted(self.cpus)!r}"
            )


class RunningServer(Protocol):
    """A server that listened when it was handed out; every member may be used from any thread.

    The members stay usable after the server has ended and after the `with` block was left:
    then `is_alive()` is False, and `exit_code()` and `log_tail()` tell how it ended.
    """

    @property
    def host(self) -> str: ...

    @property
    def ports(self) -> Mapping[str, int]: ...

    @property
    def pid(self) -> int:
        """The process that all others of the server descend from, as this machine numbers it."""
        ...

    def url(self, port_name: str) -> str: ...

    def is_alive(self) -> bool: ...

    def exit_code(self) -> int | None:
        """None while the server runs; the negative signal number when a signal ended it.

        None as well where it is gone and nobody knows how it ended.
        """
        ...

    def log_head(self, lines: int = 200) -> str:
        """The first lines it wrote, while it runs: what it says of its settings."""
        ...

    def log_tail(self, lines: int = 40) -> str: ...


class Runner(Protocol):
    """Starts servers; one runner may hold several servers at once, from several threads.

    - Nothing happens before the context manager is entered; it is entered and left once, by
      the same thread.
    - Entering returns once every port accepts a connection and the server is alive. It raises
      `CommandNotFound`, `LaunchRefused`, `StartFailed`, `StartTimeout` or `PortTaken`, and then
      nothing of the server is left.
    - Leaving stops the server, its descendants and its leftovers, whatever ended the block: an
      exception, an interrupt, or the server's own death, which is no error here. It raises
      `StopFailed` when a process cannot be stopped.
    - When the tuner dies, even by `kill -9`, everything is removed all the same: at once by the
      process runner, at the next start by the Docker runner.
    - `may_restart`: whether leaving and entering again is a restart. A server that already runs
      stays as it is.
    """

    may_restart: bool

    def start(self, launch_spec: LaunchSpec) -> AbstractContextManager[RunningServer]: ...


def _check_leftover(pattern: str) -> None:
    # An empty prefix must never turn "/dev/shm/{prefix}*" into everything that lies there.
    last_part = pattern.rpartition("/")[2]
    if not pattern.startswith("/") or not last_part or last_part[0] in "*?[.":
        raise ValueError(
            "a pattern in `leftovers` must be absolute and its last part must begin with "
            f"the name's first letters, but got {pattern!r}"
        )


def _check_file_name(name: str) -> None:
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"a name in `files` must be that of a file, but got {name!r}")

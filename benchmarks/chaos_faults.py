"""Faults that strike a study while it runs: each is over after some seconds, or ends a process."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

# What the words of the processes of a tuner have in them.
_WORDS = {
    "engine": "tuner.load.engine",
    "guardian": "guardian.py",
    "server": "tritonserver",
    "stub": "triton_python_backend_stub",
}
# How long a stopped process sleeps, a database is locked, and so on.
LASTS_S = 4.0
# How long a process is waited for that is to be struck.
_APPEARS_S = 60.0


@dataclass(frozen=True)
class Scene:
    """What can be struck: the tuner's process, and its database, a path or a URL."""

    pid: int
    database: str

    def process(self, kind: str) -> psutil.Process:
        """The tuner itself, or the process that works for it, once there is one.

        Raises:
            TimeoutError: There is none.
        """
        if kind == "tuner":
            return psutil.Process(self.pid)
        deadline = time.monotonic() + _APPEARS_S
        while time.monotonic() < deadline:
            for child in psutil.Process(self.pid).children(recursive=True):
                with suppress(psutil.Error):
                    words = child.cmdline()
                    if any(_WORDS[kind] in word for word in words[:4]):
                        return child
            time.sleep(0.01)
        raise TimeoutError(f"no {kind} for {_APPEARS_S:g} s")


Strike = Callable[[Scene], None]
"""Returns when the fault is over."""


def _killed(kind: str) -> Strike:
    return lambda scene: os.kill(scene.process(kind).pid, signal.SIGKILL)


def _stopped(kind: str) -> Strike:
    def strike(scene: Scene) -> None:
        pid = scene.process(kind).pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(LASTS_S)
        with suppress(ProcessLookupError):  # the tuner may have ended it meanwhile
            os.kill(pid, signal.SIGCONT)

    return strike


def _locked(scene: Scene) -> None:
    """As somebody does who looks into it with a tool."""
    connection = sqlite3.connect(scene.database, isolation_level=None, timeout=30.0)
    with closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(LASTS_S)


def _disk_full(scene: Scene) -> None:
    """All of the file system of the database is taken for some seconds."""
    filler = Path(scene.database).with_name("filler")
    try:
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 65_536)
                file.flush()
        time.sleep(LASTS_S)
    finally:
        filler.unlink(missing_ok=True)


def _network_cut(scene: Scene) -> None:
    """The loopback of the tuner's own network is down for some seconds."""
    inside = ["nsenter", "--target", str(scene.pid), "--net"]
    subprocess.run([*inside, "ip", "link", "set", "lo", "down"], check=True)
    time.sleep(LASTS_S)
    subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)


FAULTS: dict[str, Strike] = {
    **{f"kill -9 of the {kind}": _killed(kind) for kind in ("tuner", *_WORDS)},
    **{f"SIGSTOP of the {kind}": _stopped(kind) for kind in ("tuner", *_WORDS)},
    "database locked": _locked,
    "disk full": _disk_full,
    "network cut": _network_cut,
}


@contextmanager
def small_disk(folder: Path, size: str = "16m") -> Iterator[Path]:
    """A file system of that size at `folder`; the user must be root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "chaos", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def own_network(command: list[str]) -> list[str]:
    """The command in a network of its own, in which only the loopback is up."""
    start = 'ip link set lo up; exec "$@"'
    return ["unshare", "--net", "sh", "-c", start, "sh", *command]

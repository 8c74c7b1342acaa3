"""Studies on a fleet in namespaces, for the benchmarks: what they tune, their commands, trials."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.fleet_hosts import TUNER
from tuner.records import StudyRecord, TrialRecord
from tuner.store.storage import Storage

# Answers one request at a time, each after a sleep: no processor time to speak of is needed.
_SERVER = """
import socket, sys, threading, time

port, starts_s, takes_s = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
time.sleep(starts_s)
slot = threading.Lock()


def serve(connection):
    received = b""
    while data := connection.recv(65536):
        received += data
        while b"\\r\\n\\r\\n" in received:
            head, _, received = received.partition(b"\\r\\n\\r\\n")
            if head.startswith(b"POST"):
                lines = head.lower().split(b"\\r\\n")
                length = next(int(l[15:]) for l in lines if l.startswith(b"content-length:"))
                while len(received) < length:
                    received += connection.recv(65536)
                received = received[length:]
                with slot:
                    time.sleep(takes_s)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")


listener = socket.create_server(("127.0.0.1", port), backlog=1024)
while True:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""
_SPACE = """
server: command
description: sleeps, whatever its one parameter is

serve:
  command: [{python}, server.py, "{{port:http}}", "{starts_s}", "{takes_s}", "{{{{ number }}}}"]
  reads: [server.py]
  ready: /health
  request: {{path: /infer, body: x}}

parameters:
  number: {{type: int, low: 1, high: {size}, default: 1, sets: {{template: number}}}}
"""


@dataclass(frozen=True)
class Sleeper:
    """A server that sleeps when it starts and for each request; `size` configurations of it."""

    starts_s: float
    takes_s: float
    size: int

    def write(self, folder: Path) -> Path:
        """Its space file."""
        (folder / "server.py").write_text(_SERVER)
        facts = {"starts_s": self.starts_s, "takes_s": self.takes_s, "size": self.size}
        file = folder / "space.yaml"
        file.write_text(_SPACE.format(python=sys.executable, **facts))
        return file


@dataclass(frozen=True)
class Study:
    """One that is to run in a folder, which has its database, too."""

    folder: Path
    name: str
    options: Sequence[str]

    @property
    def database(self) -> str:
        return str(self.folder / "studies.db")

    def command(self, *more: str) -> list[str]:
        """That of `tuner optimize`."""
        return [str(TUNER), "optimize", "--study", self.name, *self.options, *more, *self._places]

    def resume(self, *more: str) -> list[str]:
        return [str(TUNER), "resume", self.name, *more, *self._places]

    @property
    def _places(self) -> tuple[str, ...]:
        return ("--db", self.database, "--output", str(self.folder / "reports"))

    def record(self) -> StudyRecord:
        with Storage(self.database) as storage:
            return storage.study(self.name)


def began_at_s(trial: TrialRecord) -> float:
    """Unix time."""
    return ended_at_s(trial) - trial.timings_s["total"]


def ended_at_s(trial: TrialRecord) -> float:
    """Unix time."""
    return trial.finished_at.timestamp()


def gaps_s(trials: Sequence[TrialRecord]) -> list[float]:
    """The time between trials on each host: from the end of one to the beginning of the next."""
    found: list[float] = []
    for host in {trial.host for trial in trials}:
        own = sorted((each for each in trials if each.host == host), key=ended_at_s)
        found += [began_at_s(after) - ended_at_s(before) for before, after in pairwise(own)]
    return found

"""The tuner's end of the load engine: starts the process, hands it work, ends it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from tuner.errors import LoadError
from tuner.load.measurement import Measurement, RunRecord
from tuner.load.profile import LoadRun
from tuner.load.requests import RequestSet

# What the process may need beyond the run itself before its silence means that it is stuck.
_PATIENCE_S = 20.0
_ENDING_S = 2.0


class LoadEngine:
    """A load engine process for as long as the `with` block lasts.

    `cpus` pins the process; empty means wherever the system likes.
    """

    def __init__(self, *, cpus: Iterable[int] = ()) -> None:
        self._cpus = ",".join(str(cpu) for cpu in sorted(cpus))
        self._inferences = 1

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tuner.load.engine", str(theirs.fileno()), self._cpus],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is this process's affair, even while that one starts
                env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": _import_path()},
            )
        self._pipe = Connection(ours.detach())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe.close()  # which ends the process
        try:
            self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def prepare(self, requests: RequestSet) -> None:
        """Send `requests` from now on."""
        self._inferences = requests.inferences
        self._send(requests)

    def measure(self, run: LoadRun) -> Measurement:
        """Put the load on the server; takes `duration_s`, and `drain_s` more at most.

        Raises:
            LoadError: The engine process died, or cannot send at all. That the server fails is no
                error: it is in the measurement.
        """
        self._send(run)
        patience_s = run.duration_s + run.drain_s + run.timeout_s + _PATIENCE_S
        try:
            answer = self._pipe.recv() if self._pipe.poll(patience_s) else None
        except (EOFError, OSError):
            raise self._died() from None
        if isinstance(answer, RunRecord):
            return Measurement.of(run, answer, self._inferences)
        if isinstance(answer, LoadError):
            raise answer
        raise LoadError(
            f"the load engine gave no answer within {patience_s:.0f} s",
            hint="see whether the machine is out of memory or stopped",
        )

    def _send(self, message: RequestSet | LoadRun) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            raise self._died() from None

    def _died(self) -> LoadError:
        status = self._process.wait()
        return LoadError(
            f"the load engine ended unexpectedly (exit status {status})",
            hint="see whether the machine is out of memory; its last words are above",
        )


def _import_path() -> str:
    """The engine finds the modules that this process finds, and in the same places."""
    return os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)

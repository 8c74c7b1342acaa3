"""One server of this machine, held through the guardian that started it."""

import glob
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter, sleep

from runners import guardian
from runners.base import LaunchSpec
from runners.errors import CommandNotFound, LaunchRefused, RunnerError, StopFailed
from runners.log_ends import read_log_head, read_log_tail, shorten
from runners.ports import LOCAL_HOST, Addressed, accepts_connections, is_listener_among

# Seconds for a server to be gone once it is killed: it may hand back a GPU's memory.
_KILL_ALLOWANCE_S = 30.0
# Seconds for the guardian to execute the command.
_LAUNCH_TIMEOUT_S = 30.0
# Seconds between two looks for what an ended guardian left.
_SWEEP_PAUSE_S = 0.01

# Every descendant of a server inherits this variable, so that they are found even when the
# guardian, their adoptive parent, is gone.
_MARKER_VARIABLE = "TUNER_SERVER_ID"


class ProcessServer(Addressed):
    """A `RunningServer`; only the runner that made it calls `launch` and `stop`, once each."""

    def __init__(
        self,
        *,
        launch: LaunchSpec,
        ports: Mapping[str, int],
        folder: Path | None = None,
        inherited_environment: Mapping[str, str],
        log_path: Path,
    ) -> None:
        super().__init__(LOCAL_HOST, ports)
        self.log_path = log_path
        self.log_location = str(log_path)
        self._launch = launch
        self._folder = folder
        own = () if folder is None else (glob.escape(str(folder)),)
        self._leftovers = (*launch.leftovers, *own)
        self._inherited_environment = dict(inherited_environment)
        self._marker = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._guardian: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._unread = b""
        self._guardian_ended = False
        self.pid = 0
        self._refusal: RunnerError | None = None
        self._exit_code: int | None = None

    def is_alive(self) -> bool:
        return self.exit_code() is None

    def exit_code(self) -> int | None:
        self._hear(0)
        return self._exit_code

    def log_head(self, lines: int = 200) -> str:
        return read_log_head(self.log_path, lines=lines) if self.is_alive() else ""

    def log_tail(self, lines: int = 40) -> str:
        return read_log_tail(self.log_path, lines=lines)

    def wait_for_exit(self, timeout_s: float) -> bool:
        """Return at once when the server ends, else after the timeout."""
        self._hear(timeout_s)
        return self._exit_code is not None

    def listens_on(self, port: int) -> bool:
        """Whether the port accepts a connection, and the server is the one who does."""
        if self._guardian is None or not accepts_connections(port):
            return False
        return is_listener_among(port, guardian.descendants(self._guardian.pid))

    def launch(self) -> None:
        """Return once the command runs; interrupts must be deferred meanwhile."""
        try:
            self._write_files()
        except OSError as error:
            raise self._refused(f"its files cannot be written: {error}") from error
        try:
            self._start_guardian()
        except OSError as error:
            raise self._refused(f"no guardian process: {error}") from error
        deadline = perf_counter() + _LAUNCH_TIMEOUT_S
        while not (self.pid or self._refusal or self._guardian_ended):
            if perf_counter() > deadline:
                raise self._refused(f"not executed within {_LAUNCH_TIMEOUT_S:g} s")
            self._hear(deadline - perf_counter())
        if self._refusal is not None:
            raise self._refusal
        if not self.pid:
            raise self._refused("the guardian process ended at once")

    def stop(self) -> None:
        """Return once nothing is left; interrupts must be deferred meanwhile."""
        try:
            if self._guardian is not None:
                self._end_guardian(self._guardian)
        finally:
            if self._link is not None:
                self._link.close()  # whatever went wrong: a guardian without a tuner kills
            if self._folder is not None:  # the guardian did it, unless it was never needed
                shutil.rmtree(self._folder, ignore_errors=True)
            shorten(self.log_path)

    def _end_guardian(self, process: subprocess.Popen[bytes]) -> None:
        allowed_s = self._launch.stop_grace_s + _KILL_ALLOWANCE_S
        deadline = perf_counter() + allowed_s
        process.send_signal(signal.SIGTERM)
        while not self._guardian_ended:
            if perf_counter() > deadline:
                raise StopFailed(pid=self.pid, waited_s=allowed_s)
            self._hear(deadline - perf_counter())
        if process.wait() != 0:  # it was killed, so its work is still to be done
            self._kill_marked(deadline)
            guardian.remove_leftovers(self._leftovers)

    def _write_files(self) -> None:
        if self._folder is not None:
            self._folder.mkdir(parents=True, mode=0o700)
            for name, text in self._launch.files.items():
                (self._folder / name).write_text(text)

    def _start_guardian(self) -> None:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._link, theirs = socket.socketpair()
        with theirs, self.log_path.open("ab") as log:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__],
                env=self._inherited_environment,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the terminal must not reach it
            )
        with suppress(ConnectionError):  # a guardian that died at birth is noticed by the caller
            self._link.sendall(json.dumps(self._orders()).encode() + b"\n")

    def _orders(self) -> guardian.Orders:
        marker = {_MARKER_VARIABLE: self._marker}
        directory, cpus = self._launch.working_directory, self._launch.cpus
        return {
            "tuner_pid": os.getpid(),
            "command": list(self._launch.command),
            "environment": {**self._inherited_environment, **self._launch.environment, **marker},
            "working_directory": None if directory is None else str(directory),
            "cpus": None if cpus is None else sorted(cpus),
            "stop_grace_s": self._launch.stop_grace_s,
            "leftovers": list(self._leftovers),
        }

    def _hear(self, timeout_s: float) -> None:
        """Take in what the guardian reported, waiting for something at most `timeout_s`."""
        link = self._link
        if link is None or self._guardian_ended:
            return
        poll = select.poll()  # unlike select.select, it knows descriptors above 1023
        with suppress(ValueError):  # closed by `stop` in another thread
            poll.register(link, select.POLLIN)
        if poll.poll(max(0.0, timeout_s) * 1000):
            with self._lock:
                self._receive(link)

    def _receive(self, link: socket.socket) -> None:
        try:
            received = link.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:  # another thread was faster
            return
        except OSError:
            received = b""
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            self._note(json.loads(line))
        if not received:
            if self.pid and self._exit_code is None:
                self._exit_code = -signal.SIGKILL  # the kernel's doing: it died with its guardian
            self._guardian_ended = True

    def _note(self, report: guardian.Report) -> None:
        match report["kind"]:
            case "started":
                self.pid = report["number"]
            case "exited":
                self._exit_code = report["number"]
            case "not executable":
                command = self._launch.command[0]
                self._refusal = CommandNotFound(command=command, reason=report["text"])
            case "refused":
                self._refusal = self._refused(report["text"])

    def _refused(self, reason: str) -> LaunchRefused:
        return LaunchRefused(command=self._launch.command[0], reason=reason)

    def _kill_marked(self, deadline: float) -> None:
        while marked := list(self._marked_processes()):
            if perf_counter() > deadline:
                raise StopFailed(pid=self.pid, waited_s=_KILL_ALLOWANCE_S)
            for pid in marked:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            sleep(_SWEEP_PAUSE_S)

    def _marked_processes(self) -> Iterator[int]:
        marker = f"{_MARKER_VARIABLE}={self._marker}".encode()
        for process in guardian.processes():
            with suppress(OSError):
                if marker in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                    yield process.pid

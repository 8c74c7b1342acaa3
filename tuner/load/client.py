"""The tuner's end of the load engine: starts the processes, hands them work, ends them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, time_ns
from typing import Self

from tuner.errors import EngineLostError, LoadError, TunerError
from tuner.load.in_process.hosted import HostedTriton, Question
from tuner.load.measurement import Measurement, RunRecord
from tuner.load.profile import ClosedLoop, LoadRun, Share
from tuner.load.requests import RequestSet

# Seconds that a process may need beyond the run itself, until its silence means that it is stuck.
_PATIENCE_S = 20.0
# Seconds that a process has to end by itself once its pipe is closed.
_ENDING_S = 2.0
# Runs are counted from one of so many numbers on.
_FIRST_RUNS = 10**5
# Seconds until several processes start, at one moment: by then the last has heard of it.
_HEAD_START_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where engine processes live.

    Variables beside those of this process, a file for their output (None: it goes where this one's
    does), and how many seconds they have to end by themselves.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    ending_s: float = _ENDING_S


_HERE = Place()


class LoadEngine:
    """Load engine processes for as long as the `with` block lasts.

    `cpus` pins them; empty means wherever the system likes. `workers` processes share each run:
    one sends over 20,000 requests per second on time (benchmarks, send_lag).
    """

    def __init__(
        self, *, cpus: Iterable[int] = (), workers: int = 1, place: Place = _HERE
    ) -> None:
        self._place = place
        self._cpus = ",".join(str(cpu) for cpu in sorted(cpus))
        self._first_workers = workers
        self._requests: RequestSet | None = None
        # A server may know the requests of an engine before this one.
        self._runs = time_ns() // 10**9 % _FIRST_RUNS

    def __enter__(self) -> Self:
        self._processes: list[_Process] = []
        self._stack = ExitStack()
        with ExitStack() as starting:
            starting.callback(self._stack.close)
            for _ in range(self._first_workers):
                self.add_worker()
            starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The numbers of the engine processes."""
        return tuple(each.process.pid for each in self._processes)

    @property
    def workers(self) -> int:
        return len(self._processes)

    def add_worker(self) -> None:
        """Share the next runs among one process more."""
        process = self._stack.enter_context(_Process(self._cpus, self._place))
        self._processes.append(process)
        if self._requests is not None:
            process.send(self._requests)

    def revive(self) -> None:
        """Begin again with as many processes, once one of them died or hangs."""
        workers = self.workers
        self._stack.close()
        self._processes = []
        for _ in range(workers):
            self.add_worker()

    def prepare(self, requests: RequestSet) -> None:
        """Send `requests` from now on.

        Raises:
            InputError: The metadata of a gRPC call cannot be sent.
            EngineLostError: An engine process has died.
        """
        if requests.call is not None:
            # Whoever measures over HTTP does not wait for this.
            from tuner.load.grpc.calls import request_block

            request_block(requests.call, "", "http")
        self._requests = requests
        for process in self._processes:
            process.send(requests)

    def measure(self, run: LoadRun) -> Measurement:
        """Put the load on the server; takes `duration_s`, and `drain_s` more at most.

        Raises:
            EngineLostError: An engine process died, or hangs; `revive` makes others.
            LoadError: It cannot send at all. That the server fails is no error: it is in the
                measurement.
        """
        # A closed loop has no work for more processes than requests in flight.
        most = run.profile.concurrency if isinstance(run.profile, ClosedLoop) else None
        processes = self._processes[:most]
        self._runs += 1
        for index, process in enumerate(processes):
            share = Share(index, len(processes))
            process.send(replace(run, share=share, serial=self._runs))
        for process in processes:
            process.receive(run.timeout_s + _PATIENCE_S)
        start_s = monotonic() + (_HEAD_START_S if len(processes) > 1 else 0.0)
        for process in processes:
            process.send(start_s)
        patience_s = run.duration_s + run.drain_s + run.timeout_s + _PATIENCE_S
        answers = [process.receive(patience_s) for process in processes]
        records = [answer for answer in answers if isinstance(answer, RunRecord)]
        inferences = self._requests.inferences if self._requests else 1
        return Measurement.of(run, records, inferences)


class _Process:
    """One engine process and the pipe to it."""

    def __init__(self, cpus: str, place: Place) -> None:
        self._cpus = cpus
        self._place = place

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        log = self._place.log
        with theirs, log.open("wb") if log else nullcontext() as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tuner.load.engine", str(theirs.fileno()), self._cpus],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,  # Ctrl-C is this process's affair, even while that one starts
                env={
                    **os.environ,
                    **self._place.environment,
                    "PYTHONSAFEPATH": "1",
                    "PYTHONPATH": _import_path(),
                },
            )
        self._pipe = Connection(ours.detach())
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # which ends the process
        try:
            self.process.wait(self._place.ending_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def send(self, message: RequestSet | LoadRun | HostedTriton | Question | float) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            raise self._died() from None

    def receive(self, patience_s: float) -> RunRecord | str:
        """The next message; raises LoadError for one that is an error, or does not come."""
        try:
            answer = self._pipe.recv() if self._pipe.poll(patience_s) else None
        except (EOFError, OSError):
            raise self._died() from None
        if isinstance(answer, TunerError):
            raise answer
        if isinstance(answer, RunRecord | str):
            return answer
        raise EngineLostError(
            f"the load engine gave no answer within {patience_s:.0f} s",
            hint="see whether the machine is out of memory or stopped",
        )

    def _died(self) -> LoadError:
        status = self.process.wait()
        return EngineLostError(
            f"the load engine ended unexpectedly (exit status {status})",
            hint="see whether the machine is out of memory; its last words are above",
        )


def _import_path() -> str:
    """The engine finds the modules that this process finds, and in the same places."""
    return os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)

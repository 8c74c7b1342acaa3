"""The process that sends: one event loop, prepared bytes, and nothing else while it measures.

Started by `LoadEngine` (client.py) as `python -m tuner.load.engine SOCKET_FD CPUS`. It takes a
RequestSet, then LoadRuns. To each run it answers with CONNECTED, is told the moment to start, and
answers with a RunRecord; it ends when its socket closes. It can be told to hold a Triton, which
its requests then go to (in_process/): it answers with nothing once that has its model, and to
Questions with JSON.
"""

import asyncio
import gc
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # What is imported stays: to look through it for garbage would take a fifth of the start.
    gc.disable()

import uvloop

from tuner.errors import LoadError, TunerError
from tuner.load.connecting import Connecting, Connector
from tuner.load.driver import Driver
from tuner.load.in_process.hosted import HostedTriton, Question
from tuner.load.measurement import REAL_TIME, RunRecord
from tuner.load.profile import ClosedLoop, LoadProfile, LoadRun
from tuner.load.requests import RequestSet

if TYPE_CHECKING:
    from tuner.load.in_process.server import TritonServer

# Above every ordinary process, below everything that an administrator gave a priority.
_FIFO_PRIORITY = 1
# What an engine process says once its connections are open.
CONNECTED = "connected"


def main(arguments: list[str]) -> None:
    """Serve runs until the socket closes; `arguments` are its descriptor and the CPUs to use."""
    gc.freeze()
    gc.enable()
    # Processes of models would keep it open after the end of this one, which it tells of.
    os.set_inheritable(int(arguments[0]), False)
    if arguments[1]:
        os.sched_setaffinity(0, {int(cpu) for cpu in arguments[1].split(",")})
    # Each connection is an open file: the usual soft limit of 1024 would be in the way.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (
        Connection(int(arguments[0])) as parent,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        suppress(EOFError, ConnectionError, asyncio.CancelledError),
    ):
        _serve(parent, runner)


def _serve(parent: Connection, runner: asyncio.Runner) -> None:
    with ExitStack() as stack:
        engine = _Engine(parent, runner, stack)
        while True:
            engine.heed(parent.recv())


class _Engine:
    """Heeds what the parent says, one message after the other."""

    def __init__(self, parent: Connection, runner: asyncio.Runner, stack: ExitStack) -> None:
        self._parent = parent
        self._runner = runner
        self._stack = stack
        self._requests = RequestSet((b"",))
        self._triton: TritonServer | None = None

    def heed(self, message: RequestSet | LoadRun | HostedTriton | Question) -> None:
        if isinstance(message, RequestSet):
            self._requests = message
        else:
            self._parent.send(self._answer(message))

    def _answer(self, message: LoadRun | HostedTriton | Question) -> RunRecord | str | TunerError:
        try:
            if isinstance(message, LoadRun):
                return self._runner.run(
                    _measure(message, self._requests, self._parent, self._triton)
                )
            if isinstance(message, HostedTriton):
                return self._hold(message)
            return self._triton.answer(message) if self._triton else ""
        except TunerError as error:
            return error
        except OSError as error:
            return LoadError(f"the load engine failed: {error}")

    def _hold(self, hosted: HostedTriton) -> str:
        # Of no use to whoever measures a server elsewhere.
        from tuner.load.in_process.server import TritonServer

        self._triton = self._stack.enter_context(TritonServer(hosted))
        return ""


async def _measure(
    run: LoadRun, requests: RequestSet, parent: Connection, triton: "TritonServer | None"
) -> RunRecord:
    driver = Driver(run, requests, _connections(triton))
    # Of a process that is the server's, too, the processor time is not the engine's alone.
    whose = resource.RUSAGE_THREAD if triton else resource.RUSAGE_SELF
    give_up = _ends_with_triton() if triton else partial(os._exit, 1)
    priority = _raise_priority(run.profile)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with _at_a_word_of(parent, give_up):  # its end: it is silent while it waits
            await driver.connect()
        parent.send(CONNECTED)
        start_s = await _start_moment(parent)
        cpu_s, wall_s = _cpu_s(whose), time.monotonic()
        with _at_a_word_of(parent, give_up):
            await driver.drive(start_s)
        return driver.record(
            priority=priority,
            engine_cpu_s=_cpu_s(whose) - cpu_s,
            engine_wall_s=time.monotonic() - wall_s,
        )
    finally:
        await driver.close()
        gc.enable()
        gc.unfreeze()
        _ordinary_priority()


def _ends_with_triton() -> Callable[[], object]:
    """Ends this run, and so the process, once the server and its models have stopped."""
    task = asyncio.current_task()
    return task.cancel if task else partial(os._exit, 1)


def _connections(triton: "TritonServer | None") -> Connecting:
    if triton is None:
        return Connector
    from tuner.load.in_process.connection import TritonConnections

    return partial(TritonConnections, triton)


async def _start_moment(parent: Connection) -> float:
    """What the parent says once all engine processes are connected."""
    heard = asyncio.Event()
    with _at_a_word_of(parent, heard.set):
        await heard.wait()
    return float(parent.recv())


@contextmanager
def _at_a_word_of(parent: Connection, do: Callable[[], object]) -> Iterator[None]:
    """Within the block, `do` is called once there is something to read, or the parent's end."""
    loop = asyncio.get_running_loop()
    loop.add_reader(parent.fileno(), do)
    try:
        yield
    finally:
        loop.remove_reader(parent.fileno())
        os.set_blocking(parent.fileno(), True)  # the loop made it non-blocking


def _cpu_s(whose: int) -> float:
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def _raise_priority(profile: LoadProfile) -> str:
    """Be scheduled before the server: a late send would be read as the server's latency.

    A closed loop sends when it was answered, and never late. Real-time priority would only cost
    it: a fifth more processor time for each request, and latency with it.
    """
    if isinstance(profile, ClosedLoop):
        return _nicest()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_FIFO_PRIORITY))
    except PermissionError:
        return _nicest()
    return REAL_TIME


def _nicest() -> str:
    for nice in (-20, -10, -5):
        try:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        except PermissionError:
            continue
        return f"nice {nice}"
    return "normal"


def _ordinary_priority() -> None:
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))


if __name__ == "__main__":
    main(sys.argv[1:])

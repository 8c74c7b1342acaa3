"""The process that sends: one event loop, prepared bytes, and nothing else while it measures.

Started by `LoadEngine` (client.py) as `python -m tuner.load.engine SOCKET_FD CPUS`. It takes a
RequestSet, then LoadRuns, and answers each run with a RunRecord; it ends when its socket closes.
"""

import asyncio
import gc
import os
import resource
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import uvloop

from tuner.errors import LoadError
from tuner.load.closed_loop import ClosedLoopDriver
from tuner.load.driver import Driver
from tuner.load.measurement import RunRecord
from tuner.load.open_loop import OpenLoopDriver
from tuner.load.profile import ClosedLoop, LoadRun, OpenLoop
from tuner.load.requests import RequestSet

# Above every ordinary process, below everything that an administrator gave a priority.
_FIFO_PRIORITY = 1


def main(arguments: list[str]) -> None:
    """Serve runs until the socket closes; `arguments` are its descriptor and the CPUs to use."""
    if arguments[1]:
        os.sched_setaffinity(0, {int(cpu) for cpu in arguments[1].split(",")})
    # Each connection is an open file: the usual soft limit of 1024 would be in the way.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (
        Connection(int(arguments[0])) as parent,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        suppress(EOFError, ConnectionError),
    ):
        _serve(parent, runner)


def _serve(parent: Connection, runner: asyncio.Runner) -> None:
    requests = RequestSet((b"",))
    while True:
        message = parent.recv()
        if isinstance(message, RequestSet):
            requests = message
        else:
            parent.send(_answer(runner, message, requests, parent.fileno()))


def _answer(
    runner: asyncio.Runner, run: LoadRun, requests: RequestSet, parent_fd: int
) -> RunRecord | LoadError:
    try:
        return runner.run(_measure(run, requests, parent_fd))
    except OSError as error:
        return LoadError(f"the load engine failed: {error}")


async def _measure(run: LoadRun, requests: RequestSet, parent_fd: int) -> RunRecord:
    loop = asyncio.get_running_loop()
    # The parent is silent while it waits: what can be read now is the end of it.
    loop.add_reader(parent_fd, os._exit, 1)
    priority = _raise_priority()
    gc.collect()
    gc.freeze()
    gc.disable()
    driver = _driver(run, requests)
    try:
        await driver.connect()
        cpu_s, wall_s = _cpu_s(), time.monotonic()
        await driver.drive()
        return driver.record(
            priority=priority,
            engine_cpu_s=_cpu_s() - cpu_s,
            engine_wall_s=time.monotonic() - wall_s,
        )
    finally:
        await driver.close()
        gc.enable()
        gc.unfreeze()
        _ordinary_priority()
        loop.remove_reader(parent_fd)
        os.set_blocking(parent_fd, True)  # the loop made it non-blocking


def _driver(run: LoadRun, requests: RequestSet) -> Driver:
    match run.profile:
        case ClosedLoop() as profile:
            return ClosedLoopDriver(run, profile, requests.payloads)
        case OpenLoop() as profile:
            return OpenLoopDriver(run, profile, requests.payloads)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _raise_priority() -> str:
    """Be scheduled before the server: a late send would be read as the server's latency."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_FIFO_PRIORITY))
    except PermissionError:
        return _nicest()
    return "real-time"


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


if __name__ == "__main__":
    main(sys.argv[1:])

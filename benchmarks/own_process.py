"""A server of a benchmark, in a process of its own that does nothing else."""

import gc
import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from tuner.load.profile import Endpoint

# More than the connections that an open loop makes while the server is frozen.
_BACKLOG = 4096
_REAL_TIME_PRIORITY = 1
_PATIENCE_S = 10.0

# Serves on a socket until something comes through the pipe, and then answers through it.
Serve = Callable[[socket.socket, Connection, str], None]


@contextmanager
def in_own_process(serve: Serve) -> Iterator[tuple[Endpoint, Connection, int]]:
    """Where it listens on 127.0.0.1, its pipe, and its number, until the `with` block is left.

    `serve` is pickled; it is given the priority of its process, `real-time` or `normal`, and says
    through the pipe when it is ready. It ends with the pipe.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
        endpoint = Endpoint("127.0.0.1", listening.getsockname()[1])
        process = spawn.Process(target=_run, args=(serve, listening, theirs))
        process.start()
    theirs.close()
    with ours:
        try:
            ours.recv()  # it is ready
            yield endpoint, ours, process.pid or 0
        finally:
            ours.close()  # which ends the process
            process.join(_PATIENCE_S)
            process.close()


def _run(serve: Serve, listening: socket.socket, pipe: Connection) -> None:
    gc.disable()
    priority = _raise_priority()
    with listening, pipe, suppress(EOFError, ConnectionError):  # nobody asks any more
        serve(listening, pipe, priority)


def _raise_priority() -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_REAL_TIME_PRIORITY))
    except PermissionError:
        return "normal"
    return "real-time"

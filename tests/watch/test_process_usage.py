"""What the server's processes take: real processes, found by number or by port."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import psutil
import pytest

from tests.runner_tests.waiting import wait_until
from tuner.watch.process_usage import ProcessReading, ProcessUsage, ServerProcess
from tuner.watch.sampling import Samples

_NEVER_S = 1000.0
_MEGABYTE = 2**20
# On a line of input, a child burns 0.2 s of CPU time and ends, and another takes memory and stays.
_FAMILY = """
import subprocess, sys, time
burner = "import time\\nwhile time.process_time() < 0.2: pass"
holder = "import time; held = bytearray(64 << 20); print(flush=True); time.sleep(1000)"
sys.stdin.readline()
subprocess.run([sys.executable, "-c", burner], check=True)
child = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE)
child.stdout.readline()
print(flush=True)
time.sleep(1000)
"""
_LISTENER = """
import socket, time
with socket.create_server(("127.0.0.1", {port}), reuse_port=True) as listening:
    print(listening.getsockname()[1], flush=True)
    time.sleep(1000)
"""
# Two processes that listen on the same port.
_LISTENERS = """
import os, socket, time
with socket.create_server(("127.0.0.1", 0), reuse_port=True) as first:
    port = first.getsockname()[1]
    if os.fork() == 0:
        first.close()
        with socket.create_server(("127.0.0.1", port), reuse_port=True):
            print(port, flush=True)
            time.sleep(1000)
    time.sleep(1000)
"""


@contextmanager
def running(script: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A process and its output; it and its children are gone in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def found(pid: int) -> ServerProcess:
    process = ServerProcess.of(pid)
    assert process is not None
    return process


def test_the_whole_family() -> None:
    """Children count: those that stay with their memory, those that ended with their CPU time."""
    with running(_FAMILY) as (process, output):
        server = found(process.pid)
        with server.window(_NEVER_S) as samples:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            output.readline()

    usage = server.usage([samples])
    assert usage is not None
    assert usage.pid == process.pid
    assert usage.name.startswith("python")
    assert usage.processes == 2
    assert usage.cpu_s is not None
    assert usage.cpu_s >= 0.19
    assert usage.cores is not None
    assert usage.cores > 0
    assert usage.resident_bytes >= 64 * _MEGABYTE


def test_several_windows() -> None:
    """CPU time and length add up over windows; of memory and processes the largest counts."""
    first = Samples(_reading(0.0, 1.0, 5), [_reading(1.0, 2.0, 9)], _reading(2.0, 4.0, 7))
    second = Samples(_reading(5.0, 10.0, 5), [], _reading(7.0, 11.0, 8))

    usage = found(os.getpid()).usage([first, second])

    assert usage == ProcessUsage(
        pid=os.getpid(),
        name=psutil.Process().name(),
        cpu_s=4.0,
        cores=1.0,
        resident_bytes=9,
        processes=9,
    )


def test_a_process_that_ended() -> None:
    """Of a process that is gone at the end, memory is known and CPU time is not."""
    with running(_FAMILY) as (process, _):
        server = found(process.pid)
        with server.window(0.001) as samples:
            wait_until(lambda: samples.inside)
            process.kill()
            process.wait()

    usage = server.usage([samples])
    assert samples.end is None
    assert usage is not None
    assert usage.cpu_s is None
    assert usage.cores is None
    assert usage.resident_bytes > 0


def test_a_process_that_was_never_there() -> None:
    """Where there was no reading there is no usage, and of no process there is nothing to read."""
    with running(_FAMILY) as (process, _):
        server = found(process.pid)
    with server.window() as samples:
        pass

    assert server.usage([samples]) is None
    assert server.usage([]) is None
    assert ServerProcess.of(process.pid) is None


def test_found_by_its_port() -> None:
    """The process that listens on a port of this machine is found by it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
            server = ServerProcess.listening(host, port)
            assert server is not None
            assert server.pid == os.getpid()


def test_several_that_listen() -> None:
    """Of several processes with the same port it is the ancestor of the others."""
    with running(_LISTENERS) as (parent, output):
        server = ServerProcess.listening("127.0.0.1", int(output.readline()))
        assert server is not None
        assert server.pid == parent.pid
        with server.window() as samples:
            pass

    usage = server.usage([samples])
    assert usage is not None
    assert usage.processes == 2


def test_strangers_that_listen() -> None:
    """Of several processes that are no family nobody knows which one is the server."""
    with running(_LISTENER.format(port=0)) as (_, output):
        port = int(output.readline())
        with running(_LISTENER.format(port=port)) as (_, other_output):
            assert int(other_output.readline()) == port
            assert ServerProcess.listening("127.0.0.1", port) is None


@pytest.mark.parametrize("host", ["bench.example", "192.0.2.1", "", "2001:db8::1"])
def test_another_machine(host: str) -> None:
    """Of another machine's processes nothing is known, whatever listens on the port here."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert ServerProcess.listening(host, listening.getsockname()[1]) is None


def test_nothing_listens() -> None:
    """Where nothing listens there is no process: a port that is only bound does not count."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert ServerProcess.listening("127.0.0.1", bound.getsockname()[1]) is None


def test_what_may_not_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell who listens, nobody is known to."""

    def denied(kind: str) -> list[object]:
        raise psutil.AccessDenied(msg=f"no connections of kind {kind}")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setattr(psutil, "net_connections", denied)
        assert ServerProcess.listening("127.0.0.1", port) is None


def _reading(at_s: float, cpu_s: float, size: int) -> ProcessReading:
    return ProcessReading(at_s, cpu_s, resident_bytes=size, processes=size)

"""The engine's process: how it begins, how it ends, and who is told."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.load import parent_script
from tests.load.runs import REQUESTS, ends_within, load_run, observe
from tests.load.server import Server, answer, answer_after, never_answer, serving
from tests.runner_tests.waiting import is_gone, wait_until, wait_until_gone
from tuner.errors import EngineLostError, LoadError
from tuner.load import client
from tuner.load import engine as engine_module
from tuner.load.client import LoadEngine
from tuner.load.profile import ClosedLoop, LoadProfile, OpenLoop

ROOT = Path(__file__).parents[2]


@contextmanager
def parent(server: Server, *, duration_s: float) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process of its own that measures `server`, and the number of its engine's process."""
    process = subprocess.Popen(
        [sys.executable, parent_script.__file__, str(server.endpoint.port), str(duration_s)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process, int(line_of(process))
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("when", ["while it measures", "while it is idle"])
def test_the_engine_ends_with_its_parent(when: str) -> None:
    """Even `kill -9` of the tuner leaves no engine behind, at any moment."""
    idle = when == "while it is idle"
    with (
        serving(answer_after(0.005)) as server,
        parent(server, duration_s=0.05 if idle else 60.0) as (process, engine_pid),
    ):
        wait_until(lambda: len(server.bodies) > 5)
        if idle:
            assert int(line_of(process)) > 5
        assert not is_gone(engine_pid)
        process.kill()
        wait_until_gone([engine_pid])
        seen = len(server.bodies)
    assert seen > 5


def test_an_interrupt_is_not_the_engines_affair() -> None:
    """Ctrl-C reaches the tuner, which decides; a run in progress goes on."""
    with (
        serving(answer_after(0.005)) as server,
        parent(server, duration_s=0.6) as (process, engine_pid),
    ):
        wait_until(lambda: len(server.bodies) > 5)
        os.killpg(process.pid, signal.SIGINT)
        interrupted_at = len(server.bodies)
        assert int(line_of(process)) > interrupted_at
        assert not is_gone(engine_pid)


def test_an_engine_that_dies_is_an_error() -> None:
    """A run without an engine has no result; the error says how the engine ended."""
    with serving(answer_after(0.005)) as server, LoadEngine() as engine, ends_within(2.0):
        engine.prepare(REQUESTS)
        killer = threading.Thread(target=kill_when_busy, args=(server, engine))
        killer.start()
        with pytest.raises(LoadError) as raised:
            engine.measure(load_run(server.endpoint, duration_s=60.0))
        killer.join()
        assert raised.value.message == "the load engine ended unexpectedly (exit status -9)"
        assert "out of memory" in raised.value.hint
        with pytest.raises(LoadError, match="ended unexpectedly"):
            engine.prepare(REQUESTS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_is_replaced(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """As many as before go on, with the same requests; nothing is left of the others."""
    monkeypatch.setattr(client, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(client, "_ENDING_S", 0.1)
    with serving(answer_after(0.005)) as server, LoadEngine(workers=2) as engine:
        engine.prepare(REQUESTS)
        lost = engine.pids
        os.kill(lost[1], number)
        with pytest.raises(EngineLostError):
            engine.measure(load_run(server.endpoint, duration_s=0.1, timeout_s=0.1, drain_s=0.1))
        monkeypatch.undo()
        engine.revive()
        assert len(engine.pids) == 2
        assert not set(engine.pids) & set(lost)
        assert all(map(is_gone, lost))
        measured = engine.measure(load_run(server.endpoint))
        assert (measured.errors, measured.requests > 0) == ({}, True)


def kill_when_busy(server: Server, engine: LoadEngine) -> None:
    wait_until(lambda: len(server.bodies) > 5)
    os.kill(engine.pids[0], signal.SIGKILL)


def test_an_engine_that_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped engine is given up after a while, and killed in the end."""
    monkeypatch.setattr(client, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(client, "_ENDING_S", 0.1)
    with serving(never_answer) as server, ends_within(1.0):
        with LoadEngine() as engine:
            pid = engine.pids[0]
            os.kill(pid, signal.SIGSTOP)
            engine.prepare(REQUESTS)
            with pytest.raises(LoadError) as raised:
                engine.measure(
                    load_run(server.endpoint, duration_s=0.1, timeout_s=0.1, drain_s=0.1)
                )
        assert raised.value.message == "the load engine gave no answer within 0 s"
        assert raised.value.hint == "see whether the machine is out of memory or stopped"
        assert is_gone(pid)


def test_an_engine_without_files_is_an_error() -> None:
    """What the engine itself cannot do is not blamed on the server."""
    with serving(answer_after(0.005)) as server, LoadEngine() as engine:
        engine.prepare(REQUESTS)
        assert engine.measure(load_run(server.endpoint)).errors == {}
        process = psutil.Process(engine.pids[0])
        used = {int(name) for name in os.listdir(f"/proc/{process.pid}/fd")}  # noqa: PTH208
        lowest_free = min(set(range(len(used) + 1)) - used)
        process.rlimit(psutil.RLIMIT_NOFILE, (lowest_free, lowest_free))
        with pytest.raises(LoadError, match=r"the load engine failed: .*Too many open files"):
            engine.measure(load_run(server.endpoint, OpenLoop(100)))


def test_the_engine_ends_by_itself() -> None:
    """Leaving the block ends the process without violence."""
    with LoadEngine() as engine:
        engine.prepare(REQUESTS)
        process = engine._processes[0].process
    assert process.returncode == 0


def test_the_engine_stays_on_its_processors() -> None:
    """`cpus` pins the process, so that the server can be kept off these."""
    cpu = max(os.sched_getaffinity(0))
    with serving(answer_after(0.005)) as server, LoadEngine(cpus=[cpu]) as engine:
        engine.prepare(REQUESTS)
        assert engine.measure(load_run(server.endpoint, ClosedLoop(1))).errors == {}
        assert os.sched_getaffinity(engine.pids[0]) == {cpu}


def test_an_engine_may_open_as_many_files_as_the_system_allows(engine: LoadEngine) -> None:
    """A thousand connections are a thousand files; the soft limit is not in their way."""
    observe(engine, answer)  # what it does first is done by then
    soft, hard = psutil.Process(engine.pids[0]).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard


@pytest.mark.parametrize("profile", [ClosedLoop(2), OpenLoop(100)], ids=["closed", "open"])
def test_the_server_is_not_kept_waiting_between_runs(
    profile: LoadProfile, engine: LoadEngine
) -> None:
    """Between runs the engine is an ordinary process, whatever priority it takes for a run."""
    observe(engine, answer, profile)
    assert os.sched_getscheduler(engine.pids[0]) == os.SCHED_OTHER
    assert os.getpriority(os.PRIO_PROCESS, engine.pids[0]) == 0


def test_only_an_open_loop_needs_to_be_real_time(engine: LoadEngine) -> None:
    """A closed loop has nothing to be late for, and is cheaper without."""
    closed, _ = observe(engine, answer)
    opened, _ = observe(engine, answer, OpenLoop(100))
    assert closed.priority != "real-time"
    assert opened.priority in ("real-time", closed.priority)


def test_it_takes_the_best_priority_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to be real-time, the engine is as nice to itself as it may be."""

    def refuse_fifo(_pid: int, policy: int, _param: os.sched_param) -> None:
        if policy == os.SCHED_FIFO:
            raise PermissionError

    def refuse_below(least: int) -> None:
        def set_priority(_which: int, _who: int, nice: int) -> None:
            if nice < least:
                raise PermissionError

        monkeypatch.setattr(os, "setpriority", set_priority)

    monkeypatch.setattr(os, "sched_setscheduler", refuse_fifo)
    refuse_below(-10)
    assert engine_module._raise_priority(OpenLoop(1)) == "nice -10"
    refuse_below(0)
    assert engine_module._raise_priority(OpenLoop(1)) == "normal"
    engine_module._ordinary_priority()

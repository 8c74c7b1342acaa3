"""The process runner: the contract of every runner, and what only processes can do."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from runners import environment
from runners.base import LaunchSpec
from runners.errors import CommandNotFound, LaunchRefused, PortTaken, StopFailed
from runners.process import ProcessRunner
from tests.runner_tests.contract import (
    Chooser,
    RunnerContract,
    answer_of,
    facts_of,
    launch_spec,
    read_pids,
    refusal,
)
from tests.runner_tests.waiting import DEADLINE_S, holding, is_gone, wait_until, wait_until_gone


@pytest.fixture
def runner(tmp_path: Path) -> ProcessRunner:
    return ProcessRunner(log_directory=tmp_path / "logs")


def guardian_of(pid: int) -> psutil.Process:
    parent = psutil.Process(pid).parent()
    assert parent is not None
    return parent


class TestProcessRunner(RunnerContract):
    """The contract, with the `runner` fixture above."""


class TestLeftovers:
    def test_leftovers_are_removed(self, runner: ProcessRunner, tmp_path: Path) -> None:
        """Files and folders that match the leftover patterns go, others stay."""
        spec = launch_spec(
            leave=[str(tmp_path / name) for name in ("shm_{port:http}_a", "shm_dir/b", "other")],
            leftovers=(f"{tmp_path}/shm_{{port:http}}*", f"{tmp_path}/shm_dir"),
        )
        with runner.start(spec) as server:
            assert (tmp_path / f"shm_{server.ports['http']}_a").exists()
        assert [path.name for path in tmp_path.glob("[so]*")] == ["other"]

    def test_files_of_a_server_that_never_was(
        self, runner: ProcessRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files that were written for a program that is not there are removed too."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        spec = LaunchSpec(command=("no-such-server", "{folder}"), files={"a": "text"})
        refusal(runner, spec, CommandNotFound)
        assert list((tmp_path / "temporary").iterdir()) == []


class TestLaunch:
    def test_environment_is_inherited(
        self, runner: ProcessRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of the person's variables reach the server, but for those that are withheld."""
        monkeypatch.setattr(environment, "_own", {})
        names = ["OMP_X", "KMP_X", "MKL_X", "MALLOC_X", "TF_X", "TOKEN", "LD_PRELOAD"]
        for name in names:
            monkeypatch.setenv(name, "")
        withheld = frozenset({"OMP_X", "NEVER_SET"})
        found = facts_of(runner, tmp_path, withheld=withheld)["environment"]
        assert found.keys() >= {*names} - withheld
        assert not found.keys() & withheld
        assert environment.taken_out(withheld) == ["OMP_X"]

    def test_own_variables_are_not_inherited(
        self, runner: ProcessRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the tuner sets for itself does not reach the server; what was there before does."""
        monkeypatch.setattr(environment, "_own", {})
        for name in ("MINE", "THEIRS"):
            monkeypatch.setenv(name, "before")
            monkeypatch.delenv(name)
        monkeypatch.setenv("THEIRS", "1")
        for name in ("MINE", "THEIRS"):
            environment.set_own(name, "1")
        found = facts_of(runner, tmp_path)["environment"]
        assert os.environ["MINE"] == found["THEIRS"] == "1"
        assert "MINE" not in found

    def test_server_inherits_nothing_strange(self, runner: ProcessRunner, tmp_path: Path) -> None:
        """The server has only the standard descriptors and Python's usual SIGINT handling."""
        facts = facts_of(runner, tmp_path)
        assert facts["descriptors"][:3] == [0, 1, 2]
        assert len(facts["descriptors"]) == 4  # and the one that lists them
        assert facts["sigint_is_default"]

    def test_cpus(self, runner: ProcessRunner, tmp_path: Path) -> None:
        """The server is born on its processors; the guardian stays where it was."""
        all_cpus = os.sched_getaffinity(0)
        cpus = frozenset({max(all_cpus)})
        spec = launch_spec(write_facts=str(tmp_path / "facts"), cpus=cpus)
        with runner.start(spec) as server:
            assert psutil.Process(server.pid).cpu_affinity() == sorted(cpus)
            assert guardian_of(server.pid).cpu_affinity() == sorted(all_cpus)
            facts = json.loads((tmp_path / "facts").read_text())
        assert facts["processors"] == sorted(cpus)

    def test_cpus_that_are_not_there(self, runner: ProcessRunner) -> None:
        """Processors that the machine lacks are refused instead of silently dropped."""
        some_cpu = min(os.sched_getaffinity(0))
        spec = launch_spec(cpus=frozenset({some_cpu, 1000}))
        said = str(refusal(runner, spec, LaunchRefused))
        assert f"not all of the processors [{some_cpu}, 1000]" in said

    def test_missing_working_directory(self, runner: ProcessRunner, tmp_path: Path) -> None:
        """A missing working directory is not mistaken for a missing command."""
        spec = launch_spec(working_directory=tmp_path / "nowhere")
        said = str(refusal(runner, spec, LaunchRefused))
        assert f"says: No such file or directory: `{tmp_path / 'nowhere'}`" in said

    def test_command_that_is_not_executable(self, runner: ProcessRunner, tmp_path: Path) -> None:
        """A file without the permission to execute it is refused like a missing command."""
        (tmp_path / "server").write_text("")
        spec = LaunchSpec(command=(str(tmp_path / "server"),))
        said = str(refusal(runner, spec, CommandNotFound))
        assert re.search(r"server` must be .*: Permission denied", said)

    def test_each_start_has_its_log(self, runner: ProcessRunner) -> None:
        """Every start writes one log of its own, named after the program."""
        with runner.start(launch_spec()) as one, runner.start(launch_spec()) as other:
            assert one.log_path != other.log_path
            assert one.log_path.name.startswith(Path(sys.executable).name)

    def test_start_from_a_thread_that_ends(self, runner: ProcessRunner) -> None:
        """A server outlives the thread that started it."""
        entered: list[str] = []
        context = runner.start(launch_spec())
        thread = threading.Thread(target=lambda: entered.append(answer_of(context.__enter__())))
        thread.start()
        thread.join()
        with runner.start(launch_spec()):  # time passes
            pass
        assert entered == ["ready"]
        context.__exit__(None, None, None)


class TestTakenPort:
    def test_other_ports_are_tried(self, tmp_path: Path) -> None:
        """A start that loses its port to another process begins again with a new one."""
        with socket.create_server(("127.0.0.1", 0)) as thief:
            chooser = Chooser([thief.getsockname()[1]])
            runner = ProcessRunner(log_directory=tmp_path, choose_ports=chooser)
            # The thief accepts connections: who only knocks takes it for the server.
            with runner.start(launch_spec()) as server:
                assert answer_of(server) == "ready"
        assert chooser.calls == 2

    def test_given_up_after_three_attempts(self, tmp_path: Path) -> None:
        """After the third lost port the error names the port and shows the log."""
        with socket.create_server(("127.0.0.1", 0)) as thief:
            port = thief.getsockname()[1]
            chooser = Chooser([port] * 5)
            runner = ProcessRunner(log_directory=tmp_path, choose_ports=chooser)
            error = refusal(runner, launch_spec(), PortTaken, f"{port} was taken")
        assert chooser.calls == 3
        assert error.ports == (port,)
        assert "Address already in use" in error.log_tail


@dataclass(frozen=True, kw_only=True)
class Tuner:
    """A tuner process that holds one server."""

    process: subprocess.Popen[str]
    server_pid: int
    server_log: Path
    pid_file: Path
    leftover: Path

    def everything(self) -> list[int]:
        return [self.server_pid, *read_pids(self.pid_file)]

    def interrupt_until_asked(self) -> None:
        """Until the server, which ignores it, is asked to stop."""
        self.process.send_signal(signal.SIGINT)
        wait_until(lambda: "SIGTERM? no" in self.server_log.read_text())

    def assert_ended_in_order(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.read() == "interrupted\n"
        assert self.process.wait(DEADLINE_S) == -signal.SIGINT
        assert all(is_gone(pid) for pid in self.everything())
        assert not self.leftover.exists()

    def wait_until_gone(self) -> None:
        wait_until_gone(self.everything())
        wait_until(lambda: not self.leftover.exists())


@contextmanager
def tuner(
    tmp_path: Path, *, ignore_sigterm: bool = False, stop_grace_s: float = 1.0
) -> Iterator[Tuner]:
    pid_file, leftover = tmp_path / "pids", tmp_path / "leftover"
    spec = launch_spec(
        fork=["same session", "own session"],
        pid_file=str(pid_file),
        leave=[str(leftover)],
        ignore_sigterm=ignore_sigterm,
    )
    wishes = {
        "log_directory": str(tmp_path / "logs"),
        "command": spec.command,
        "leftovers": [f"{leftover}*"],
        "stop_grace_s": stop_grace_s,
    }
    with holding("tests.runner_tests.tuner_script", wishes) as (process, facts):
        yield Tuner(
            process=process,
            server_pid=facts["pid"],
            server_log=Path(facts["log"]),
            pid_file=pid_file,
            leftover=leftover,
        )


class TestEndOfTheTuner:
    def test_kill_9(self, tmp_path: Path) -> None:
        """A tuner killed by -9 leaves no server, no grandchild and no leftover."""
        with tuner(tmp_path) as held:
            assert held.leftover.exists()
            held.process.kill()
            held.process.wait(DEADLINE_S)
            held.wait_until_gone()

    def test_kill_9_with_the_lifeline_inherited(
        self, runner: ProcessRunner, tmp_path: Path
    ) -> None:
        """A forked child that outlives the tuner, and holds its descriptors, changes nothing."""
        reader, writer = os.pipe()
        if (tuner_pid := os.fork()) == 0:
            context = runner.start(launch_spec())
            server = context.__enter__()
            child = os.fork()
            if child:
                os.write(writer, f"{server.pid} {child}".encode())
            signal.pause()
            os._exit(1)
        server_pid, child_pid = (int(word) for word in os.read(reader, 100).split())
        os.kill(tuner_pid, signal.SIGKILL)
        os.waitpid(tuner_pid, 0)
        try:
            wait_until_gone([server_pid])
            assert not is_gone(child_pid)
        finally:
            os.kill(child_pid, signal.SIGKILL)
            os.close(reader)
            os.close(writer)

    def test_interrupt(self, tmp_path: Path) -> None:
        """Ctrl-C ends the block in order: the server is asked, everything goes."""
        with tuner(tmp_path) as held:
            held.process.send_signal(signal.SIGINT)
            held.assert_ended_in_order()

    def test_interrupt_twice(self, tmp_path: Path) -> None:
        """A second Ctrl-C during the stop waits for its end."""
        with tuner(tmp_path, ignore_sigterm=True, stop_grace_s=5.0) as held:
            held.interrupt_until_asked()
            held.process.send_signal(signal.SIGINT)
            held.assert_ended_in_order()

    def test_killed_while_it_stops(self, tmp_path: Path) -> None:
        """A tuner killed by -9 during the stop cuts the server's grace short."""
        with tuner(tmp_path, ignore_sigterm=True, stop_grace_s=1000.0) as held:
            held.interrupt_until_asked()
            held.process.kill()
            held.wait_until_gone()


class TestEndOfTheGuardian:
    def test_kill_9(self, runner: ProcessRunner, tmp_path: Path) -> None:
        """The server dies with its guardian; leaving the block removes all the rest."""
        pid_file, leftover = tmp_path / "pids", tmp_path / "leftover"
        spec = launch_spec(
            fork=["same session", "own session"],
            pid_file=str(pid_file),
            leave=[str(leftover)],
            leftovers=(str(leftover),),
        )
        with runner.start(spec) as server:
            guardian_of(server.pid).kill()
            wait_until(lambda: not server.is_alive())
            wait_until_gone([server.pid])
            assert server.exit_code() == -signal.SIGKILL
        assert all(is_gone(pid) for pid in read_pids(pid_file))
        assert not leftover.exists()

    def test_stuck(self, runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stop that takes too long is an error; the end of the tuner's interest still kills."""
        monkeypatch.setattr("runners.process_server._KILL_ALLOWANCE_S", 0.1)
        context = runner.start(launch_spec(stop_grace_s=0.1))
        server = context.__enter__()
        guardian = guardian_of(server.pid)
        guardian.suspend()
        with pytest.raises(StopFailed, match=rf"process {server.pid} or a descendant"):
            context.__exit__(None, None, None)
        guardian.resume()
        wait_until_gone([server.pid])
        assert server._guardian is not None
        assert server._guardian.wait(DEADLINE_S) == 0

    def test_killed_before_it_starts_the_server(
        self, runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A guardian that cannot run is an error of the launch."""
        monkeypatch.setattr("runners.process_server.sys.executable", "/bin/true")
        ended = str(refusal(runner, launch_spec(), LaunchRefused))
        monkeypatch.setattr("runners.process_server.sys.executable", "/no/python")
        missing = str(refusal(runner, launch_spec(), LaunchRefused))
        assert "the guardian process ended at once" in ended
        assert "no guardian" in missing

    def test_sigterm(self, runner: ProcessRunner) -> None:
        """A guardian that somebody asks to end stops its server in order."""
        with runner.start(launch_spec()) as server:
            guardian_of(server.pid).terminate()
            wait_until(lambda: not server.is_alive())
            assert server.exit_code() == -signal.SIGTERM

    def test_interrupt(self, runner: ProcessRunner) -> None:
        """Neither SIGINT nor SIGHUP moves a guardian."""
        with runner.start(launch_spec()) as server:
            guardian = guardian_of(server.pid)
            guardian.send_signal(signal.SIGINT)
            guardian.send_signal(signal.SIGHUP)
            assert answer_of(server) == "ready"
            assert guardian.is_running()
            assert os.getsid(guardian.pid) == guardian.pid
            assert os.getsid(server.pid) == server.pid

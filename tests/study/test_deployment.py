"""The server across trials: when it is reloaded, when restarted, and that nothing is left."""

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from runners.base import LaunchSpec, RunningServer
from runners.process import ProcessRunner
from tests.runner_tests.contract import answer_of, launch_spec
from tests.runner_tests.waiting import is_gone, wait_until
from tuner.errors import Reason, ServerError, ServerMissingError, TrialFailure
from tuner.records import Applied
from tuner.space.expressions import Value
from tuner.space.space import Configuration
from tuner.study.deployment import Deployment
from tuner.watch.gpu_memory import GpuMemory

# What a server says that got none.
WITHOUT_MEMORY = "failed to allocate compute buffers"


class ScriptTarget:
    """A target whose server is `server_script.py`; `wishes` say how it behaves.

    The value `colour` can change in place, `size` cannot. `applied` are the configurations that a
    server was given, with the server's process.
    """

    server = "script"
    model = "none"
    remarks: tuple[str, ...] = ()
    warm_up_requests = 0

    def __init__(self, start_timeout_s: float = 60.0, **wishes: Any) -> None:
        self.start_timeout_s = start_timeout_s
        self.wishes = wishes
        self.command: tuple[str, ...] = ()
        self.failure: BaseException | None = None
        self.applied: list[tuple[int, Configuration]] = []

    def launch_spec(self, configuration: Configuration) -> LaunchSpec:
        spec = launch_spec(
            say=f"size {configuration['size']}\n",
            start_timeout_s=self.start_timeout_s,
            **self.wishes,
        )
        return replace(spec, command=self.command or spec.command)

    def can_reload(self, before: Configuration, after: Configuration) -> bool:
        return before["size"] == after["size"]

    def apply(self, server: RunningServer, configuration: Configuration) -> None:
        assert answer_of(server) == "ready"
        self.applied.append((server.pid, configuration))
        if self.failure is not None:
            raise self.failure

    @property
    def pids(self) -> list[int]:
        return [pid for pid, _ in self.applied]

    def _unasked(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a deployment does not ask this of a target")

    verify = infer = statistics = requests = endpoint = _unasked
    concurrency = largest_batch = export = _unasked


def test_the_memory_of_the_last_server_is_free_before_the_next_one(
    target: ScriptTarget, runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for once the last one is gone, and before each start; not before a reload."""
    waited: list[bool] = []
    monkeypatch.setattr(
        GpuMemory, "settle", lambda _: waited.append(all(map(is_gone, target.pids)))
    )
    with Deployment(target, runner) as deployment:
        deployment.apply(configuration())
        deployment.apply(configuration(colour="blue"))
        assert waited == [True]
        deployment.apply(configuration(size=2))
    assert waited == [True, True]


def configuration(size: Value = 1, colour: Value = "red") -> Configuration:
    return Configuration.of({"size": size, "colour": colour})


@pytest.fixture
def runner(tmp_path: Path) -> ProcessRunner:
    return ProcessRunner(log_directory=tmp_path / "logs")


@pytest.fixture
def target() -> ScriptTarget:
    return ScriptTarget()


@pytest.fixture
def deployment(target: ScriptTarget, runner: ProcessRunner) -> Iterator[Deployment]:
    with Deployment(target, runner) as deployment:
        yield deployment
    assert all(is_gone(pid) for pid in target.pids)


class TestApply:
    def test_first_is_a_start(self, deployment: Deployment, target: ScriptTarget) -> None:
        """The first configuration starts a server, which is given that configuration."""
        assert deployment.apply(configuration()) is Applied.RESTART
        assert target.applied == [(deployment.server.pid, configuration())]

    def test_reload(self, deployment: Deployment, target: ScriptTarget) -> None:
        """What the server can take in place is applied to the same server."""
        deployment.apply(configuration())

        assert deployment.apply(configuration(colour="blue")) is Applied.RELOAD
        assert len(set(target.pids)) == 1
        assert target.applied[-1][1]["colour"] == "blue"

    def test_restart(self, deployment: Deployment, target: ScriptTarget) -> None:
        """Anything else ends the server and starts another one."""
        deployment.apply(configuration())

        assert deployment.apply(configuration(size=2)) is Applied.RESTART
        first, second = target.pids
        assert is_gone(first)
        assert deployment.server.pid == second
        assert deployment.server.log_tail() == "size 2"

    def test_compares_with_what_runs(self, deployment: Deployment) -> None:
        """Whether a reload suffices depends on what the server has now, not at its start."""
        deployment.apply(configuration())
        deployment.apply(configuration(size=2))

        assert deployment.apply(configuration(size=2, colour="blue")) is Applied.RELOAD

    def test_fresh(self, deployment: Deployment, target: ScriptTarget) -> None:
        """A fresh start is one, even where a reload would do."""
        deployment.apply(configuration())

        assert deployment.apply(configuration(), fresh=True) is Applied.RESTART
        assert len(set(target.pids)) == 2

    def test_many_reloads(self, deployment: Deployment) -> None:
        """After 20 reloads comes a restart, and then reloads again: Triton leaks over many."""
        ways = [deployment.apply(configuration()) for _ in range(23)]

        restart, reload = Applied.RESTART, Applied.RELOAD
        assert ways == [restart, *[reload] * 20, restart, reload]

    def test_after_the_death_of_the_server(self, deployment: Deployment) -> None:
        """A server that died in the meantime is replaced, not reloaded."""
        deployment.apply(configuration())
        dead = deployment.server
        end(dead)

        assert deployment.apply(configuration()) is Applied.RESTART
        assert deployment.server is not dead

    def test_after_a_stop(self, deployment: Deployment) -> None:
        """After a stop there is no server; the next configuration starts one."""
        deployment.apply(configuration())
        deployment.stop()
        deployment.stop()

        with pytest.raises(ServerError, match="no server is running") as caught:
            _ = deployment.server
        assert caught.value.hint == "`apply` a configuration first"
        assert deployment.apply(configuration()) is Applied.RESTART

    def test_processors(self, target: ScriptTarget, runner: ProcessRunner) -> None:
        """The server is kept on the processors that were named."""
        cpus = frozenset({0})
        with Deployment(target, runner, cpus=cpus) as deployment:
            deployment.apply(configuration())
            status = Path(f"/proc/{deployment.server.pid}/status").read_text()
        assert "\nCpus_allowed_list:\t0\n" in status


class TestFailure:
    def test_target(self, deployment: Deployment, target: ScriptTarget) -> None:
        """A configuration that fails takes its server along, and keeps the server's words."""
        target.failure = TrialFailure(Reason.NOT_READY, "no inference")
        with pytest.raises(TrialFailure, match=r"^no inference$") as caught:
            deployment.apply(configuration())

        assert (caught.value.reason, caught.value.log_tail) == (Reason.NOT_READY, "size 1")
        assert is_gone(target.pids[0])
        target.failure = None
        assert deployment.apply(configuration()) is Applied.RESTART

    def test_target_at_reload(self, deployment: Deployment, target: ScriptTarget) -> None:
        """After a reload that failed, the next configuration gets a new server."""
        deployment.apply(configuration())
        target.failure = TrialFailure(Reason.INVALID_CONFIGURATION, "no such colour")
        with pytest.raises(TrialFailure, match="no such colour"):
            deployment.apply(configuration(colour="loud"))

        target.failure = None
        assert is_gone(target.pids[0])
        assert deployment.apply(configuration()) is Applied.RESTART

    def test_interrupt(self, deployment: Deployment, target: ScriptTarget) -> None:
        """Ctrl-C while a configuration is applied leaves no server."""
        target.failure = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            deployment.apply(configuration())

        assert is_gone(target.pids[0])

    def test_exception_in_the_block(self, target: ScriptTarget, runner: ProcessRunner) -> None:
        """Whatever ends the block ends the server."""
        with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117 - the block is the subject
            with Deployment(target, runner) as deployment:
                deployment.apply(configuration())
                raise ZeroDivisionError
        assert is_gone(target.pids[0])

    def test_start_failed(self, deployment: Deployment, target: ScriptTarget) -> None:
        """A server that ends before it listens is told with its exit code and its words."""
        deployment.apply(configuration())
        target.wishes["exit_code"] = 3
        with pytest.raises(TrialFailure, match="exited with code 3 before it listened") as caught:
            deployment.apply(configuration(size=2))

        assert (caught.value.reason, caught.value.log_tail) == (Reason.START_FAILED, "size 2")

    def test_start_without_memory(self, deployment: Deployment, target: ScriptTarget) -> None:
        """One that got none, and says so before it ends, lacked memory."""
        target.wishes["exit_code"] = 1
        with pytest.raises(TrialFailure, match="for want of memory, as its log says") as caught:
            deployment.apply(configuration(size=WITHOUT_MEMORY))

        assert caught.value.reason is Reason.OUT_OF_MEMORY

    def test_start_failed_without_a_word(self, runner: ProcessRunner) -> None:
        """The words of an earlier server are not put into the mouth of one that said nothing."""
        target = ScriptTarget()
        with Deployment(target, runner) as deployment:
            deployment.apply(configuration())
            target.command = ("/bin/false",)
            with pytest.raises(TrialFailure) as caught:
                deployment.apply(configuration(size=2))
        assert caught.value.log_tail == ""

    def test_start_timeout(self, runner: ProcessRunner) -> None:
        """A server that does not listen in time is told as that, and is gone."""
        target = ScriptTarget(start_timeout_s=0.5, hang=True)
        with (
            Deployment(target, runner) as deployment,
            pytest.raises(TrialFailure, match=r"must listen within 0\.5 s") as caught,
        ):
            deployment.apply(configuration())

        assert (caught.value.reason, caught.value.log_tail) == (Reason.START_TIMEOUT, "size 1")

    def test_start_timeout_after_a_start(self, runner: ProcessRunner) -> None:
        """Who has seen a start waits for the next one a quarter of what is allowed."""
        target = ScriptTarget(start_timeout_s=4.0)
        with Deployment(target, runner) as deployment:
            deployment.apply(configuration())
            target.wishes |= {"hang": True}
            with pytest.raises(TrialFailure, match=r"must listen within [1-3]\.?\d* s"):
                deployment.apply(configuration(size=2))

    def test_start_killed(self, deployment: Deployment, target: ScriptTarget) -> None:
        """A server that is killed while it starts says nothing of its configuration."""
        target.command = ("/bin/sh", "-c", "kill -9 $$")
        with pytest.raises(TrialFailure, match="was ended by SIGKILL before") as caught:
            deployment.apply(configuration())

        assert caught.value.reason is Reason.INTERRUPTED

    def test_start_killed_for_its_memory(
        self, deployment: Deployment, target: ScriptTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """But if the kernel has ended somebody for memory meanwhile, it was most likely this."""
        monkeypatch.setattr("tuner.study.deployment.oom_kills", count(7).__next__)
        target.command = ("/bin/sh", "-c", "kill -9 $$")
        with pytest.raises(TrialFailure, match="most likely for its memory") as caught:
            deployment.apply(configuration())

        assert caught.value.reason is Reason.OUT_OF_MEMORY

    def test_command_not_found(self, deployment: Deployment, target: ScriptTarget) -> None:
        """A missing program ends the study: no other configuration can do better."""
        target.command = ("no-such-server",)
        with pytest.raises(ServerMissingError, match="`no-such-server` must be an exec") as caught:
            deployment.apply(configuration())

        assert "put its folder on `PATH`" in caught.value.hint

    def test_launch_refused(
        self, deployment: Deployment, target: ScriptTarget, tmp_path: Path
    ) -> None:
        """A launch that the system refuses is a failed start."""
        target.wishes["working_directory"] = tmp_path / "nowhere"
        with pytest.raises(TrialFailure, match="must be startable as described") as caught:
            deployment.apply(configuration())

        assert (caught.value.reason, caught.value.log_tail) == (Reason.START_FAILED, "")

    def test_port_taken(self, target: ScriptTarget, tmp_path: Path) -> None:
        """A port that somebody else holds is a failed start, with the server's complaint."""
        with socket.create_server(("127.0.0.1", 0)) as thief:
            taken = {"http": thief.getsockname()[1]}
            runner = ProcessRunner(log_directory=tmp_path, choose_ports=lambda _names: taken)
            with (
                Deployment(target, runner) as deployment,
                pytest.raises(TrialFailure, match="was taken by another process") as caught,
            ):
                deployment.apply(configuration())

        assert caught.value.reason is Reason.START_FAILED
        assert "Address already in use" in caught.value.log_tail


class TestBlame:
    FAILURE = TrialFailure(Reason.LOAD_FAILED, "9 of 9 requests failed")

    def test_without_a_server(self, deployment: Deployment) -> None:
        """Where no server is left to ask, the failure stays what it is."""
        assert deployment.blame(self.FAILURE) is self.FAILURE

    def test_alive(self, deployment: Deployment) -> None:
        """A server that lives adds its last words only."""
        deployment.apply(configuration())
        blamed = deployment.blame(self.FAILURE)

        assert (blamed.reason, str(blamed)) == (Reason.LOAD_FAILED, "9 of 9 requests failed")
        assert blamed.log_tail == "size 1"

    def test_alive_without_memory(self, deployment: Deployment) -> None:
        """One that lives on, but answers with errors since it got no memory, lacks that."""
        deployment.apply(configuration(size=WITHOUT_MEMORY))
        blamed = deployment.blame(self.FAILURE)

        assert blamed.reason is Reason.OUT_OF_MEMORY
        assert str(blamed) == f"{self.FAILURE}, for want of memory, as its log says"
        other = TrialFailure(Reason.WRONG_OUTPUT, "it differs")
        assert deployment.blame(other).reason is Reason.WRONG_OUTPUT

    @pytest.mark.parametrize(
        ("number", "reason", "message"),
        [
            (signal.SIGTERM, Reason.CRASHED, "the server was ended by SIGTERM"),
            (
                signal.SIGKILL,
                Reason.INTERRUPTED,
                "the server was ended by SIGKILL, and not for its memory, but by somebody",
            ),
        ],
    )
    def test_dead(
        self, deployment: Deployment, number: signal.Signals, reason: Reason, message: str
    ) -> None:
        """A server that died, or is about to, is the reason; how it showed is told as well."""
        deployment.apply(configuration())
        os.kill(deployment.server.pid, number)  # and it is not waited for
        blamed = deployment.blame(self.FAILURE)

        assert blamed.reason is reason
        assert str(blamed) == f"{message}; seen as: 9 of 9 requests failed"
        assert blamed.log_tail == "size 1"


@pytest.mark.parametrize("counts", [[7, 8], [None, None]])
def test_killed_for_its_memory(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, counts: list[int | None]
) -> None:
    """By the kernel's own count; where it does not count, that is the most likely reason."""
    monkeypatch.setattr("tuner.study.deployment.oom_kills", iter(counts).__next__)
    deployment.apply(configuration())
    os.kill(deployment.server.pid, signal.SIGKILL)
    blamed = deployment.blame(TrialFailure(Reason.LOAD_FAILED, "9 of 9 requests failed"))

    assert blamed.reason is Reason.OUT_OF_MEMORY
    assert "the server was ended by SIGKILL, most likely for its memory" in str(blamed)


def end(server: RunningServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.is_alive())

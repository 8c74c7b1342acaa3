"""What every runner must do, as tests that a subclass runs with its own `runner` fixture."""

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from runners.base import LaunchSpec, Runner, RunningServer
from runners.errors import CommandNotFound, RunnerError, StartFailed, StartTimeout
from runners.ports import accepts_connections, choose_free_ports
from tests.runner_tests.waiting import is_gone, wait_until, wait_until_gone

Error = TypeVar("Error", bound=RunnerError)
SCRIPT = Path(__file__).with_name("server_script.py")


def launch_spec(*, ports: tuple[str, ...] = ("http",), **wishes: Any) -> LaunchSpec:
    """The server of `server_script.py`; the wishes that LaunchSpec knows go there."""
    spec_keys = LaunchSpec.__dataclass_fields__.keys() & wishes.keys()
    spec_wishes = {key: wishes.pop(key) for key in spec_keys}
    extra = spec_wishes.pop("command", ())
    numbers = [f"{{port:{name}}}" for name in ports]
    said = json.dumps({"address": "{address}", "ports": numbers, **wishes})
    command = (sys.executable, "-I", "-S", str(SCRIPT), said, *extra)
    return LaunchSpec(command=command, ports=ports, **spec_wishes)


def read_pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


def refusal(
    runner: Runner, spec: LaunchSpec, error: type[Error], match: str | None = None
) -> Error:
    """The error with which the runner does not start `spec`."""
    with pytest.raises(error, match=match) as caught, runner.start(spec):
        pytest.fail("entered")
    return caught.value


def facts_of(runner: Runner, tmp_path: Path, **wishes: Any) -> dict[str, Any]:
    """What a server with these wishes found where it was started."""
    with runner.start(launch_spec(write_facts=str(tmp_path / "facts"), **wishes)) as server:
        facts: dict[str, Any] = json.loads((tmp_path / "facts").read_text())
    return facts | {"ports": server.ports}


def answer_of(server: RunningServer, port_name: str = "http") -> str:
    return httpx.get(server.url(port_name), trust_env=False).text


class Chooser:
    """Chooses the given ports first, and free ones when they are used up."""

    def __init__(self, first: Sequence[int]) -> None:
        self.calls = 0
        self._first = list(first)

    def __call__(self, names: tuple[str, ...]) -> dict[str, int]:
        self.calls += 1
        return {names[0]: self._first.pop(0)} if self._first else choose_free_ports(names)


class RunnerContract:
    """A subclass gives the `runner` fixture; its name begins with `Test`."""

    def host_pids(self, server: RunningServer, pids: list[int]) -> list[int]:
        """The pids that processes of the server know of themselves, as this machine has them."""
        del server
        return pids

    def all_gone(self, pids: list[int]) -> bool:
        """Whether processes are gone that knew these pids of themselves."""
        return all(is_gone(pid) for pid in pids)

    def test_listens_once_entered(self, runner: Runner) -> None:
        """A server that was handed out is alive and answers at its URL."""
        with runner.start(launch_spec()) as server:
            assert server.is_alive()
            assert server.exit_code() is None
            assert server.url("http") == f"http://127.0.0.1:{server.ports['http']}"
            assert answer_of(server) == "ready"

    def test_starts_nothing_before_it_is_entered(self, runner: Runner, tmp_path: Path) -> None:
        """Asking for a server is not yet starting it."""
        runner.start(launch_spec(leave=[str(tmp_path / "started")]))
        assert not (tmp_path / "started").exists()

    def test_every_port_listens(self, runner: Runner) -> None:
        """Each named port gets a number of its own, and all of them answer."""
        with runner.start(launch_spec(ports=("http", "metrics"))) as server:
            assert set(server.ports) == {"http", "metrics"}
            assert answer_of(server, "http") == answer_of(server, "metrics") == "ready"
        assert len(set(server.ports.values())) == 2

    def test_two_servers_at_once(self, runner: Runner) -> None:
        """Two servers of the same specification run side by side on different ports."""
        with runner.start(launch_spec()) as one, runner.start(launch_spec()) as other:
            assert one.ports["http"] != other.ports["http"]
            assert one.pid != other.pid
            assert answer_of(one) == answer_of(other) == "ready"

    def test_leaving_stops_the_server(self, runner: Runner) -> None:
        """After the block the process is gone, the port is free and the exit code is known."""
        with runner.start(launch_spec()) as server:
            pass
        assert is_gone(server.pid)
        assert not accepts_connections(server.ports["http"])
        assert not server.is_alive()
        assert server.exit_code() == -signal.SIGTERM

    def test_leaving_after_an_exception(self, runner: Runner) -> None:
        """An exception inside the block passes through, and nothing is left behind."""
        seen: list[RunningServer] = []
        with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117 - the block is the subject
            with runner.start(launch_spec()) as server:
                seen.append(server)
                raise ZeroDivisionError
        assert is_gone(seen[0].pid)

    def test_log_tail(self, runner: Runner) -> None:
        """The log tail is the last lines of the output; undecodable bytes are replaced."""
        with runner.start(launch_spec(say="one\ntwo\nthr\xffee\n")) as server:
            assert server.log_tail() == "one\ntwo\nthr\N{REPLACEMENT CHARACTER}ee"
            assert server.log_tail(lines=1) == "thr\N{REPLACEMENT CHARACTER}ee"
        assert server.log_tail(lines=0) == ""

    def test_command_not_found(self, runner: Runner) -> None:
        """A command that does not exist is named, and the hint says what to do."""
        # In a container an init begins; that it found no server shows where one waits for it.
        spec = LaunchSpec(command=("no-such-server",), ports=("http",))
        assert "PATH" in refusal(runner, spec, CommandNotFound, "`no-such-server` must be").hint

    def test_exits_before_it_listens(self, runner: Runner) -> None:
        """A server that ends too early is reported with its exit code and its last words."""
        spec = launch_spec(say="no model\n", exit_code=3)
        error = refusal(runner, spec, StartFailed, "exited with code 3 before it listened")
        assert error.exit_code == 3
        assert error.log_tail == "no model"

    def test_an_option_that_it_does_not_know(self, runner: Runner) -> None:
        """What it said of it stands in the error, however much it goes on to say."""
        usage = "".join(f"  --option-{number}\n" for number in range(400))
        complaint = "server: unrecognized option '--no-such=1'"
        spec = launch_spec(say=f"{complaint}\nUsage:\n{usage}", exit_code=1)
        said = str(refusal(runner, spec, StartFailed))
        assert said.endswith(f"exited with code 1 before it listened: {complaint}")

    def test_never_listens(self, runner: Runner, tmp_path: Path) -> None:
        """A server that hangs is given up after its time, stopped, and its log is shown."""
        spec = launch_spec(
            say="loading\n",
            hang=True,
            fork=["same session"],
            pid_file=str(tmp_path / "pids"),
            start_timeout_s=0.5,
        )
        error = refusal(runner, spec, StartTimeout, r"listen within 0\.5 s.* on `http`")
        assert error.log_tail == "loading"
        assert self.all_gone(read_pids(tmp_path / "pids"))

    def test_ignores_the_request_to_stop(self, runner: Runner) -> None:
        """A server that ignores SIGTERM is killed when its grace is over."""
        with runner.start(launch_spec(ignore_sigterm=True, stop_grace_s=1.0)) as server:
            pass
        assert is_gone(server.pid)
        assert server.exit_code() == -signal.SIGKILL
        assert server.log_tail() == "SIGTERM? no"

    @pytest.mark.parametrize("session", ["same session", "own session"])
    def test_descendants_are_removed(self, runner: Runner, tmp_path: Path, session: str) -> None:
        """What the server forked ends with it, even in a session of its own."""
        pid_file = tmp_path / "pids"
        with runner.start(launch_spec(fork=[session], pid_file=str(pid_file))) as server:
            pids = self.host_pids(server, read_pids(pid_file))
            assert pids
            assert not any(is_gone(pid) for pid in pids)
        assert all(is_gone(pid) for pid in pids)

    def test_dies_later(self, runner: Runner, tmp_path: Path) -> None:
        """A server that dies inside the block is seen as dead, and its descendants go too."""
        trigger, pid_file = tmp_path / "die", tmp_path / "pids"
        spec = launch_spec(
            die_when_exists=str(trigger), fork=["own session"], pid_file=str(pid_file)
        )
        with runner.start(spec) as server:
            pids = self.host_pids(server, read_pids(pid_file))
            assert pids
            trigger.touch()
            wait_until(lambda: not server.is_alive())
            assert server.exit_code() == -signal.SIGUSR1
            wait_until_gone(pids)
        assert server.exit_code() == -signal.SIGUSR1

    def test_environment_arguments_and_directory(self, runner: Runner, tmp_path: Path) -> None:
        """The server gets its variables, arguments and directory with the ports filled in."""
        facts = facts_of(
            runner,
            tmp_path,
            command=("--port={port:http}",),
            environment={"SERVER_URL": "http://0.0.0.0:{port:http}", "OMP_NUM_THREADS": "2"},
            working_directory=tmp_path,
        )
        port = facts["ports"]["http"]
        assert facts["arguments"] == [f"--port={port}"]
        assert facts["environment"]["SERVER_URL"] == f"http://0.0.0.0:{port}"
        assert facts["environment"]["OMP_NUM_THREADS"] == "2"
        assert facts["directory"] == str(tmp_path)

    def test_files(self, runner: Runner, tmp_path: Path) -> None:
        """Files are there at the start with the placeholders filled in, and gone afterwards."""
        files = {"server.conf": "listen={address}:{port:http} {other}"}
        facts = facts_of(runner, tmp_path, command=("{folder}",), files=files)
        [address] = {"127.0.0.1", "0.0.0.0"} & {facts["address"]}  # noqa: S104 - in a container
        text = f"listen={address}:{facts['ports']['http']} {{other}}"
        assert facts["files"] == {"server.conf": text}
        [folder] = facts["arguments"]
        assert not Path(folder).exists()

    def test_the_log_begins(self, runner: Runner) -> None:
        """The log's head is its first lines."""
        with runner.start(launch_spec(say="one\ntwo\nthree\n")) as server:
            assert server.log_head(lines=2) == "one\ntwo"
            assert server.log_head() == "one\ntwo\nthree"

    def test_restart(self, runner: Runner) -> None:
        """The same specification can be started again and again."""
        for _ in range(2):
            with runner.start(launch_spec()) as server:
                assert answer_of(server) == "ready"

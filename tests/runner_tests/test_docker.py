"""The Docker runner on a real engine: the contract of every runner, and what containers add."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from runners.base import LaunchSpec, RunningServer
from runners.docker import OWNER_LABEL, ContainerSettings, DockerRunner, clean
from runners.docker_engine import Engine
from runners.errors import EngineUnreachable, ImageMissing, LaunchRefused, PortTaken, StartFailed
from runners.process_names import own_name
from tests.runner_tests.contract import Chooser, RunnerContract, answer_of, launch_spec, refusal
from tests.runner_tests.waiting import is_gone, wait_until
from tests.servers import docker

on_an_engine = pytest.mark.usefixtures("docker_image")


def settings(folder: Path, **more: object) -> ContainerSettings:
    """Containers that see this machine's programs, and may write into `folder`."""
    wanted = {"image": docker.IMAGE, "mounts": docker.mounts(), "writable": (folder,), **more}
    return ContainerSettings(**wanted)  # type: ignore[arg-type]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[DockerRunner]:
    with DockerRunner(settings(tmp_path)) as runner:
        yield runner


def inspected(part: str) -> dict[str, Any]:
    """A part of what the engine says of the one container that is there."""
    command = ["docker", "inspect", *own_containers()]
    [content] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    found: dict[str, Any] = content[part]
    return found


def own_containers() -> list[str]:
    return docker.containers(f"{OWNER_LABEL}={own_name()}")


@on_an_engine
class TestDockerRunner(RunnerContract):
    """The contract, with the `runner` fixture above."""

    def host_pids(self, server: RunningServer, pids: list[int]) -> list[int]:
        processes = psutil.Process(server.pid).children(recursive=True)
        inside = {_pid_inside(each.pid): each.pid for each in processes}
        return [inside[pid] for pid in pids]

    def all_gone(self, pids: list[int]) -> bool:
        del pids  # what a container had is gone with it
        return not own_containers()


def _pid_inside(pid: int) -> int:
    """As the process itself knows it: the last of NSpid (proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [each for each in lines if each.startswith("NSpid:")]
    return int(line.split()[-1])


@on_an_engine
class TestContainers:
    def test_gone_afterwards(self, runner: DockerRunner) -> None:
        """The container is there while the server runs, marked as asked, and gone afterwards."""
        labels = {"tuner.study": "a", "tuner.trial": "3"}
        with runner.start(launch_spec(labels=labels)):
            assert labels.items() <= inspected("Config")["Labels"].items()
        assert own_containers() == []

    def test_published_on_the_loopback_only(self, runner: DockerRunner) -> None:
        """Nobody outside this machine reaches the server."""
        with runner.start(launch_spec()) as server:
            host = inspected("HostConfig")
        number = str(server.ports["http"])
        assert host["PortBindings"] == {
            f"{number}/tcp": [{"HostIp": "127.0.0.1", "HostPort": number}]
        }

    def test_limits(self, tmp_path: Path) -> None:
        """Processors, memory, shared memory, limits and capabilities are those of the settings."""
        wanted = settings(
            tmp_path,
            memory="512m",
            shm_size="96m",
            cpu_quota=1.5,
            capabilities=("SYS_NICE",),
            ulimits={"nofile": 2048},
            user=f"{os.getuid()}:{os.getgid()}",
        )
        with DockerRunner(wanted) as runner, runner.start(launch_spec(cpus=frozenset({0}))):
            host = inspected("HostConfig")
        found = {name: host[name] for name in ("CpusetCpus", "Memory", "MemorySwap", "ShmSize")}
        assert found == {
            "CpusetCpus": "0",
            "Memory": 512 << 20,
            "MemorySwap": 512 << 20,
            "ShmSize": 96 << 20,
        }
        assert host["NanoCpus"] == 1_500_000_000
        assert [each.removeprefix("CAP_") for each in host["CapAdd"]] == ["SYS_NICE"]
        assert host["Ulimits"] == [{"Name": "nofile", "Hard": 2048, "Soft": 2048}]

    def test_mounts_are_read_only(self, runner: DockerRunner, tmp_path: Path) -> None:
        """What the server reads it cannot change."""
        folder = tmp_path.parent / f"{tmp_path.name}-model"
        folder.mkdir()
        spec = launch_spec(leave=[str(folder / "a")], reads=(folder,))
        assert "Read-only file system" in refusal(runner, spec, StartFailed).log_tail

    def test_what_is_kept(self, runner: DockerRunner, tmp_path: Path) -> None:
        """What the server compiles or downloads outlives it."""
        folder = tmp_path.parent / f"{tmp_path.name}-cache"
        folder.mkdir()
        with runner.start(launch_spec(leave=[str(folder / "a")], keeps=(folder,))):
            pass
        assert (folder / "a").exists()

    def test_out_of_memory(self, tmp_path: Path) -> None:
        """A server that takes more memory than it may looks like one the kernel killed."""
        wanted = settings(tmp_path, memory="64m")
        script = "a = bytearray(1 << 28); a[::4096] = a[::4096]"
        spec = LaunchSpec(command=(sys.executable, "-I", "-S", "-c", script), ports=("http",))
        with DockerRunner(wanted) as runner:
            assert refusal(runner, spec, StartFailed, "was ended by SIGKILL").exit_code == -9

    def test_host_network(self, tmp_path: Path) -> None:
        """With the host's network the server listens on the loopback by itself."""
        wanted = settings(tmp_path, network="host")
        with DockerRunner(wanted) as runner, runner.start(launch_spec()) as server:
            assert answer_of(server) == "ready"

    def test_image(self, runner: DockerRunner) -> None:
        """The image is known by what it holds, not by its name alone."""
        assert runner.image.name == docker.IMAGE
        assert runner.image.digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("unix://{folder}/nowhere.sock", r"must answer, but: No such file or directory"),
        # One of another machine is refused before it is asked anything.
        ("tcp://192.0.2.1:2375", r"tcp://192\.0\.2\.1:2375 is not on this"),
    ],
)
def test_engine_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, words: str
) -> None:
    """Without an engine here the person learns what to start, or to do without."""
    monkeypatch.setenv("DOCKER_HOST", host.format(folder=tmp_path))
    with pytest.raises(EngineUnreachable, match=words), DockerRunner(settings(tmp_path)):
        pytest.fail("entered")


@on_an_engine
class TestRefusals:
    @pytest.mark.parametrize(
        ("image", "pull", "words", "hint"),
        [
            # It is pulled only if somebody says so, and the registry's words are told.
            ("tuner-tests:no-such", False, "the image `tuner-tests:no-such`, but", "`--pull`"),
            ("127.0.0.1:1/no-such:latest", True, r"127\.0\.0\.1:1", "docker login"),
        ],
    )
    def test_image_missing(
        self, tmp_path: Path, image: str, *, pull: bool, words: str, hint: str
    ) -> None:
        """An image that is not there, or that no registry gives, is named."""
        wanted = settings(tmp_path, image=image, pull=pull)
        with pytest.raises(ImageMissing, match=words) as caught, DockerRunner(wanted):
            pytest.fail("entered")
        assert hint in caught.value.hint

    def test_gpus_that_are_not_there(self, tmp_path: Path) -> None:
        """Without NVIDIA's runtime the person learns what to install."""
        wanted = settings(tmp_path, gpus="all")
        with DockerRunner(wanted) as runner:
            error = refusal(runner, launch_spec(), LaunchRefused, "could not select device driver")
        assert "NVIDIA Container Toolkit" in error.hint
        assert own_containers() == []

    def test_processors_that_are_not_there(self, runner: DockerRunner) -> None:
        """Processors that the machine lacks are refused."""
        spec = launch_spec(cpus=frozenset({1000}))
        said = str(refusal(runner, spec, LaunchRefused))
        assert "Requested CPUs are not available" in said

    def test_a_port_is_taken(self, tmp_path: Path) -> None:
        """A port that somebody took in between is given up after some attempts."""
        wanted = settings(tmp_path)
        with DockerRunner(wanted) as first, first.start(launch_spec()) as server:
            port = server.ports["http"]
            with DockerRunner(wanted, choose_ports=Chooser([port] * 5)) as second:
                refusal(second, launch_spec(), PortTaken, rf"but {port} was taken")

    def test_a_port_was_taken_once(self, tmp_path: Path) -> None:
        """The next attempt has other ports."""
        wanted = settings(tmp_path)
        with DockerRunner(wanted) as first, first.start(launch_spec()) as server:
            chooser = Chooser([server.ports["http"]])
            with (
                DockerRunner(wanted, choose_ports=chooser) as second,
                second.start(launch_spec()) as other,
            ):
                assert answer_of(other) == "ready"


@on_an_engine
class TestAbandoned:
    def test_removed_at_the_next_start(self, tmp_path: Path) -> None:
        """The container of a tuner that was killed is gone once the next runner is there."""
        script = (
            "import sys; from pathlib import Path\n"
            "from tests.runner_tests import test_docker as t\n"
            "from runners.docker import DockerRunner\n"
            "with DockerRunner(t.settings(Path(sys.argv[1]))) as r, r.start(t.launch_spec()):\n"
            "    print('started', flush=True); sys.stdin.read()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=docker.ROOT,
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"started\n"
            process.kill()
        before = docker.containers()
        assert len(before) == 1
        with DockerRunner(settings(tmp_path)):
            assert docker.containers() == []

    def test_clean(self) -> None:
        """Cleaning names what it removes, and leaves what living tuners have."""
        dead, other = f"{own_name()}0", own_name()
        for owner in (dead, other):
            command = ["docker", "create", "--label", f"{OWNER_LABEL}={owner}"]
            command += ["--label", "tuner.study=s", docker.IMAGE, "true"]
            subprocess.run(command, capture_output=True, check=True)
        [removed] = clean()
        assert removed.endswith("tuner.study=s")
        assert len(docker.containers()) == 1
        assert len(clean(everybodys=True)) == 1
        assert docker.containers() == []


@on_an_engine
class TestEngineRestart:
    @pytest.mark.slow
    def test_the_server_is_gone_and_the_next_one_starts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An engine that is restarted takes its servers along; the runner starts others then."""
        with docker.private_engine() as engine:
            monkeypatch.setenv("DOCKER_HOST", engine.host)
            wanted = settings(tmp_path, network="host")
            with docker.imported(), DockerRunner(wanted) as runner:
                with runner.start(launch_spec()) as server:
                    assert server.is_alive()
                    engine.stop()
                    wait_until(lambda: not server.is_alive())
                    engine.start()
                assert is_gone(server.pid)
                assert docker.containers() == []
                with runner.start(launch_spec()) as server:
                    assert answer_of(server) == "ready"

    def test_an_engine_that_stays_away(self) -> None:
        """Whoever asks an engine that is gone is told so."""
        with docker.private_engine() as engine, pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", engine.host)
            asked = Engine()
            engine.stop()
            with pytest.raises(EngineUnreachable, match="must answer, but"):
                asked.labelled("any")
            asked.close()

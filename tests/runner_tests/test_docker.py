"""The Docker runner on a real engine: the contract of every runner, and what containers add."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runners.base import LaunchSpec, RunningServer
from runners.docker import OWNER_LABEL, ContainerSettings, DockerRunner, clean, own_name
from runners.docker_engine import Engine
from runners.errors import EngineUnreachable, ImageMissing, LaunchRefused, PortTaken, StartFailed
from runners.ports import choose_free_ports
from tests.runner_tests.contract import RunnerContract, answer_of, launch_spec
from tests.runner_tests.waiting import is_gone, wait_until
from tests.servers import docker


def settings(folder: Path, **more: object) -> ContainerSettings:
    """Containers that see this machine's programs, and may write into `folder`."""
    wanted = {"image": docker.IMAGE, "mounts": docker.mounts(), "writable": (folder,), **more}
    return ContainerSettings(**wanted)  # type: ignore[arg-type]


@pytest.fixture
def runner(docker_image: str, tmp_path: Path) -> Iterator[DockerRunner]:
    del docker_image
    with DockerRunner(settings(tmp_path)) as runner:
        yield runner


def inspected(container: str) -> dict[str, object]:
    shown = subprocess.run(["docker", "inspect", container], capture_output=True, check=True)
    [content] = json.loads(shown.stdout)
    assert isinstance(content, dict)
    return content


def own_containers() -> list[str]:
    return docker.containers(f"{OWNER_LABEL}={own_name()}")


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


class TestContainers:
    def test_gone_afterwards(self, runner: DockerRunner) -> None:
        """The container is there while the server runs, marked as asked, and gone afterwards."""
        labels = {"tuner.study": "a", "tuner.trial": "3"}
        with runner.start(launch_spec(labels=labels)):
            [container] = own_containers()
            config = inspected(container)["Config"]
            assert isinstance(config, dict)
            assert labels.items() <= config["Labels"].items()
        assert own_containers() == []

    def test_published_on_the_loopback_only(self, runner: DockerRunner) -> None:
        """Nobody outside this machine reaches the server."""
        with runner.start(launch_spec()) as server:
            [container] = own_containers()
            host = inspected(container)["HostConfig"]
        assert isinstance(host, dict)
        number = str(server.ports["http"])
        assert host["PortBindings"] == {
            f"{number}/tcp": [{"HostIp": "127.0.0.1", "HostPort": number}]
        }

    def test_limits(self, docker_image: str, tmp_path: Path) -> None:
        """Processors, memory, shared memory, limits and capabilities are those of the settings."""
        wanted = settings(
            tmp_path,
            image=docker_image,
            memory="512m",
            shm_size="96m",
            cpu_quota=1.5,
            capabilities=("SYS_NICE",),
            ulimits={"nofile": 2048},
            user=f"{os.getuid()}:{os.getgid()}",
        )
        with DockerRunner(wanted) as runner, runner.start(launch_spec(cpus=frozenset({0}))):
            [container] = own_containers()
            host = inspected(container)["HostConfig"]
        assert isinstance(host, dict)
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
        with (
            pytest.raises(StartFailed) as caught,
            runner.start(launch_spec(leave=[str(folder / "a")], reads=(folder,))),
        ):
            pytest.fail("entered")
        assert "Read-only file system" in caught.value.log_tail

    def test_out_of_memory(self, docker_image: str, tmp_path: Path) -> None:
        """A server that takes more memory than it may looks like one the kernel killed."""
        wanted = settings(tmp_path, image=docker_image, memory="64m")
        command = (
            sys.executable,
            "-I",
            "-S",
            "-c",
            "a = bytearray(1 << 28); a[::4096] = a[::4096]",
        )
        with (
            DockerRunner(wanted) as runner,
            pytest.raises(StartFailed, match="was ended by SIGKILL") as caught,
            runner.start(LaunchSpec(command=command, ports=("http",))),
        ):
            pytest.fail("entered")
        assert caught.value.exit_code == -9

    def test_host_network(self, docker_image: str, tmp_path: Path) -> None:
        """With the host's network the server listens on the loopback by itself."""
        wanted = settings(tmp_path, image=docker_image, network="host")
        with DockerRunner(wanted) as runner, runner.start(launch_spec()) as server:
            assert answer_of(server) == "ready"

    def test_image(self, runner: DockerRunner) -> None:
        """The image is known by what it holds, not by its name alone."""
        assert runner.image.name == docker.IMAGE
        assert runner.image.digest.startswith("sha256:")


class TestRefusals:
    def test_engine_unreachable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without an engine the person learns what to start, or to do without."""
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
        with (
            pytest.raises(EngineUnreachable, match=r"must answer, but: No such file or directory"),
            DockerRunner(settings(tmp_path)),
        ):
            pytest.fail("entered")

    def test_engine_elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An engine of another machine is refused before it is asked anything."""
        monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
        with (
            pytest.raises(EngineUnreachable, match=r"tcp://192\.0\.2\.1:2375 is not on this"),
            DockerRunner(settings(tmp_path)),
        ):
            pytest.fail("entered")

    def test_image_missing(self, docker_image: str, tmp_path: Path) -> None:
        """An image that is not there is pulled only if somebody says so."""
        del docker_image
        wanted = settings(tmp_path, image="tuner-tests:no-such")
        with (
            pytest.raises(ImageMissing, match="the image `tuner-tests:no-such`, but") as caught,
            DockerRunner(wanted),
        ):
            pytest.fail("entered")
        assert "`--pull`" in caught.value.hint

    def test_image_cannot_be_pulled(self, docker_image: str, tmp_path: Path) -> None:
        """An image that no registry gives is named with the registry's words."""
        del docker_image
        wanted = settings(tmp_path, image="127.0.0.1:1/no-such:latest", pull=True)
        with (
            pytest.raises(ImageMissing, match=r"127\.0\.0\.1:1") as caught,
            DockerRunner(wanted),
        ):
            pytest.fail("entered")
        assert "docker login" in caught.value.hint

    def test_gpus_that_are_not_there(self, docker_image: str, tmp_path: Path) -> None:
        """Without NVIDIA's runtime the person learns what to install."""
        wanted = settings(tmp_path, image=docker_image, gpus="all")
        with (
            DockerRunner(wanted) as runner,
            pytest.raises(LaunchRefused, match="could not select device driver") as caught,
            runner.start(launch_spec()),
        ):
            pytest.fail("entered")
        assert "NVIDIA Container Toolkit" in caught.value.hint
        assert own_containers() == []

    def test_processors_that_are_not_there(self, runner: DockerRunner) -> None:
        """Processors that the machine lacks are refused."""
        with (
            pytest.raises(LaunchRefused, match="Requested CPUs are not available"),
            runner.start(launch_spec(cpus=frozenset({1000}))),
        ):
            pytest.fail("entered")

    def test_a_port_is_taken(self, docker_image: str, tmp_path: Path) -> None:
        """A port that somebody took in between is given up after some attempts."""
        wanted = settings(tmp_path, image=docker_image)
        with DockerRunner(wanted) as first, first.start(launch_spec()) as server:
            taken = dict(server.ports)
            with (
                DockerRunner(wanted, choose_ports=lambda _: taken) as second,
                pytest.raises(PortTaken, match=rf"but {taken['http']} was taken"),
                second.start(launch_spec()),
            ):
                pytest.fail("entered")

    def test_a_port_was_taken_once(self, docker_image: str, tmp_path: Path) -> None:
        """The next attempt has other ports."""
        wanted = settings(tmp_path, image=docker_image)
        with DockerRunner(wanted) as first, first.start(launch_spec()) as server:
            choices = [dict(server.ports)]

            def choose(names: tuple[str, ...]) -> dict[str, int]:
                return choices.pop() if choices else choose_free_ports(names)

            with (
                DockerRunner(wanted, choose_ports=choose) as second,
                second.start(launch_spec()) as other,
            ):
                assert answer_of(other) == "ready"


class TestAbandoned:
    def test_removed_at_the_next_start(self, docker_image: str, tmp_path: Path) -> None:
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
        with DockerRunner(settings(tmp_path, image=docker_image)):
            assert docker.containers() == []

    def test_clean(self, docker_image: str) -> None:
        """Cleaning names what it removes, and leaves what living tuners have."""
        dead, other = f"{own_name()}0", own_name()
        for owner in (dead, other):
            command = ["docker", "create", "--label", f"{OWNER_LABEL}={owner}"]
            command += ["--label", "tuner.study=s", docker_image, "true"]
            subprocess.run(command, capture_output=True, check=True)
        [removed] = clean()
        assert removed.endswith("tuner.study=s")
        assert len(docker.containers()) == 1
        assert len(clean(everybodys=True)) == 1
        assert docker.containers() == []


class TestEngineRestart:
    @pytest.mark.slow
    def test_the_server_is_gone_and_the_next_one_starts(
        self, docker_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An engine that is restarted takes its servers along; the runner starts others then."""
        del docker_image
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

    def test_an_engine_that_stays_away(self, docker_image: str) -> None:
        """Whoever asks an engine that is gone is told so."""
        del docker_image
        with docker.private_engine() as engine, pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", engine.host)
            asked = Engine()
            engine.stop()
            with pytest.raises(EngineUnreachable, match="must answer, but"):
                asked.labelled("any")
            asked.close()

"""A real Docker engine, and an image made without any registry.

The image holds empty folders only: containers get this machine's programs mounted into them,
read-only. So what runs in them is this machine's own Python and servers.
"""

import io
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runners.docker_engine import Engine
from runners.errors import EngineUnreachable
from tests.runner_tests.waiting import wait_until
from tests.servers import tensorflow_program
from tuner.targets.torchserve import install as torchserve_install
from tuner.targets.triton import install as triton_install

IMAGE = "tuner-tests:latest"
ROOT = Path(__file__).parents[2]
_FOLDERS = (
    "usr",
    "lib",
    "lib64",
    "bin",
    "sbin",
    "etc",
    "tmp",
    "proc",
    "sys",
    "dev",
    "root",
    "opt",
)
# Not /sbin: the engine puts the init process of its containers there.
_PROGRAMS = ("/usr", "/lib", "/lib64", "/bin", "/etc")


def missing() -> str:
    """What must be installed or started first, as a sentence; empty if it is all there."""
    try:
        Engine().close()
    except EngineUnreachable as error:
        return f"{error}: {error.hint}"
    return ""


def mounts() -> tuple[Path, ...]:
    """What a container needs of this machine to run this Python, its packages, and our tests."""
    python = {Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_config_var("LIBDIR"))}
    wanted = sorted({*map(Path, _PROGRAMS), *python, ROOT})
    # What lies in another of them is there already.
    inner = [p for p in wanted if any(q in p.parents for q in wanted)]
    return tuple(p for p in wanted if p not in inner and p.exists())


@contextmanager
def imported(name: str = IMAGE, *, programs: Path | None = None) -> Iterator[str]:
    """The image's name, while it is there; `programs` is a folder whose programs are on PATH."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    change = f"ENV PATH={programs}:{path}" if programs else f"ENV PATH={path}"
    _docker("import", "--change", change, "-", name, given=_empty_folders())
    try:
        yield name
    finally:
        _docker("image", "rm", "--force", name)


@dataclass(frozen=True)
class ServerImage:
    """An image with a server's program on its PATH, and what must be mounted for it to run."""

    name: str
    mounts: tuple[Path, ...]

    @property
    def options(self) -> tuple[str, ...]:
        """Those of `tuner optimize`."""
        mounts = (word for path in self.mounts for word in ("--mount", str(path)))
        return ("--runner", "docker", "--image", self.name, "--shm-size", "256m", *mounts)


@contextmanager
def with_triton() -> Iterator[ServerImage]:
    """An image whose `tritonserver` is that of this machine."""
    with _programs() as folder:
        found = triton_install.find_triton(folder)
        command = [str(found.executable), *found.flags]
        with _with_program("tritonserver", command, found.environment, folder) as image:
            yield image


@contextmanager
def with_torchserve() -> Iterator[ServerImage]:
    """An image whose `torchserve` is that of this machine."""
    found = torchserve_install.find_torchserve()
    with (
        _programs() as folder,
        _with_program("torchserve", [str(found.executable)], found.environment, folder) as image,
    ):
        yield image


@contextmanager
def with_tensorflow_serving() -> Iterator[ServerImage]:
    """An image whose `tensorflow_model_server` is the program of tensorflow_program.py."""
    name, command = tensorflow_program.PROGRAM, tensorflow_program.COMMAND
    # Ports are published to the container's own address.
    environment = {"LISTEN": "0.0.0.0"}  # noqa: S104
    with _programs() as folder, _with_program(name, command, environment, folder) as image:
        yield image


@contextmanager
def _programs() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def _with_program(
    name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[ServerImage]:
    exports = [f"export {key}={shlex.quote(value)}" for key, value in environment.items()]
    program = folder / name
    program.write_text("\n".join(["#!/bin/sh", *exports, f'exec {shlex.join(command)} "$@"', ""]))
    program.chmod(0o755)
    with imported(f"tuner-tests-{name}:latest", programs=folder) as image:
        yield ServerImage(image, (*mounts(), folder))


def containers(label: str = "tuner.owner") -> list[str]:
    """The ids of all containers that a tuner made."""
    shown = _docker("ps", "--all", "--quiet", "--filter", f"label={label}")
    return shown.decode().split()


def running(label: str = "tuner.owner") -> list[str]:
    """Those of them that run."""
    return _docker("ps", "--quiet", "--filter", f"label={label}").decode().split()


@contextmanager
def private_engine() -> Iterator["PrivateEngine"]:
    """An engine of our own that can be restarted; its containers have the host's network."""
    with tempfile.TemporaryDirectory(prefix="docker-") as folder:
        engine = PrivateEngine(Path(folder))
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()


class PrivateEngine:
    """Its socket's address is `host`, as DOCKER_HOST takes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = self._folder
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "dockerd",
                    *("--host", self.host, "--data-root", str(folder / "data")),
                    *("--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid")),
                    # Without one of its own; with `none` it would remove the other engine's.
                    *("--bridge", "docker0", "--iptables=false", "--ip6tables=false"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process.pid

    def kill(self) -> None:
        """As the kernel does where memory is short: containers stay, and their guardians too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None
        for line in Path("/proc/self/mounts").read_text().splitlines():
            place = line.split()[1]
            if place.startswith(f"{self._folder}/"):  # of its network, which it leaves there
                subprocess.run(["umount", "--lazy", place], check=True)

    def _answers(self) -> bool:
        environment = {**os.environ, "DOCKER_HOST": self.host}
        command = ["docker", "version"]
        ended = subprocess.run(command, env=environment, capture_output=True, check=False)
        return ended.returncode == 0


def _empty_folders() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in _FOLDERS:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(entry)
    return content.getvalue()


def _docker(*arguments: str, given: bytes | None = None) -> bytes:
    program = shutil.which("docker") or "docker"
    ended = subprocess.run([program, *arguments], input=given, capture_output=True, check=True)
    return ended.stdout

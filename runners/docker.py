"""Runs a server in a container of this machine's Docker engine."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Self

from runners import docker_engine
from runners.base import LaunchSpec
from runners.container_server import ContainerServer
from runners.docker_engine import Engine, Image, Refused
from runners.errors import (
    CommandNotFound,
    EngineUnreachable,
    LaunchRefused,
    PortTaken,
    RunnerError,
    StartFailed,
)
from runners.interrupts import interrupts_deferred
from runners.ports import LOCAL_HOST, PORT_ATTEMPTS, choose_free_ports
from runners.process_names import is_gone, own_name
from runners.readiness import await_listening, start_failed

OWNER_LABEL = "tuner.owner"
# The labels that `clean` tells of a container.
_MARKS = ("tuner.study", "tuner.trial")
# Where a container has the files of its launch.
_FOLDER = "/tuner-files"
_HOST_NETWORK = "host"
# How long an engine that answered before may be away, as it is when it is restarted, in seconds;
_ENGINE_RETURN_S = 60.0
# and how often it is asked meanwhile.
_ENGINE_POLL_S = 0.5
# How the container's init process tells that there is no such program.
_TINI_FAILED = re.compile(r"\[FATAL tini \(\d+\)\] exec .* failed: (.*)")
_INIT_COULD_NOT_EXECUTE = 127
_GPU_HINT = (
    "install the NVIDIA Container Toolkit (`nvidia-ctk runtime configure`), or leave out `--gpus`"
)


@dataclass(frozen=True, kw_only=True)
class ContainerSettings:
    """What every container of a study gets.

    Attributes:
        image: Name or digest of the image; `pull` fetches one that is not there.
        memory: As Docker writes it (`4g`), also for `shm_size`; without swap.
        cpu_quota: Processors' worth of time, 0 for no limit.
        gpus: `all`, or ids in a list such as `0,1`; none when empty.
        capabilities: Such as `SYS_NICE`, which numactl needs.
        mounts: Further files and folders, each at the same place and read-only; those in
            `writable` can be written.
        network: `bridge`, where ports are published on 127.0.0.1, or `host`.
    """

    image: str
    pull: bool = False
    memory: str = ""
    shm_size: str = ""
    cpu_quota: float = 0.0
    gpus: str = ""
    capabilities: tuple[str, ...] = ()
    ulimits: Mapping[str, int] = field(default_factory=dict)
    mounts: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    network: str = "bridge"
    user: str = ""


class DockerRunner:
    """Starts every server in a container of its own, which is removed with it.

    Within the `with` block the engine and the image are there; entering it also removes what
    tuners that died have left.

    Raises:
        EngineUnreachable: The engine does not answer.
        ImageMissing: It has no such image.
    """

    may_restart = True

    def __init__(
        self,
        settings: ContainerSettings,
        *,
        choose_ports: Callable[[tuple[str, ...]], Mapping[str, int]] = choose_free_ports,
    ) -> None:
        self._settings = settings
        self._choose_ports = choose_ports
        self._engine: Engine | None = None
        self._image: Image | None = None

    def __enter__(self) -> Self:
        engine = Engine()
        try:
            remove_abandoned(engine)
            self._image = engine.image(self._settings.image, pull=self._settings.pull)
        except BaseException:
            engine.close()
            raise
        self._engine = engine
        return self

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    @property
    def image(self) -> Image:
        """The image of the containers."""
        if self._image is None:
            raise ValueError("the image is known once the runner was entered")
        return self._image

    @contextmanager
    def start(self, launch_spec: LaunchSpec) -> Iterator[ContainerServer]:
        engine = self._engine
        if engine is None:
            raise ValueError("a runner starts servers within its `with` block only")
        _wait_for(engine)
        ports: Mapping[str, int] = {}
        for _ in range(PORT_ATTEMPTS):
            ports = self._choose_ports(launch_spec.ports)
            try:
                with self._running(engine, launch_spec, ports) as server:
                    if not await_listening(server, launch_spec):
                        raise _failure(server, launch_spec)
                    yield server
                    return
            except _PortIsTaken:
                continue
        raise PortTaken(ports=ports.values(), attempts=PORT_ATTEMPTS)

    @contextmanager
    def _running(
        self, engine: Engine, launch_spec: LaunchSpec, ports: Mapping[str, int]
    ) -> Iterator[ContainerServer]:
        """The container from its creation to its removal."""
        address = LOCAL_HOST if self._settings.network == _HOST_NETWORK else "0.0.0.0"  # noqa: S104 - in the container
        launch = launch_spec.placed(ports, address=address, folder=_FOLDER)
        server: ContainerServer | None = None
        name = f"tuner-{uuid.uuid4().hex[:12]}"  # known even if the answer never comes
        try:
            with interrupts_deferred(), _explained(launch):
                container = engine.create(
                    self.image.id, launch.command, name=name, **self._created(launch, ports)
                )
                server = ContainerServer(engine, container, ports=ports)
                if launch_spec.needs_folder:
                    engine.write(container, _FOLDER, launch.files)
                engine.start(container)
                server.started()
            yield server
        finally:
            with interrupts_deferred():
                if server is not None:
                    server.stop(launch.stop_grace_s)
                else:
                    with suppress(RunnerError):
                        engine.remove(name)

    def _created(self, launch: LaunchSpec, ports: Mapping[str, int]) -> dict[str, Any]:
        settings = self._settings
        published = {} if settings.network == _HOST_NETWORK else ports
        directory = launch.working_directory
        return {
            "environment": dict(launch.environment),
            "labels": {**launch.labels, OWNER_LABEL: own_name()},
            "ports": list(published.values()),
            "user": settings.user or None,
            "working_dir": None if directory is None else str(directory),
            "host": self._host(launch, published),
        }

    def _host(self, launch: LaunchSpec, published: Mapping[str, int]) -> dict[str, Any]:
        settings = self._settings
        paths = dict.fromkeys((*launch.reads, *settings.mounts), False)
        paths |= dict.fromkeys((*launch.keeps, *settings.writable), True)
        return {
            "init": True,  # reaps what the server leaves, and hands signals on to it
            "port_bindings": {port: (LOCAL_HOST, port) for port in published.values()},
            "mounts": docker_engine.mounts((str(p.absolute()), w) for p, w in paths.items()),
            "network_mode": settings.network,
            "cpuset_cpus": ",".join(map(str, sorted(launch.cpus))) if launch.cpus else None,
            "nano_cpus": round(settings.cpu_quota * 1e9) or None,
            "mem_limit": settings.memory or None,
            "memswap_limit": settings.memory or None,
            "shm_size": settings.shm_size or None,
            "cap_add": list(settings.capabilities) or None,
            "device_requests": docker_engine.gpus(settings.gpus) if settings.gpus else None,
            "ulimits": docker_engine.ulimits(settings.ulimits) or None,
        }


def remove_abandoned(engine: Engine, *, everybodys: bool = False) -> dict[str, dict[str, str]]:
    """Remove the containers of tuners that are no more, or all that any tuner made.

    Their labels by their ids.

    Raises:
        EngineUnreachable: The engine does not answer.
    """
    found = engine.labelled(OWNER_LABEL).items()
    gone = {each: of for each, of in found if everybodys or is_gone(of[OWNER_LABEL])}
    for each in gone:
        engine.remove(each)
    return gone


def clean(*, everybodys: bool = False) -> tuple[str, ...]:
    """The same with an engine of its own; a name for each container, with its study.

    Raises:
        EngineUnreachable: The engine does not answer.
    """
    with closing(Engine()) as engine:
        gone = remove_abandoned(engine, everybodys=everybodys)
    return tuple(" ".join([each[:12], *_marks(labels)]) for each, labels in gone.items())


def _marks(labels: Mapping[str, str]) -> list[str]:
    return [f"{name}={labels[name]}" for name in _MARKS if name in labels]


def _wait_for(engine: Engine) -> None:
    deadline = perf_counter() + _ENGINE_RETURN_S
    while True:
        try:
            engine.labelled(OWNER_LABEL)
        except EngineUnreachable:
            if perf_counter() > deadline:
                raise
            sleep(_ENGINE_POLL_S)
        else:
            return


class _PortIsTaken(Exception):  # noqa: N818 - the next attempt has other ports
    """A port was taken between its choice and the start."""


@contextmanager
def _explained(launch: LaunchSpec) -> Iterator[None]:
    """What the engine refuses, as an error of the runners."""
    try:
        yield
    except Refused as refusal:
        if refusal.port_is_taken:
            raise _PortIsTaken from None
        hint = _GPU_HINT if refusal.lacks_gpus else ""
        raise LaunchRefused(command=launch.command[0], reason=str(refusal), hint=hint) from None


def _failure(server: ContainerServer, launch: LaunchSpec) -> CommandNotFound | StartFailed:
    """Of a server that ended before it listened."""
    log = server.log_tail()
    if server.exit_code() == _INIT_COULD_NOT_EXECUTE and (said := _TINI_FAILED.search(log)):
        reason = f"{said[1]} (in the container)"
        return CommandNotFound(command=launch.command[0], reason=reason)
    return start_failed(server, launch)

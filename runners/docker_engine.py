"""The Docker engine of this machine, as the Docker runner needs it: the only door to its SDK.

Sources: the engine's API (`docs.docker.com/reference/api/engine`), of which the SDK's low-level
client is a thin form.
"""

import io
import os
import socket
import tarfile
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from runners.errors import EngineUnreachable, ImageMissing, RunnerError

# For an answer of the engine, in seconds.
_ANSWER_TIMEOUT_S = 60
# How a DOCKER_HOST of this machine begins, and what it is without one.
_LOCAL = ("unix://", "http+unix://")
_SOCKET = "/var/run/docker.sock"
# What the engine says when it refuses.
_NO_GPU = "could not select device driver"
_IN_PROGRESS = "is already in progress"
_PORT_TAKEN = ("port is already allocated", "address already in use")

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


class Refused(RunnerError):  # noqa: N818 - as its siblings are called
    """The engine does not do what it was asked to."""

    @property
    def lacks_gpus(self) -> bool:
        return _NO_GPU in str(self)

    @property
    def port_is_taken(self) -> bool:
        return any(each in str(self) for each in _PORT_TAKEN)

    @property
    def is_about_to_happen(self) -> bool:
        """It was asked for the same before."""
        return _IN_PROGRESS in str(self)


class Missing(Refused):
    """There is no such image, container or network."""


@dataclass(frozen=True)
class Image:
    """An image that the engine has under this id; `digest` is its registry's, or that id again."""

    name: str
    digest: str
    id: str


@dataclass(frozen=True)
class ContainerState:
    """What the engine says of a container; `exit_code` counts once it is not `running`."""

    running: bool
    exit_code: int
    out_of_memory: bool
    pid: int


class Engine:
    """Answers from any thread, one at a time.

    Raises:
        EngineUnreachable: Every method, when the engine is not there or goes away.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket = _socket_path()
        self._check_listening()
        try:
            self._client = docker.APIClient(
                base_url=f"unix://{self._socket}", timeout=_ANSWER_TIMEOUT_S
            )
        except DockerException as error:
            raise EngineUnreachable(reason=str(error)) from None

    def close(self) -> None:
        self._client.close()

    def image(self, name: str, *, pull: bool) -> Image:
        """The image called `name`; pulled first if it is not there and `pull` says so.

        Raises:
            ImageMissing: It is not there.
        """
        try:
            found = self._ask(self._client.inspect_image, name)
        except Refused as error:
            if not pull:
                raise ImageMissing(image=name, reason=str(error), pull=False) from None
            found = self._pulled(name)
        digests = found.get("RepoDigests") or [found["Id"]]
        return Image(name, str(digests[0]), str(found["Id"]))

    def version(self) -> str:
        """That of the engine."""
        return str(self._ask(self._client.version)["Version"])

    def images(self) -> tuple[str, ...]:
        """The names of all images that have one, with their tags."""
        found = self._ask(self._client.images)
        tags = (str(tag) for each in found for tag in each.get("RepoTags") or ())
        return tuple(sorted(tag for tag in tags if "<none>" not in tag))

    def create(self, image: str, command: tuple[str, ...], **settings: Any) -> str:
        """The id of a new container, which does not run yet; `settings` are the API's.

        Raises:
            Refused: It cannot be made.
        """
        host = self._client.create_host_config(**settings.pop("host"))
        made = self._ask(
            self._client.create_container,
            image,
            entrypoint=[command[0]],
            command=list(command[1:]),
            host_config=host,
            **settings,
        )
        return str(made["Id"])

    def write(self, container: str, folder: str, files: Mapping[str, str]) -> None:
        """Put `files` into `folder` of the container; whoever it runs as may write there.

        Raises:
            Refused: The container has no room for them.
        """
        self._ask(self._client.put_archive, container, "/", _archive(folder, files))

    def start(self, container: str) -> None:
        """Start it.

        Raises:
            Refused: It cannot be started.
        """
        self._ask(self._client.start, container)

    def state(self, container: str) -> ContainerState | None:
        """None if there is no such container."""
        try:
            state = self._ask(self._client.inspect_container, container)["State"]
        except Missing:
            return None
        return ContainerState(
            running=state["Running"],
            exit_code=state["ExitCode"],
            out_of_memory=state["OOMKilled"],
            pid=state["Pid"],
        )

    def signal(self, container: str, name: str) -> None:
        """Send a signal to its first process, if it runs."""
        with suppress(Refused):
            self._ask(self._client.kill, container, name)

    def remove(self, container: str) -> None:
        """Kill it and remove it with its volumes, if it is there.

        Raises:
            Refused: It cannot be removed.
        """
        try:
            self._ask(self._client.remove_container, container, force=True, v=True)
        except Missing:
            return
        except Refused as refusal:
            if not refusal.is_about_to_happen:
                raise

    def log(self, container: str, *, lines: int | None = None) -> bytes:
        """The last `lines` lines that it wrote, or all; empty if it is gone."""
        tail = "all" if lines is None else lines
        try:
            log: bytes = self._ask(self._client.logs, container, tail=tail)
        except Refused:
            return b""
        return log

    def labelled(self, label: str) -> dict[str, dict[str, str]]:
        """All containers with this label, running or not: their labels by their ids."""
        found = self._ask(self._client.containers, all=True, filters={"label": label})
        return {str(each["Id"]): dict(each["Labels"]) for each in found}

    def _pulled(self, name: str) -> Any:
        repository, tag = docker.utils.parse_repository_tag(name)
        try:
            self._ask(self._client.pull, repository, tag=tag or "latest")
            return self._ask(self._client.inspect_image, name)
        except Refused as error:
            raise ImageMissing(image=name, reason=str(error), pull=True) from None

    def _ask(
        self, question: Callable[_Given, _Answer], *given: _Given.args, **named: _Given.kwargs
    ) -> _Answer:
        self._check_listening()
        try:
            with self._lock:
                return question(*given, **named)
        except NotFound as error:
            raise Missing(error.explanation or str(error)) from None
        except APIError as error:
            raise Refused(error.explanation or str(error)) from None
        except (requests.RequestException, DockerException) as error:
            raise EngineUnreachable(reason=str(error)) from None

    def _check_listening(self) -> None:
        """Before the SDK tries: where nobody listens, it leaves a socket open each time."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self._socket)
        except OSError as error:
            reason = f"{error.strerror}: {self._socket}"
            raise EngineUnreachable(reason=reason) from None


def mounts(paths: Iterable[tuple[str, bool]]) -> list[Any]:
    """Each path at the same place in the container; writable where True."""
    return [
        docker.types.Mount(path, path, type="bind", read_only=not writable)
        for path, writable in paths
    ]


def gpus(wanted: str) -> list[Any]:
    """The request for `all` GPUs, or for those with the ids in a list such as `0,1`."""
    chosen = {"count": -1} if wanted == "all" else {"device_ids": wanted.split(",")}
    return [docker.types.DeviceRequest(capabilities=[["gpu"]], **chosen)]


def ulimits(limits: Mapping[str, int]) -> list[Any]:
    return [docker.types.Ulimit(name=name, soft=n, hard=n) for name, n in limits.items()]


def _archive(folder: str, files: Mapping[str, str]) -> bytes:
    """A tar archive with the folder, open to every user of the container."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        entry = tarfile.TarInfo(folder.lstrip("/"))
        entry.type, entry.mode = tarfile.DIRTYPE, 0o777
        archive.addfile(entry)
        for name, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"{folder.lstrip('/')}/{name}")
            entry.size, entry.mode = len(data), 0o666
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def _socket_path() -> str:
    """Where the engine listens: what DOCKER_HOST says, or the usual place.

    Raises:
        EngineUnreachable: DOCKER_HOST names an engine of another machine.
    """
    named = os.environ.get("DOCKER_HOST", "")
    for scheme in _LOCAL:
        if named.startswith(scheme):
            return named.removeprefix(scheme)
    if named:
        raise EngineUnreachable(reason=f"{named} is not on this machine")
    return _SOCKET

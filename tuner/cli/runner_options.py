"""Where the server of `tuner optimize` runs: options made into settings of a runner."""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.errors import InputError

if TYPE_CHECKING:
    from runners.docker import ContainerSettings
    from tuner.study.placement import RemoteAddress

_SIZE = re.compile(r"\d+(\.\d+)?[bkmgBKMG]?")
_GPUS = re.compile(r"all|[\w-]+(,[\w-]+)*")
_BRIDGE = "bridge"
_PORT = re.compile(r"([a-z_]+)=(\d{1,5})")
_ULIMIT = re.compile(r"([a-z]+)=(-?\d+)")


class RunnerChoice(StrEnum):
    """Where servers run."""

    PROCESS = "process"
    DOCKER = "docker"
    REMOTE = "remote"


@dataclass(frozen=True, kw_only=True)
class RunnerOptions:
    """The runner, and what its containers get."""

    runner: Annotated[
        RunnerChoice,
        typer.Option(
            "--runner",
            help="process: a program of this machine; docker: an image; remote: one that runs.",
        ),
    ] = RunnerChoice.PROCESS
    url: Annotated[
        str, typer.Option("--url", help="remote: where it takes requests: http://HOST:PORT.")
    ] = ""
    port: Annotated[
        list[str] | None,
        typer.Option("--port", help="remote: another port of it: management=8081."),
    ] = None
    image: Annotated[
        str,
        typer.Option("--image", help="Image of the server, by name or digest."),
    ] = ""
    pull: Annotated[
        bool,
        typer.Option("--pull", help="Pull the image if it is not there."),
    ] = False
    memory: Annotated[str, typer.Option("--memory", help="Memory at most: 4g.")] = ""
    shm_size: Annotated[
        str,
        typer.Option("--shm-size", help="Shared memory (/dev/shm): 1g."),
    ] = ""
    cpu_quota: Annotated[
        float,
        typer.Option("--cpu-quota", min=0, help="Processors' worth of time; 0: all."),
    ] = 0.0
    gpus: Annotated[str, typer.Option("--gpus", help="GPUs: all, or ids: 0,1.")] = ""
    cap_add: Annotated[
        list[str] | None,
        typer.Option("--cap-add", help="Capability, such as SYS_NICE for numactl."),
    ] = None
    ulimit: Annotated[
        list[str] | None,
        typer.Option("--ulimit", help="Limit: memlock=-1."),
    ] = None
    mount: Annotated[
        list[Path] | None,
        typer.Option("--mount", help="Further file or folder, read-only."),
    ] = None
    network: Annotated[str, typer.Option("--network", help="bridge or host.")] = _BRIDGE
    user: Annotated[str, typer.Option("--user", help="User in the container: 1000:1000.")] = ""

    def container(self) -> "ContainerSettings | None":
        """What containers get; None where servers run as processes.

        Raises:
            InputError: An option cannot be used, or means nothing to this runner.
        """
        from runners.docker import ContainerSettings

        if self.runner is not RunnerChoice.DOCKER:
            self._check_no_container()
            return None
        self._check_forms()
        return ContainerSettings(
            image=self.image,
            pull=self.pull,
            memory=self.memory,
            shm_size=self.shm_size,
            cpu_quota=self.cpu_quota,
            gpus=self.gpus,
            capabilities=tuple(self.cap_add or ()),
            ulimits=dict(_ulimit(each) for each in self.ulimit or ()),
            mounts=tuple(_existing(each) for each in self.mount or ()),
            network=self.network,
            user=self.user,
        )

    def remote(self) -> "RemoteAddress | None":
        """Where a server of somebody else is; None where the tuner starts servers itself.

        Raises:
            InputError: The address cannot be used, or means nothing to this runner.
        """
        from tuner.cli.address import address
        from tuner.study.placement import RemoteAddress

        if self.runner is not RunnerChoice.REMOTE:
            if self.url or self.port:
                raise InputError(
                    f"`--url` and `--port` mean nothing to `--runner {self.runner}`",
                    hint="add `--runner remote`, or leave them out",
                )
            return None
        if not self.url:
            raise InputError(
                "`--runner remote` needs the address of the server",
                hint="for example: `--url http://127.0.0.1:8000`",
            )
        found = address(self.url)
        if found.grpc or found.endpoint.tls:
            raise InputError(
                f"`--url {self.url}`: a server is tuned over plain HTTP",
                hint="give the URL as http://HOST:PORT",
            )
        ports = dict(_port(each) for each in self.port or ())
        return RemoteAddress(found.endpoint.host, found.endpoint.port, ports)

    def _check_no_container(self) -> None:
        given = {
            "--image": self.image,
            "--pull": self.pull,
            "--memory": self.memory,
            "--shm-size": self.shm_size,
            "--cpu-quota": self.cpu_quota,
            "--gpus": self.gpus,
            "--cap-add": self.cap_add,
            "--ulimit": self.ulimit,
            "--mount": self.mount,
            "--network": self.network != _BRIDGE,
            "--user": self.user,
        }
        for name, value in given.items():
            if value:
                raise InputError(
                    f"`{name}` means nothing to `--runner {self.runner}`",
                    hint="add `--runner docker`, or leave it out",
                )

    def _check_forms(self) -> None:
        for name, value in (("--memory", self.memory), ("--shm-size", self.shm_size)):
            if value and not _SIZE.fullmatch(value):
                raise InputError(
                    f"`{name}` must be a size, but got `{value}`", hint="for example: 512m, 4g"
                )
        if not 0 <= self.cpu_quota < math.inf:
            raise InputError(
                f"`--cpu-quota` must be a number of at least 0, but got {self.cpu_quota:g}",
                hint="for example: `--cpu-quota 1.5`",
            )
        if self.gpus and not _GPUS.fullmatch(self.gpus):
            raise InputError(
                f"`--gpus` must be `all` or a list of ids, but got `{self.gpus}`",
                hint="for example: `--gpus 0,1`",
            )
        if self.network not in (_BRIDGE, "host"):
            raise InputError(
                f"`--network` must be `bridge` or `host`, but got `{self.network}`",
                hint="a network of your own is not published on 127.0.0.1",
            )


def _ulimit(text: str) -> tuple[str, int]:
    match = _ULIMIT.fullmatch(text)
    if match is None:
        raise InputError(
            f"`--ulimit` must be NAME=NUMBER, but got `{text}`", hint="for example: memlock=-1"
        )
    return match[1], int(match[2])


def _port(text: str) -> tuple[str, int]:
    match = _PORT.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 1 << 16:
        raise InputError(
            f"`--port` must be NAME=NUMBER, but got `{text}`", hint="for example: management=8081"
        )
    return match[1], int(match[2])


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"`--mount {path}` is not there", hint="give a file or folder that is")
    return path.absolute()

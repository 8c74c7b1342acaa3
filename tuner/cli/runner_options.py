"""Where the server of `tuner optimize` runs, and what a container gets."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import typer

BRIDGE = "bridge"


class RunnerChoice(StrEnum):
    """Where servers run."""

    PROCESS = "process"
    DOCKER = "docker"
    REMOTE = "remote"


@dataclass(frozen=True, kw_only=True)
class RunnerOptions:
    """The runner, and what its containers get."""

    title: ClassVar = "Where the server runs"
    runner: Annotated[
        RunnerChoice,
        typer.Option(
            help="process: a program of this machine; docker: an image; remote: one that runs."
        ),
    ] = RunnerChoice.PROCESS
    url: Annotated[
        str, typer.Option(help="remote: where it takes requests: http://HOST:PORT.")
    ] = ""
    port: Annotated[
        list[str] | None, typer.Option(help="remote: another port of it: management=8081.")
    ] = None
    image: Annotated[str, typer.Option(help="Image of the server, by name or digest.")] = ""
    pull: Annotated[bool, typer.Option("--pull", help="Pull the image if it is not there.")] = (
        False
    )
    memory: Annotated[str, typer.Option(help="Memory at most: 4g.")] = ""
    shm_size: Annotated[str, typer.Option(help="Shared memory (/dev/shm): 1g.")] = ""
    cpu_quota: Annotated[float, typer.Option(min=0, help="Processors' worth of time; 0: all.")] = (
        0.0
    )
    gpus: Annotated[str, typer.Option(help="GPUs: all, or ids: 0,1.")] = ""
    cap_add: Annotated[
        list[str] | None, typer.Option(help="Capability, such as SYS_NICE for numactl.")
    ] = None
    ulimit: Annotated[list[str] | None, typer.Option(help="Limit: memlock=-1.")] = None
    mount: Annotated[
        list[Path] | None, typer.Option(help="Further file or folder, read-only.")
    ] = None
    network: Annotated[str, typer.Option(help="bridge or host.")] = BRIDGE
    user: Annotated[str, typer.Option(help="User in the container: 1000:1000.")] = ""

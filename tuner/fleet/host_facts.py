"""What a host is and has, as it says itself: `python -m tuner.fleet.host_facts` prints it."""

import hashlib
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import tuner
from runners.docker_engine import Engine
from runners.errors import RunnerError
from tuner import hardware
from tuner.fleet import priority
from tuner.hardware import Hardware
from tuner.watch.host_checks import Check, host_checks

CHECKS = "checks"
"""The argument that asks for them."""
# Programs of servers that can be tuned, as a host may have them on its PATH,
_PROGRAMS = ("tritonserver", "torchserve", "tensorflow_model_server")
# and the package that holds one.
_TRITON_PACKAGE = "nvidia-pytriton"


@dataclass(frozen=True)
class Versions:
    """What must be equal on all hosts and the driver; `code` tells checkouts of one version apart.

    Of Python's version the first two numbers.
    """

    python: str
    tuner: str
    code: str
    ray: str


@dataclass(frozen=True)
class HostFacts:
    """`free_bytes` are those of the folder for temporary files.

    `servers` are those that were found, `docker` is the version of its engine, empty if none
    answers, `images` are those that it has. `checks` are those of `tuner doctor`, where asked for.
    """

    versions: Versions
    hardware: Hardware
    free_bytes: int
    servers: tuple[str, ...]
    docker: str = ""
    images: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        """From what was printed, by the same version of the tuner."""
        return cls(
            versions=Versions(**document["versions"]),
            hardware=Hardware(**document["hardware"]),
            free_bytes=document["free_bytes"],
            servers=tuple(document["servers"]),
            docker=document["docker"],
            images=tuple(document["images"]),
            checks=tuple(Check(**each) for each in document["checks"]),
        )


def own_versions() -> Versions:
    """Those of this process."""
    return Versions(
        python=".".join(platform.python_version_tuple()[:2]),
        tuner=metadata.version("serving-tuner"),
        code=_code(),
        ray=metadata.version("ray"),
    )


def own_facts(*, checks: bool = False) -> HostFacts:
    """Those of this machine; the `checks` watch it for a second."""
    docker, images = _docker()
    return HostFacts(
        versions=own_versions(),
        hardware=hardware.detect(),
        free_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        servers=tuple(_servers()),
        docker=docker,
        images=images,
        checks=(*host_checks(), priority.check(priority.restored())) if checks else (),
    )


def _servers() -> Iterator[str]:
    yield from (program for program in _PROGRAMS if shutil.which(program))
    with suppress(metadata.PackageNotFoundError):
        yield f"{_TRITON_PACKAGE} {metadata.version(_TRITON_PACKAGE)}"


def _docker() -> tuple[str, tuple[str, ...]]:
    with suppress(RunnerError), closing(Engine()) as engine:
        return engine.version(), engine.images()
    return "", ()


@cache
def _code() -> str:
    """Ten hexadecimal digits of all programs of the tuner."""
    found = hashlib.sha256()
    root = Path(tuner.__file__).parents[1]
    for room in ("runners", "tuner"):
        for path in sorted((root / room).rglob("*.py")):
            found.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return found.hexdigest()[:10]


if __name__ == "__main__":
    print(json.dumps(asdict(own_facts(checks=CHECKS in sys.argv))))  # noqa: T201 - the actor of the host reads it

"""The options of a runner made into its settings."""

import math
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from runners.docker import ContainerSettings
from tuner.cli.address import address
from tuner.cli.runner_options import BRIDGE, RunnerChoice, RunnerOptions
from tuner.cli.values import check_meaning
from tuner.errors import InputError, unfit
from tuner.study.placement import RemoteAddress

_SIZE = re.compile(r"\d+(\.\d+)?[bkmgBKMG]?")
_GPUS = re.compile(r"all|[\w-]+(,[\w-]+)*")
_PORT = re.compile(r"([a-z_]+)=(\d{1,5})")
_ULIMIT = re.compile(r"([a-z]+)=(-?\d+)")
_OF_CONTAINERS = {each.name for each in fields(RunnerOptions)} - {"runner", "url", "port"}


def container(options: RunnerOptions, *, elsewhere: bool = False) -> ContainerSettings | None:
    """What containers get; None where servers run as processes.

    What is mounted is there where they run, which may be `elsewhere`.

    Raises:
        InputError: An option cannot be used, or means nothing to this runner.
    """
    if options.runner is not RunnerChoice.DOCKER:
        hint = "add `--runner docker`, or leave it out"
        check_meaning(options, _OF_CONTAINERS, f"--runner {options.runner}", hint=hint)
        return None
    _check_forms(options)
    existing = Path.absolute if elsewhere else _existing
    return ContainerSettings(
        image=options.image,
        pull=options.pull,
        memory=options.memory,
        shm_size=options.shm_size,
        cpu_quota=options.cpu_quota,
        gpus=options.gpus,
        capabilities=tuple(options.cap_add or ()),
        ulimits=dict(_ulimit(each) for each in options.ulimit or ()),
        mounts=tuple(map(existing, options.mount or ())),
        network=options.network,
        user=options.user,
    )


def remote(options: RunnerOptions) -> RemoteAddress | None:
    """Where a server that already runs is; None where the tuner starts servers itself.

    Raises:
        InputError: The address cannot be used, or means nothing to this runner.
    """
    if options.runner is not RunnerChoice.REMOTE:
        if options.url or options.port:
            raise InputError(
                f"`--url` and `--port` mean nothing to `--runner {options.runner}`",
                hint="add `--runner remote`, or leave them out",
            )
        return None
    if not options.url:
        raise InputError(
            "`--runner remote` needs the address of the server",
            hint="for example: `--url http://127.0.0.1:8000`",
        )
    found = address(options.url)
    if found.grpc or found.endpoint.tls:
        raise InputError(
            f"`--url {options.url}`: a server is tuned over plain HTTP",
            hint="give the URL as http://HOST:PORT",
        )
    return RemoteAddress(found.endpoint.host, found.endpoint.port, ports(options.port))


def ports(said: Sequence[str] | None) -> dict[str, int]:
    """The numbers of ports by their names, as `--port` says them.

    Raises:
        InputError: One is not said so.
    """
    return dict(_port(each) for each in said or ())


def _check_forms(options: RunnerOptions) -> None:
    for name, value in (("--memory", options.memory), ("--shm-size", options.shm_size)):
        if value and not _SIZE.fullmatch(value):
            raise unfit(name, "a size", value, "for example: 512m, 4g")
    if not 0 <= options.cpu_quota < math.inf:
        hint = "for example: `--cpu-quota 1.5`"
        raise unfit("--cpu-quota", "a number of at least 0", options.cpu_quota, hint)
    if options.gpus and not _GPUS.fullmatch(options.gpus):
        hint = "for example: `--gpus 0,1`"
        raise unfit("--gpus", "`all` or a list of ids", options.gpus, hint)
    if options.network not in (BRIDGE, "host"):
        hint = "a network of your own is not published on 127.0.0.1"
        raise unfit("--network", "`bridge` or `host`", options.network, hint)


def _ulimit(text: str) -> tuple[str, int]:
    match = _ULIMIT.fullmatch(text)
    if match is None:
        raise unfit("--ulimit", "NAME=NUMBER", text, "for example: memlock=-1")
    return match[1], int(match[2])


def _port(text: str) -> tuple[str, int]:
    match = _PORT.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 1 << 16:
        raise unfit("--port", "NAME=NUMBER", text, "for example: management=8081")
    return match[1], int(match[2])


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"`--mount {path}` is not there", hint="give a file or folder that is")
    return path.absolute()

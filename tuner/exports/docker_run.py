"""A service as `docker run`: a script that writes its files beside it, and starts it."""

import shlex
from collections.abc import Iterator

from tuner.exports.service import (
    ALL_GPUS,
    LOOPBACK,
    Mount,
    Resources,
    Service,
    comments,
    probing,
)

# Between two probes, and until one counts as failed, in seconds.
HEALTH_INTERVAL_S = 10
HEALTH_TIMEOUT_S = 5
_END_OF_FILE = "END_OF_FILE"
_HERE = '"$PWD"'


def script(service: Service) -> str:
    """The script, which ends with the container's name as Docker prints it."""
    parts = [comments(service.notes), "set -e\n"]
    parts += [f': "${{{name}:?a secret, which is not stored}}"\n' for name in service.secrets]
    parts += [_written(file.name, file.text) for file in service.files]
    lines = [shlex.join(option) for option in options(service)]
    lines += [
        f"--mount type=bind,source={_HERE}/{shlex.quote(file.name)},"
        f"target={shlex.quote(file.target)},readonly"
        for file in service.files
    ]
    lines += [shlex.join([service.image, *service.command[1:]])]
    return "".join([*parts, " \\\n  ".join(["docker run --detach", *lines]), "\n"])


def options(service: Service) -> Iterator[tuple[str, ...]]:
    """The options of `docker run`, each as its words; files that come with it are not mounted."""
    resources = service.resources
    yield ("--name", service.name)
    yield ("--init",)
    yield from _network(service)
    for name, value in service.environment.items():
        yield ("--env", f"{name}={value}")
    for name in service.secrets:
        yield ("--env", name)
    for mount in service.mounts:
        yield ("--mount", bind(mount))
    for option, given in {
        "--cpus": f"{resources.cpus:g}" if resources.cpus else "",
        "--cpuset-cpus": resources.cpuset,
        "--memory": resources.memory,
        "--memory-swap": resources.memory,
        "--memory-reservation": f"{resources.reserved_mib}m" if resources.reserved_mib else "",
        "--shm-size": resources.shm_size,
        "--gpus": _gpus(resources),
        "--user": service.user,
        "--workdir": service.directory,
    }.items():
        if given:
            yield (option, given)
    for capability in service.capabilities:
        yield ("--cap-add", capability)
    for name, limit in service.limits.items():
        yield ("--ulimit", f"{name}={limit}")
    yield from _health(service)
    yield ("--entrypoint", service.command[0])


def bind(mount: Mount) -> str:
    """A mount as `docker run --mount` takes it."""
    read_only = "" if mount.writable else ",readonly"
    return f"type=bind,source={mount.source},target={mount.target}{read_only}"


def _network(service: Service) -> Iterator[tuple[str, ...]]:
    if service.host_network:
        yield ("--network", "host")
        return
    for port in service.ports.values():
        yield ("--publish", f"{LOOPBACK}:{port}:{port}")


def _health(service: Service) -> Iterator[tuple[str, ...]]:
    yield ("--restart", "unless-stopped")
    yield ("--health-cmd", shlex.join(["bash", "-c", probing(service.probes.ready, service.port)]))
    yield ("--health-interval", f"{HEALTH_INTERVAL_S}s")
    yield ("--health-timeout", f"{HEALTH_TIMEOUT_S}s")
    yield ("--health-start-period", f"{service.start_timeout_s:g}s")


def _gpus(resources: Resources) -> str:
    """In quotation marks a list of ids is one value (Docker's `run` reference, `--gpus`)."""
    if resources.gpus not in ("", ALL_GPUS):
        return f'"device={resources.gpus}"'
    return resources.gpus or (str(resources.gpu_count) if resources.gpu_count else "")


def _written(name: str, text: str) -> str:
    folder, _, _ = name.rpartition("/")
    made = f"mkdir -p {shlex.quote(folder)}\n" if folder else ""
    body = text if text.endswith("\n") else text + "\n"
    return f"{made}cat > {shlex.quote(name)} <<'{_END_OF_FILE}'\n{body}{_END_OF_FILE}\n"

"""A service as a Compose file, for `docker compose up`.

Source: the Compose Specification; `configs` with their content are of Compose 2.23.1.
"""

from collections.abc import Iterator
from typing import Any

from tuner.exports.docker_run import HEALTH_INTERVAL_S, HEALTH_TIMEOUT_S
from tuner.exports.service import (
    ALL_GPUS,
    LOOPBACK,
    Resources,
    Service,
    TextFile,
    comments,
    probing,
)
from tuner.exports.yaml_text import yaml_text


def document(service: Service) -> str:
    """The file; a `$` that Compose is to leave alone is doubled."""
    content: dict[str, Any] = {"services": {service.name: _service(service)}}
    if service.files:
        content["configs"] = {_key(file): _config(file) for file in service.files}
    beside = tuple(
        f"./{file.name} must lie beside this file: it is covered by a mount, where Compose can "
        "put no text."
        for file in service.files
        if file.covers
    )
    return comments((*service.notes, *beside)) + yaml_text([content])


def _service(service: Service) -> dict[str, Any]:
    facts = {
        "image": service.image,
        "entrypoint": [_literal(service.command[0])],
        "command": [_literal(word) for word in service.command[1:]],
        "environment": {n: _literal(value) for n, value in service.environment.items()}
        | {n: f"${{{n}:?a secret, which is not stored}}" for n in service.secrets},
        "configs": [{"source": _key(file), "target": file.target} for file in service.files],
        "volumes": [
            {
                "type": "bind",
                "source": _literal(mount.source),
                "target": _literal(mount.target),
                "read_only": not mount.writable,
            }
            for mount in service.mounts
        ],
        **_network(service),
        **_resources(service),
        "user": service.user,
        "working_dir": service.directory,
        "cap_add": list(service.capabilities),
        "ulimits": dict(service.limits),
        "init": True,
        "restart": "unless-stopped",
        "healthcheck": {
            "test": ["CMD", "bash", "-c", _literal(probing(service.probes.ready, service.port))],
            "interval": f"{HEALTH_INTERVAL_S}s",
            "timeout": f"{HEALTH_TIMEOUT_S}s",
            "start_period": f"{service.start_timeout_s:g}s",
        },
    }
    return {name: value for name, value in facts.items() if value}


def _network(service: Service) -> dict[str, Any]:
    if service.host_network:
        return {"network_mode": "host"}
    return {"ports": [f"{LOOPBACK}:{port}:{port}" for port in service.ports.values()]}


def _resources(service: Service) -> dict[str, Any]:
    resources = service.resources
    reserved = f"{resources.reserved_mib}m" if resources.reserved_mib else ""
    gpus = list(_gpus(resources))
    # Compose takes no `mem_reservation` beside other reservations.
    reservations = {"memory": reserved, "devices": gpus} if reserved else {"devices": gpus}
    return {
        "cpus": resources.cpus,
        "cpuset": resources.cpuset,
        "mem_limit": resources.memory,
        "memswap_limit": resources.memory,
        "mem_reservation": "" if gpus else reserved,
        "shm_size": resources.shm_size,
        "deploy": {"resources": {"reservations": reservations}} if gpus else {},
    }


def _gpus(resources: Resources) -> Iterator[dict[str, Any]]:
    """By their ids, all of them, or as many as there were."""
    device: dict[str, Any] = {"driver": "nvidia", "capabilities": ["gpu"]}
    if resources.gpus not in ("", ALL_GPUS):
        yield device | {"device_ids": resources.gpus.split(",")}
    elif count := resources.gpus or resources.gpu_count:
        yield device | {"count": count}


def _config(file: TextFile) -> dict[str, str]:
    """What lies in a mount is mounted over it: Compose would write its text into the mount."""
    return {"file": f"./{file.name}"} if file.covers else {"content": _literal(file.text)}


def _key(file: TextFile) -> str:
    return file.name.replace("/", "-")


def _literal(text: str) -> str:
    return text.replace("$", "$$")

"""A service as objects of Kubernetes: a Deployment, its Service, and its files.

Source: the reference of the API, `apps/v1` and `v1`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tuner.exports.docker_run import HEALTH_TIMEOUT_S
from tuner.exports.service import Probes, Service, TextFile, comments
from tuner.exports.yaml_text import yaml_text

# Between two probes, in seconds.
_PERIOD_S = 5
_FAILURES = 3
_PORT_NAME_LENGTH = 15
_UNITS = {"": "", "b": "", "k": "Ki", "m": "Mi", "g": "Gi"}
_SIZE = re.compile(r"([\d.]+)([bkmg]?)", re.IGNORECASE)


def document(service: Service) -> str:
    """The objects, one document each."""
    return comments((*service.notes, *_notes(service))) + yaml_text(_objects(service))


def _objects(service: Service) -> Iterator[dict[str, Any]]:
    if service.files:
        data = {_key(file): file.text for file in service.files}
        yield _object("v1", "ConfigMap", service) | {"data": data}
    labels = _labels(service)
    yield _object("apps/v1", "Deployment", service) | {
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod(service)},
        }
    }
    yield _object("v1", "Service", service) | {
        "spec": {
            "type": "ClusterIP",
            "selector": labels,
            "ports": [
                {"name": name, "port": port, "targetPort": name} for name, port in _ports(service)
            ],
        }
    }


def _object(version: str, kind: str, service: Service) -> dict[str, Any]:
    metadata = {"name": service.name, "labels": _labels(service)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _labels(service: Service) -> dict[str, str]:
    return {"app.kubernetes.io/name": service.name}


def _ports(service: Service) -> list[tuple[str, int]]:
    """Names of at most 15 of a-z, 0-9 and single hyphens, with a letter (RFC 6335)."""
    found: dict[str, int] = {}
    for name, port in service.ports.items():
        label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_PORT_NAME_LENGTH].strip("-")
        fits = re.search("[a-z]", label) and label not in found
        found[label if fits else f"port-{port}"] = port
    return list(found.items())


def _pod(service: Service) -> dict[str, Any]:
    facts = {
        "containers": [_container(service)],
        "volumes": list(_volumes(service)),
        "securityContext": _user(service.user),
    }
    return {
        **{name: value for name, value in facts.items() if value},
        # Variables such as TRITON_PORT could be taken for settings of the server.
        "enableServiceLinks": False,
    }


def _container(service: Service) -> dict[str, Any]:
    facts = {
        "name": service.name,
        "image": service.image,
        "command": [_literal(service.command[0])],
        "args": [_literal(word) for word in service.command[1:]],
        "workingDir": service.directory,
        "env": [{"name": n, "value": _literal(v)} for n, v in service.environment.items()]
        + [_secret(name, service) for name in service.secrets],
        "ports": [{"name": name, "containerPort": port} for name, port in _ports(service)],
        "resources": _resources(service),
        "securityContext": {"capabilities": {"add": list(service.capabilities)}}
        if service.capabilities
        else {},
        **_probes(service.probes, _ports(service)[0][0], service.start_timeout_s),
        "volumeMounts": list(_mounts(service)),
    }
    return {name: value for name, value in facts.items() if value}


def _probes(probes: Probes, port: str, start_timeout_s: float) -> dict[str, Any]:
    def asking(path: str, failures: int) -> dict[str, Any]:
        return {
            "httpGet": {"path": path, "port": port},
            "periodSeconds": _PERIOD_S,
            "timeoutSeconds": HEALTH_TIMEOUT_S,
            "failureThreshold": failures,
        }

    return {
        "startupProbe": asking(probes.ready, max(1, round(start_timeout_s / _PERIOD_S))),
        "readinessProbe": asking(probes.ready, _FAILURES),
        "livenessProbe": asking(probes.live, _FAILURES),
    }


def _resources(service: Service) -> dict[str, Any]:
    resources = service.resources
    cpus = {"cpu": f"{resources.cpus:g}"} if resources.cpus else {}
    gpus = {"nvidia.com/gpu": str(resources.gpu_count)} if resources.gpu_count else {}
    limit = {"memory": _quantity(resources.memory)} if resources.memory else {}
    used = {"memory": f"{resources.reserved_mib}Mi"} if resources.reserved_mib else {}
    return {"requests": {**cpus, **used}, "limits": {**cpus, **limit, **gpus}}


def _volumes(service: Service) -> Iterator[dict[str, Any]]:
    if service.files:
        yield {"name": "files", "configMap": {"name": service.name}}
    for number, mount in enumerate(service.mounts):
        yield {"name": f"mount-{number}", "hostPath": {"path": mount.source}}
    if size := service.resources.shm_size:
        memory = {"medium": "Memory", "sizeLimit": _quantity(size)}
        yield {"name": "shared-memory", "emptyDir": memory}


def _mounts(service: Service) -> Iterator[dict[str, Any]]:
    for number, mount in enumerate(service.mounts):
        yield {
            "name": f"mount-{number}",
            "mountPath": mount.target,
            "readOnly": not mount.writable,
        }
    for file in service.files:
        yield {
            "name": "files",
            "mountPath": file.target,
            "subPath": _key(file),
            "readOnly": True,
        }
    if service.resources.shm_size:
        yield {"name": "shared-memory", "mountPath": "/dev/shm"}  # noqa: S108 - of the container


def _secret(name: str, service: Service) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": service.name, "key": name}}}


def _user(user: str) -> Mapping[str, int]:
    """Numbers alone: Kubernetes knows no names of users."""
    said = zip(("runAsUser", "runAsGroup"), user.split(":"), strict=False)
    return {field: int(each) for field, each in said if each.isdecimal()}


def _notes(service: Service) -> Iterator[str]:
    if service.secrets:
        values = " ".join(f"--from-literal={name}=VALUE" for name in service.secrets)
        yield f"First: kubectl create secret generic {service.name} {values}"
    if service.mounts:
        yield "Each hostPath is a folder of the node; a volume of the cluster may replace it."
    if not all(each.isdecimal() for each in service.user.split(":") if each):
        yield f"Pods know users and groups by number alone; it was measured as {service.user}."
    if service.resources.cpuset:
        yield (
            f"It was measured on the processors {service.resources.cpuset}. To have some alone, "
            "it needs a node whose CPU manager is `static`, and requests that equal limits."
        )
    if service.limits:
        limits = ", ".join(f"{name}={limit}" for name, limit in service.limits.items())
        yield f"Pods have no ulimits; it was measured with {limits}."


def _quantity(size: str) -> str:
    """A size of Docker's (`4g`) as Kubernetes writes it (`4Gi`)."""
    found = _SIZE.fullmatch(size)
    return f"{found[1]}{_UNITS[found[2].lower()]}" if found else size


def _key(file: TextFile) -> str:
    return file.name.replace("/", ".")


def _literal(text: str) -> str:
    """Kubernetes reads `$(NAME)` in arguments and values, and `$$` as one dollar."""
    return text.replace("$", "$$")

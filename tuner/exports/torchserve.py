"""TorchServe: a store of model archives, and config.properties with all settings.

Sources: TorchServe's configuration.md, and its docker/README.md for the images.
"""

import json
from typing import Any

import yaml

from tuner.exports.deployable import Deployable, has_gpus, measured_with
from tuner.exports.service import LOOPBACK, Probes, Service, TextFile
from tuner.records import StudyRecord

PROPERTIES = "config.properties"
PROGRAM = "torchserve"
_HOST_PROGRAM = f"/usr/local/bin/{PROGRAM}"
_PORTS = {"inference": 8080, "metrics": 8082}
# What `models` in config.properties says beside the model's own settings.
_OF_REGISTRATION = ("defaultVersion", "marName")


def image(study: StudyRecord) -> tuple[str, str]:
    """The public image that holds what was measured, and what is to be known of it."""
    kind = "gpu" if has_gpus(study) else "cpu"
    version, torch = measured_with(study, "torchserve"), measured_with(study, "torch")
    if not version:
        return f"pytorch/torchserve:VERSION-{kind}", (
            "It was measured without Docker: replace VERSION by that of its TorchServe."
        )
    return f"pytorch/torchserve:{version}-{kind}", (
        f"It was measured without Docker, with TorchServe {version} and PyTorch {torch}; the "
        "image may have another PyTorch."
    )


def service(wanted: Deployable) -> Service:
    """Serves the archive with the exported file; its management stays within the server."""
    layout = wanted.layout
    file = f"{layout.files}/{PROPERTIES}"
    return Service(
        command=(
            PROGRAM if wanted.image else _HOST_PROGRAM,
            *("--start", "--foreground", "--ncs"),
            *("--ts-config", file),
            *("--model-store", layout.models),
        ),
        environment=wanted.environment | {"LOG_LOCATION": "/tmp", "METRICS_LOCATION": "/tmp"},  # noqa: S108 - of the server
        mounts=(*wanted.models, *wanted.mounts),
        files=(TextFile(PROPERTIES, _addresses(layout.address) + wanted.trial.export, file),),
        ports=_PORTS,
        probes=Probes("/ping", "/ping"),
        resources=wanted.resources(shares_memory=True),
        **wanted.common(
            *_remarks(wanted.trial.export),
            *wanted.program_note(_HOST_PROGRAM, f"`{PROGRAM}` of its Python, or on PATH"),
        ),
    )


def model_config(export: str) -> str:
    """The model-config.yaml of an archive with what config.properties says of the model.

    Source: TorchServe's model-archiver/README.md, `--config-file`.
    """
    [versions] = json.loads(properties(export)["models"]).values()
    [said] = versions.values()
    settings = {name: value for name, value in said.items() if name not in _OF_REGISTRATION}
    return yaml.safe_dump(settings, sort_keys=False)


def properties(text: str) -> dict[str, Any]:
    """The keys of a config.properties that the tuner wrote, with their values."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _remarks(export: str) -> list[str]:
    """The comments of an exported file but for the first, which is the command that starts it."""
    comments = [line.removeprefix("# ") for line in export.splitlines() if line.startswith("#")]
    return comments[1:]


def _addresses(address: str) -> str:
    """Requests from everywhere where the engine publishes the port; management from within."""
    said = {
        "inference_address": f"http://{address}:{_PORTS['inference']}",
        "management_address": f"http://{LOOPBACK}:8081",
        "metrics_address": f"http://{address}:{_PORTS['metrics']}",
        "disable_token_authorization": "true",
    }
    return "".join(f"{name}={value}\n" for name, value in said.items())

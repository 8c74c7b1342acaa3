"""What is common to all servers: a stored study and trial made into a service."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner import demo
from tuner.exports.service import ALL_GPUS, FILES, LOOPBACK, MODELS, Mount, Resources
from tuner.records import StudyRecord, TrialRecord
from tuner.space.settings import Settings

MODELS_PLACEHOLDER = "/MODEL_REPOSITORY"
"""What stands in place of a folder of models that nobody has named."""

_DNS_LABEL_LENGTH = 63
# Python workers share memory with their server; Docker gives 64 MiB where nobody asks for more.
_SHM_SIZE = "1g"


@dataclass(frozen=True)
class Layout:
    """Where a server finds things, and the address that it listens on.

    In a container its ports are published by the engine; on the machine itself nobody else is
    to reach it.
    """

    models: str
    files: str
    address: str


@dataclass(frozen=True)
class Deployable:
    """A configuration of a stored study that is to be deployed, with its model in `folder`."""

    study: StudyRecord
    trial: TrialRecord
    settings: Settings
    image: str
    folder: str
    notes: tuple[str, ...] = ()

    @property
    def place(self) -> Mapping[str, Any]:
        """Where it was measured: empty for a process of the machine."""
        place = self.study.place or {}
        return place if place.get("runner") == "docker" else {}

    @property
    def name(self) -> str:
        """The model as a DNS label (RFC 1123)."""
        label = re.sub(r"[^a-z0-9]+", "-", self.study.model.lower()).strip("-")
        return label[:_DNS_LABEL_LENGTH].strip("-") or "model"

    @property
    def layout(self) -> Layout:
        if self.image:
            address = LOOPBACK if self.place.get("network") == "host" else "0.0.0.0"  # noqa: S104 - in the container
            return Layout(MODELS, FILES, address)
        return Layout(self.folder, f"/etc/{self.name}", LOOPBACK)

    @property
    def models(self) -> tuple[Mount, ...]:
        """The folder of models, where the server does not have it at its own place."""
        layout = self.layout
        return (Mount(self.folder, layout.models),) if layout.models != self.folder else ()

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What a person had mounted further, each at its own place."""
        return tuple(Mount(path, path) for path in self.place.get("mounts", ()))

    @property
    def common(self) -> dict[str, Any]:
        """The fields of a service that no server says anything of."""
        place = self.place
        return {
            "name": self.name,
            "image": self.image,
            "capabilities": tuple(place.get("capabilities", ())),
            "limits": dict(place.get("ulimits", {})),
            "user": place.get("user", ""),
            "host_network": place.get("network") == "host",
            "notes": self.notes,
        }

    def resources(self, *, shares_memory: bool) -> Resources:
        """As measured; a server that was not in a container had all shared memory."""
        study, place = self.study, self.place
        gpus = ALL_GPUS if has_gpus(study) else ""
        shm_size = _SHM_SIZE if shares_memory else ""
        used = self.trial.usage.memory_bytes
        return Resources(
            cpus=float(place.get("cpu_quota") or study.hardware.get("cores", 0)),
            cpuset=str(study.options.get("server_cpus", "")),
            memory=place.get("memory", ""),
            used_bytes=int(used) if math.isfinite(used) else 0,
            shm_size=place.get("shm_size", "") if place else shm_size,
            gpus=place.get("gpus", "") if place else gpus,
        )


def measured_with(study: StudyRecord, package: str) -> str:
    """The version of a Python package that the server was of; empty if it was not of this machine.

    A remote server has packages of its own.
    """
    here = (study.place or {}).get("runner", "process") == "process"
    return study.environment.get(package, "") if here else ""


def has_gpus(study: StudyRecord) -> bool:
    """Whether the machine that was measured has any."""
    return int(study.hardware.get("gpus", 0)) > 0


def model_folder(study: StudyRecord) -> tuple[str, tuple[str, ...]]:
    """The folder of models as it was when the study began, and what is to be known of it."""
    if folder := study.options.get("model_repository"):
        said = f"{folder} is the folder of models as the study had it."
        if Path(folder).is_absolute():
            return folder, (said,)
        placeholder = f"{MODELS_PLACEHOLDER}/{folder}"
        return placeholder, (f"Replace {placeholder} by the path of `{folder}`.",)
    if file := study.options.get("model_file"):
        contained = " --container" if (study.place or {}).get("runner") == "docker" else ""
        made = f"tuner repository {file} --output FOLDER{contained}"
        return MODELS_PLACEHOLDER, (
            f"Replace {MODELS_PLACEHOLDER} by the folder that this makes: {made}",
        )
    if study.model == demo.MODEL:
        return str(demo.REPOSITORY), ()
    return MODELS_PLACEHOLDER, (f"Replace {MODELS_PLACEHOLDER} by the folder of models.",)

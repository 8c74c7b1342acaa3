"""What is common to all servers: a stored study and trial made into a service."""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner import demo
from tuner.exports.service import (
    ALL_GPUS,
    FILES,
    LOOPBACK,
    MODELS,
    Mount,
    Resources,
    Service,
)
from tuner.numbers import quantities
from tuner.records import StudyRecord, TrialRecord
from tuner.space.settings import Settings
from tuner.targets import launch_settings, system_libraries
from tuner.targets.system_libraries import PRELOAD

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


@dataclass(frozen=True, kw_only=True)
class Deployable:
    """A configuration of a stored study that is to be deployed, with its model in `folder`.

    `host_network` says whether it is to have the network of its machine.
    """

    study: StudyRecord
    trial: TrialRecord
    settings: Settings
    image: str
    folder: str
    host_network: bool = False
    notes: tuple[str, ...] = ()

    @property
    def place(self) -> Mapping[str, Any]:
        """Where it was measured: empty for a process of the machine."""
        return container_of(self.study)

    @property
    def name(self) -> str:
        """The model as a DNS label that is a name of services, too (RFC 1123, RFC 1035)."""
        label = re.sub(r"[^a-z0-9]+", "-", self.study.model.lower()).strip("-") or "model"
        begun = label if label[0].isalpha() else f"model-{label}"
        return begun[:_DNS_LABEL_LENGTH].strip("-")

    @property
    def layout(self) -> Layout:
        if self.image:
            address = LOOPBACK if self.host_network else "0.0.0.0"  # noqa: S104 - in the container
            return Layout(self._models, FILES, address)
        return Layout(self.folder, f"/etc/{self.name}", LOOPBACK)

    @property
    def _models(self) -> str:
        """Where a container has the models: where they were, if the configuration names that."""
        return self.folder if f"{self.folder}/" in self.trial.export else MODELS

    @property
    def models(self) -> tuple[Mount, ...]:
        """The folder of models, which a server of the machine itself has at its own place."""
        return (Mount(self.folder, self.layout.models),) if self.image else ()

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What a person had mounted further, each at its own place."""
        return tuple(Mount(path, path) for path in self.place.get("mounts", ()))

    @property
    def environment(self) -> dict[str, str]:
        """What the settings say; without an image, libraries of this machine by their paths."""

        def library(name: str) -> str:
            return name if self.image else str(system_libraries.path_of(name) or name)

        return launch_settings.environment(self.settings, library=library)

    def program_note(self, program: str, measured: str) -> tuple[str, ...]:
        """That a `program` of the machine need not be what was `measured`."""
        if self.image:
            return ()
        found = "the server that ran there" if is_remote(self.study) else measured
        return (f"Replace {program} by that of the machine; it was measured with {found}.",)

    def common(self, *notes: str) -> dict[str, Any]:
        """The fields of a service that no server says anything of; `notes` are its own."""
        place = self.place
        timeout_s = quantities.duration_s(str(self.study.options.get("start_timeout", "")))
        return {
            "name": self.name,
            "image": self.image,
            "capabilities": tuple(place.get("capabilities", ())),
            "limits": dict(place.get("ulimits", {})),
            "user": place.get("user", ""),
            "host_network": self.host_network,
            "start_timeout_s": timeout_s or Service.start_timeout_s,
            "notes": (*self.notes, *notes, *self._doubts()),
        }

    def _doubts(self) -> tuple[str, ...]:
        """Why this may be another configuration than the one that was measured."""
        found = []
        if is_remote(self.study):
            found.append(
                "It was measured on a remote server: what that has of processors, memory and GPUs "
                "is not known."
            )
        preloaded = self.environment.get(PRELOAD)
        if preloaded and self.image and self.image != measured_image(self.study):
            found.append(
                f"The image must have {preloaded}, which {PRELOAD} names: without it, this is "
                "another configuration than the one that was measured."
            )
        return tuple(found)

    def resources(self, *, shares_memory: bool) -> Resources:
        """As measured; a server that was not in a container had all shared memory."""
        study, place = self.study, self.place
        shm_size = place.get("shm_size", "") if place else _SHM_SIZE if shares_memory else ""
        if is_remote(study):
            return Resources(shm_size=shm_size)
        used, gpus = self.trial.usage.memory_bytes, place.get("gpus", "")
        there = 0 if place and not gpus else int(study.hardware.get("gpus", 0))
        return Resources(
            cpus=float(place.get("cpu_quota") or study.hardware.get("cores", 0)),
            cpuset=str(study.options.get("server_cpus", "")),
            memory=place.get("memory", ""),
            used_bytes=int(used) if math.isfinite(used) else 0,
            shm_size=shm_size,
            gpus=gpus,
            gpu_count=there if gpus in ("", ALL_GPUS) else len(gpus.split(",")),
        )


def container_of(study: StudyRecord) -> Mapping[str, Any]:
    """What containers of the study got; empty if it ran in none."""
    place = study.place or {}
    return place if place.get("runner") == "docker" else {}


def is_remote(study: StudyRecord) -> bool:
    """Whether it tuned a server that already ran: nothing is known of its machine."""
    return (study.place or {}).get("runner") == "remote"


def measured_image(study: StudyRecord) -> str:
    """The image of its containers, with its digest; empty if it ran in none.

    An image may have a tag of one repository and the digest of another one, or an id alone.
    """
    if not container_of(study):
        return ""
    name, digest = study.environment["image"], study.environment.get("image_digest", "")
    repository, at, known = digest.partition("@")
    if not at or "@" in name:
        return name
    return f"{name}@{known}" if repository == _repository(name) else digest


def _repository(image: str) -> str:
    """The name of an image without its tag."""
    before, colon, tag = image.rpartition(":")
    return before if colon and "/" not in tag else image


def measured_with(study: StudyRecord, package: str) -> str:
    """The version of a Python package that the server was of; empty if it was not of this machine.

    A remote server has packages of its own.
    """
    here = (study.place or {}).get("runner", "process") == "process"
    return study.environment.get(package, "") if here else ""


def has_gpus(study: StudyRecord) -> bool:
    """Whether the machine that was measured has any, as far as that is known."""
    return not is_remote(study) and int(study.hardware.get("gpus", 0)) > 0


def model_folder(study: StudyRecord) -> tuple[str, tuple[str, ...]]:
    """The folder of models as it was when the study began, and what is to be known of it."""
    if folder := study.options.get("model_repository"):
        said = f"{folder} is the folder of models as the study had it."
        if Path(folder).is_absolute():
            return folder, (said,)
        placeholder = f"{MODELS_PLACEHOLDER}/{folder}"
        return placeholder, (f"Replace {placeholder} by the path of `{folder}`.",)
    if study.options.get("model_file"):
        made = "; ".join(_making_commands(study))
        return MODELS_PLACEHOLDER, (
            f"Replace {MODELS_PLACEHOLDER} by the folder that this makes: {made}",
        )
    if study.model == demo.MODEL and not is_remote(study):
        return str(demo.REPOSITORY), ()
    return MODELS_PLACEHOLDER, (f"Replace {MODELS_PLACEHOLDER} by the folder of models.",)


def _making_commands(study: StudyRecord) -> list[str]:
    """What makes the models of the model file of the study, and of its variants."""
    files = [study.options["model_file"], *(study.options.get("variant") or ())]
    inputs = [word for each in study.options.get("input") or () for word in ("--input", each)]
    contained = ["--container"] if container_of(study) else []
    return [
        shlex.join(
            [
                *("tuner", "repository", file),
                *([] if file.endswith(".onnx") else inputs),
                *("--output", "FOLDER"),
                *contained,
            ]
        )
        for file in files
    ]

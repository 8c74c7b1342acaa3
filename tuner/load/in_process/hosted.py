"""What is said to an engine process that is to hold a Triton, as values that are pickled."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class HostedTriton:
    """A Triton that serves `model` of `repository` out of the engine's process.

    `library` is its shared library, `backends` and `caches` are folders (None: its own). Its
    Python backend names what it keeps in shared memory after `shm_prefix`.
    """

    library: Path
    repository: Path
    model: str
    backends: Path | None = None
    caches: Path | None = None
    shm_prefix: str = "triton_python_backend_shm_region_"


class Subject(StrEnum):
    """What a Triton can be asked of a model."""

    READY = "ready"
    METADATA = "metadata"
    CONFIG = "config"
    STATISTICS = "statistics"


@dataclass(frozen=True)
class Question:
    """Answered with JSON; an empty `version` is the one that the server chooses."""

    subject: Subject
    model: str
    version: str = ""


def version_number(version: str) -> int:
    """As the C API has it: -1 is the server's choice."""
    return int(version) if version else -1

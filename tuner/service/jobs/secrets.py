"""The values of a job's headers: in a file for its process alone, until the job is over."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuner.service.access import private
from tuner.service.settings import Settings
from tuner.store.queue import QueuedJob

OPTION = "header"
# Said in place of a value, as studies do.
_UNSAID = "..."


def without_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they are stored and shown: of headers, the names."""
    found = dict(options)
    if found.get(OPTION):
        found[OPTION] = [f"{each.partition(':')[0].strip()}: {_UNSAID}" for each in found[OPTION]]
    return found


def keep(settings: Settings, job: QueuedJob, headers: Sequence[str]) -> None:
    """Write the job's headers where its process reads them.

    Raises:
        InputError: They cannot be written.
    """
    path = _path(settings, job)
    private.folder(path.parent)
    private.write(path, "".join(f"{each}\n" for each in headers))


def words(settings: Settings, job: QueuedJob) -> list[str]:
    """Those that have the job's process read its headers, which are not in its command line."""
    return ["--header", f"@{_path(settings, job)}"] if job.options.get(OPTION) else []


def forget(settings: Settings, job: QueuedJob) -> None:
    """Once the job is over."""
    _path(settings, job).unlink(missing_ok=True)


def _path(settings: Settings, job: QueuedJob) -> Path:
    return settings.folder / "secrets" / str(job.id)

"""The models that jobs may use: in folders of the machine, and sent to the service."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from itertools import islice
from pathlib import Path, PurePath

from tuner.errors import InputError
from tuner.service.access.code import code_in, named_as_code
from tuner.service.access.refusal import Refusal
from tuner.service.models.archive import Limits, unpack
from tuner.service.service import Service
from tuner.service.settings import Settings
from tuner.store.queue import QueueState, queued_jobs
from tuner.store.storage import Storage

NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"
# What is sent under a name with one of these endings is kept as it is.
_FILES = re.compile(
    r"\.(onnx|pt|pth|pt2|torchscript|mar|plan|engine|json|npy|bin|txt|csv|gguf|jsonl)",
    re.IGNORECASE,
)
_ARCHIVES = re.compile(r"\.(zip|tar|tgz|gz|bz2|xz|7z|rar)", re.IGNORECASE)
_WORKING = ".upload-"
# What is left free on the disk, in bytes: studies are written there.
_ROOM = 1 * 2**30
_LARGEST_UNPACKED = 8 * 2**30
# Of a folder no more entries than these are listed, or counted for its size.
_MOST_LISTED, _MOST_COUNTED = 1000, 2000
_COMMANDS_HINT = "start the service with `--allow-commands` if all who may run jobs are trusted"
_OPEN = tuple(state for state in QueueState if not state.is_over)


class ModelKind(StrEnum):
    """What a model is on the disk."""

    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True)
class StoredModel:
    """One of them; its `size` is in bytes, None of a folder with very many files."""

    name: str
    kind: ModelKind
    size: int | None
    changed_at: datetime
    uploaded: bool


def models(settings: Settings) -> list[StoredModel]:
    """Those in the folders of the service, by the names that jobs call them by, each once."""
    found: dict[str, StoredModel] = {}
    for folder in (*settings.models, settings.uploads):
        for entry in _entries(folder):
            if entry.name not in found:
                found[entry.name] = _described(entry, uploaded=folder == settings.uploads)
    return list(found.values())


def working_folder(settings: Settings) -> Path:
    """A new folder for an upload, on the disk that the model is to be on."""
    folder = settings.uploads / f"{_WORKING}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700, parents=True)
    return folder


def sweep(settings: Settings) -> None:
    """Remove what a service left behind that was killed during an upload."""
    for left in settings.uploads.glob(f"{_WORKING}*"):
        shutil.rmtree(left, ignore_errors=True)


def keep(service: Service, name: str, sent: Path, *, replace: bool) -> StoredModel:
    """Make a model of the file that was sent: all of it, or nothing.

    Args:
        service: Where jobs may use it, and where no job uses what it takes the place of.
        name: What it is called; with the ending of a file it is one, else an archive.
        sent: The file, in a folder of its own that may be written.
        replace: Whether it takes the place of one that is there.

    Raises:
        InputError: The archive or the name cannot be used.
        Refusal: It is a program and those are not allowed, the name is taken, or a job uses
            what has it.
    """
    if _ARCHIVES.fullmatch(PurePath(name).suffix):
        raise InputError(
            f"`{name}` would be a folder: an archive is unpacked",
            hint=f"name the folder, such as `{name.partition('.')[0] or 'model'}`",
        )
    target = service.settings.uploads / name
    _check_free(service.storage, target, replace=replace)
    made = sent
    if not _FILES.fullmatch(PurePath(name).suffix):
        made = sent.with_name("unpacked")
        room = shutil.disk_usage(sent.parent).free - _ROOM
        unpack(sent, made, Limits(size=max(0, min(_LARGEST_UNPACKED, room))))
    _check_is_data(service.settings, name, made)
    with service.changing:
        _check_free(service.storage, target, replace=replace)
        _put(made, target, sent.with_name("before"))
    return _described(target, uploaded=True)


def remove(service: Service, name: str) -> None:
    """Delete a model that was sent.

    Raises:
        Refusal: There is none, or a job uses it.
    """
    target = service.settings.uploads / name
    if not target.exists():
        raise Refusal(HTTPStatus.NOT_FOUND, f"there is no model `{name}`")
    working = working_folder(service.settings)
    try:
        with service.changing:
            _check_unused(service.storage, target)
            target.rename(working / "gone")
    finally:
        shutil.rmtree(working, ignore_errors=True)


def check_room(settings: Settings, length: int) -> None:
    """Refuse an upload of so many bytes that the disk has no room for.

    Raises:
        Refusal: It has not.
    """
    if shutil.disk_usage(settings.folder).free - length < _ROOM:
        raise Refusal(
            HTTPStatus.INSUFFICIENT_STORAGE,
            "the disk of the service is full",
            hint="delete models that are not used any more",
        )


def _check_free(storage: Storage, target: Path, *, replace: bool) -> None:
    if not target.exists():
        return
    if not replace:
        raise Refusal(
            HTTPStatus.CONFLICT,
            f"there is a model `{target.name}` already",
            hint="choose another name, or have it replaced (`?replace=true`)",
        )
    _check_unused(storage, target)


def _check_unused(storage: Storage, target: Path) -> None:
    for job in queued_jobs(storage, states=_OPEN):
        if any(_names(value, target) for value in job.options.values()):
            raise Refusal(
                HTTPStatus.CONFLICT,
                f"the job of study `{job.study}` uses the model `{target.name}`",
                hint="wait for its end, or cancel it",
            )


def _names(value: object, target: Path) -> bool:
    """Whether an option of a job has a path of this model, or of the folder that it is in."""
    if isinstance(value, list | tuple):
        return any(_names(each, target) for each in value)
    return isinstance(value, str) and any(
        Path(value).is_relative_to(each) or Path(value) == each.parent
        for each in (target, target.resolve())
    )


def _check_is_data(settings: Settings, name: str, made: Path) -> None:
    if settings.allow_commands:
        return
    if why := named_as_code(PurePath(name)) or (made.is_dir() and code_in(made)):
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            f"the model `{name}` is a program ({why}), which servers would run",
            hint=_COMMANDS_HINT,
        )


def _put(made: Path, target: Path, before: Path) -> None:
    """What was there is put aside first, and back if that fails."""
    made.chmod(0o755 if made.is_dir() else 0o644)
    if target.exists():
        target.rename(before)
    try:
        made.rename(target)
    except OSError:
        if before.exists():
            before.rename(target)
        raise


def _entries(folder: Path) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            shown = (each for each in found if not each.name.startswith("."))
            return sorted(islice(shown, _MOST_LISTED), key=lambda each: each.name)
    except OSError:
        return ()  # it was taken away, or nothing was sent yet


def _described(entry: Path | os.DirEntry[str], *, uploaded: bool) -> StoredModel:
    found = entry.stat()
    is_file = entry.is_file()
    return StoredModel(
        name=entry.name,
        kind=ModelKind.FILE if is_file else ModelKind.FOLDER,
        size=found.st_size if is_file else _size(Path(entry)),
        changed_at=datetime.fromtimestamp(found.st_mtime, UTC),
        uploaded=uploaded,
    )


def _size(folder: Path) -> int | None:
    sizes = list(islice(_sizes(folder), _MOST_COUNTED + 1))
    return None if len(sizes) > _MOST_COUNTED else sum(sizes)


def _sizes(folder: Path) -> Iterator[int]:
    for where, _, files in os.walk(folder):
        for file in files:
            yield Path(where, file).lstat().st_size

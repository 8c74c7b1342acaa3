"""Files of this machine that a job names: a model is sent to the service, others must be there."""

import hashlib
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import wrap_file

from tuner.cli.console import err, note
from tuner.cli.optimize_options import PlanOptions
from tuner.clients.service import ServiceClient
from tuner.errors import InputError
from tuner.space.files import built_in

# Digits of a digest that tell one content from another, in the name that a model has there.
_DIGITS = 12
_UNUSUAL = re.compile(r"[^A-Za-z0-9_-]+")
# Characters of the name here that its name there begins with.
_LONGEST_NAME = 60
# What a service reads from its own folders alone.
_READ_THERE = ("body", "dataset", "input_data", "mount", "tokenizer")


def with_models_sent(
    service: ServiceClient, options: PlanOptions, said: Mapping[str, Any]
) -> dict[str, Any]:
    """What was `said` of the options, with the names that the service has their models by.

    A model file, a further form of it and a model repository that are here are sent; what is not
    here is a name that the service knows.

    Raises:
        InputError: Something else is a file of this machine, or a model cannot be read or sent.
    """
    _refuse_others(options)
    sent = dict(said)
    for name in ("model_file", "model_repository"):
        if name in sent:
            sent[name] = _sent(service, sent[name])
    if "model_file" in sent and "variant" in sent:
        sent["variant"] = [_sent(service, each) for each in sent["variant"]]
    return sent


def _refuse_others(options: PlanOptions) -> None:
    space = options.space
    if space is not None and str(space) not in built_in() and space.exists():
        raise InputError(
            f"`--space {space}` is a file of this machine, which a service does not read",
            hint="give the name of a space that it has, below a folder of its `--spaces`",
        )
    for name in _READ_THERE:
        said = getattr(options, name) or ()
        for each in [said] if isinstance(said, Path) else said:
            if Path(each).exists():
                raise InputError(
                    f"`--{name.replace('_', '-')} {each}` is a file of this machine, which a "
                    "service does not read",
                    hint="give the name of one below a folder of its `--models`",
                )


def _sent(service: ServiceClient, said: str) -> str:
    """The name that it has there; what was sent before is not sent again."""
    path = Path(said)
    try:
        if not path.exists():
            return said
        with _file_of(path) as file:
            name = _name(path, file)
            if name not in {each["name"] for each in service.get("/models")["items"]}:
                _send(service, path, file, name)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be read: {error.strerror}") from None
    return name


def _send(service: ServiceClient, path: Path, file: Path, name: str) -> None:
    size = file.stat().st_size
    note(f"{path.name} is sent to the service ({size / 1e6:,.1f} MB)")
    with (
        file.open("rb") as content,
        wrap_file(
            content,
            size,
            description=path.name,
            console=err,
            transient=True,
            disable=not err.is_terminal,
        ) as watched,
    ):
        service.put(f"/models/{name}", watched)


def _name(path: Path, file: Path) -> str:
    """One that the service takes: it tells one content from another, and a file by its ending."""
    ending = "" if path.is_dir() else path.suffix
    plain = _UNUSUAL.sub("-", path.stem).strip("-")[:_LONGEST_NAME] or "model"
    return f"{plain}-{_digest(file)}{ending}"


@contextmanager
def _file_of(path: Path) -> Iterator[Path]:
    """The file itself, or a folder as an archive, the same each time that its files are."""
    if not path.is_dir():
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".tar") as packed:
        with tarfile.open(packed.name, "w", dereference=True) as archive:
            for each in sorted(path.rglob("*")):
                archive.add(each, each.relative_to(path), recursive=False, filter=_of_nobody)
        yield Path(packed.name)


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs from one copy to the next."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:_DIGITS]

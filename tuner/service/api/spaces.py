"""/api/v1/spaces: what may vary, built in or in a folder of the service, and a check of one."""

import os
import threading
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from tuner import hardware
from tuner.errors import InputError, SpaceError
from tuner.report.spaces import space_content
from tuner.service.access.paths import within
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.api.problems import ProblemError, documented, later
from tuner.service.api.study_documents import JsonAnswer
from tuner.service.settings import Settings
from tuner.space import spec
from tuner.space.files import text_of
from tuner.space.resolution import Resolved, resolved
from tuner.space.space import COUNT_LIMIT, SearchSpace

_ENDINGS = (".yaml", ".yml")
# Of a folder no more files than these are looked at.
_MOST_FILES = 1000
# Characters of a space that is sent: the built-in ones have three thousand.
_LONGEST = 64 * 1024
# Conditions and rules that are worked out to count the configurations of a space that is sent.
_MOST_WORK = 200_000


class SpaceSummary(BaseModel):
    """A space that jobs may use."""

    name: Annotated[str, Field(description="What the option `space` of a job says.")]
    built_in: bool
    description: str
    problem: Annotated[str, Field(description="Why it cannot be used; empty if it can.")] = ""


class SpacesDocument(BaseModel):
    """The built-in spaces, then those in folders of the service."""

    items: list[SpaceSummary]


class SpaceDocument(BaseModel):
    """A space with its bounds on the service's machine."""

    server: str
    size: Annotated[
        int | None,
        Field(description="Valid configurations; null where they are too many, or not finite."),
    ]
    parameters: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    hints: list[dict[str, Any]]


class CheckedSpaceDocument(SpaceDocument):
    """The same, with what of the file is not in it."""

    left_out: list[dict[str, Any]]


class SpaceText(BaseModel):
    """A space file that is to be checked."""

    content: Annotated[
        str,
        Field(
            max_length=_LONGEST,
            description="Its YAML; `extends` may name a built-in space.",
            examples=["extends: triton\nparameters:\n  max_batch_size: {high: 64}\n"],
        ),
    ]


routes = APIRouter(prefix="/spaces", tags=["spaces"])
_checking = threading.Lock()


@routes.get(
    "", operation_id="list_spaces", summary="Spaces that jobs may use", responses=documented()
)
def list_spaces(service: Here, _: Reader) -> SpacesDocument:
    built_in = [_summary(name, path) for name, path in spec.built_in().items()]
    own = [_summary(name, path, built_in=False) for name, path in _own(service.settings)]
    return SpacesDocument(items=[*built_in, *own])


@routes.post(
    "/check",
    operation_id="check_space",
    summary="Say what is in a space file, if it can be used",
    description="Nothing is run, and no file is read. One is checked at a time.",
    response_model=CheckedSpaceDocument,
    responses=documented(400, 413),
)
def check_space(asked: SpaceText, _: Reader) -> JsonAnswer:
    if not _checking.acquire(blocking=False):
        raise later(
            HTTPStatus.TOO_MANY_REQUESTS,
            "another space is being checked",
            "ask again in a second",
            after_s=1,
        )
    try:
        return JsonAnswer(checked(asked.content))
    finally:
        _checking.release()


@routes.get(
    "/{name:path}",
    operation_id="show_space",
    summary="A space with its bounds on the service's machine",
    response_model=SpaceDocument,
    response_description="What `tuner spaces show --json` says.",
    responses=documented(404),
)
def show_space(
    name: Annotated[
        str,
        InPath(
            max_length=300,
            description="As the list has it; those in folders have slashes.",
            examples=["triton"],
        ),
    ],
    service: Here,
    _: Reader,
) -> JsonAnswer:
    path = spec.built_in().get(name) or _path(service.settings, name)
    try:
        return JsonAnswer(_content(*_version(path)))
    except SpaceError as error:
        raise type(error)(f"{name}: {error.message}", hint=error.hint) from None


def checked(text: str) -> dict[str, Any]:
    """What is in the text of a space file, as `tuner spaces check --json` says it.

    Raises:
        SpaceError: It cannot be used; with the place of the fault.
    """
    found = _resolved(text)
    _check_values(found.space)
    left_out = [asdict(each) for each in found.left_out]
    return space_content(found.space, counted=_counts_soon(found.space)) | {"left_out": left_out}


def _resolved(text: str) -> Resolved:
    return resolved(spec.space_in(text), hardware.detect().bounds)


def _check_values(space: SearchSpace) -> None:
    """Refuse what would be an answer of many megabytes."""
    values = 0
    for parameter in space.parameters:
        values += len(parameter.choices or ())
        if values > COUNT_LIMIT:
            raise SpaceError(
                f"parameters: they have more than {COUNT_LIMIT:,} values together",
                hint="use a larger `step`, or `log: true`",
            )


def _counts_soon(space: SearchSpace) -> bool:
    conditions = sum(1 for each in space.parameters if each.when)
    each = len(space.parameters) + conditions + len(space.rules)
    return space.combinations * each <= _MOST_WORK


def _own(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Those in the folders of the service, by the names that jobs call them by, each once."""
    seen = set(spec.built_in())
    for folder in settings.spaces:
        for path in islice(_files(folder), _MOST_FILES):
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name not in seen:
                seen.add(name)
                yield name, path


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = Path(where, file)
            if path.suffix in _ENDINGS and path.is_file() and not path.is_symlink():
                yield path


def _path(settings: Settings, name: str) -> Path:
    try:
        return within(name, settings.spaces, kind="search space", endings=_ENDINGS)
    except InputError as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, error.message, error.hint) from None


def _version(path: Path) -> tuple[Path, int, int]:
    """A file as it is now: spaces are read again only when they were changed."""
    found = path.stat()
    return path, found.st_mtime_ns, found.st_size


def _summary(name: str, path: Path, *, built_in: bool = True) -> SpaceSummary:
    try:
        return SpaceSummary(
            name=name, built_in=built_in, description=_description(*_version(path))
        )
    except SpaceError as error:
        return SpaceSummary(name=name, built_in=built_in, description="", problem=error.message)


@lru_cache(maxsize=256)
def _description(path: Path, _changed_ns: int, _size: int) -> str:
    return spec.space_in(text_of(path)).description


@lru_cache(maxsize=64)
def _content(path: Path, _changed_ns: int, _size: int) -> dict[str, Any]:
    return space_content(_resolved(text_of(path)).space)

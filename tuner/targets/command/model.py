"""A server that a person describes in the space file: its command, its files, its requests."""

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.base import PLACEHOLDER, LaunchSpec
from tuner.errors import InputError, ModelError, SpaceError, at
from tuner.load.profile import Endpoint
from tuner.protocols import generic_http
from tuner.space.expressions import Value
from tuner.space.serve import ServeSpec
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import staging, system_libraries
from tuner.targets.base import ModelSource
from tuner.targets.command.templates import fill, fill_argument
from tuner.targets.request_form import RequestForm

PORT = "http"
"""The name of the port that takes the requests."""


@dataclass(frozen=True)
class Filled:
    """The parts of a launch, with the values of one configuration in them."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]
    proofs: Mapping[str, str]

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of all ports, that of the requests first."""
        texts = (*self.command, *self.environment.values(), *self.files.values())
        named = (match[1] for text in texts for match in PLACEHOLDER.finditer(text))
        return tuple(dict.fromkeys([PORT, *filter(None, named)]))


class CommandModel:
    """What is served, and how; `folder` is that of the space file."""

    space = ""

    def __init__(self, name: str, serve: ServeSpec, folder: Path) -> None:
        self.name = name
        self.serve = serve
        # Not resolved: a container sees a link at its own place.
        self.directory, *self.reads = (
            Path(os.path.normpath((folder / each).absolute()))
            for each in (serve.directory, *serve.reads)
        )
        for path in (self.directory, *self.reads):
            if not path.exists():
                raise ModelError(
                    f"{path}: is named in `serve`, but is not there",
                    hint="paths in `serve` are relative to the space file",
                )
        self.bodies = tuple(_bodies(serve, folder))
        for variable in serve.environment:
            if not re.fullmatch(r"[A-Za-z_]\w*", variable, re.ASCII):
                raise SpaceError(f"serve.environment: `{variable}` is no name of a variable")
        with at("serve.request"):
            self.prepared(Endpoint("127.0.0.1", 80), self.bodies[0])

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits that change when the description or a file of it does."""
        said = [self.serve.model_dump_json().encode(), *self.bodies]
        beside = b"".join(hashlib.sha256(each).digest() for each in said)
        return staging.digest(self.reads, beside=beside)

    def fit_form(self, form: RequestForm) -> RequestForm:
        """`form`, which says nothing: the space file says it all."""
        return form

    def remarks(self, form: RequestForm) -> tuple[str, ...]:
        """Nothing: the space file says it all."""
        return ()

    def adapt(self, space: SearchSpace, *, contained: bool) -> SearchSpace:
        """`space` with the libraries that are here; its templates were tried.

        Raises:
            SpaceError: A parameter cannot be set in this way, or a template cannot be filled in.
        """
        space.refuse_other_than("environment", "flag", "template", server="a server of your own")
        names = {parameter.name for parameter in space.parameters}
        for name in self.serve.proofs:
            if name not in names:
                raise SpaceError(f"serve.proofs.{name}: there is no such parameter")
        self._try_launch(self.filled(space, space.defaults))
        return space if contained else system_libraries.usable(space)

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        request = self.serve.request
        kind = {"Content-Type": request.content_type} if request.content_type else {}
        return generic_http.with_defaults(request.headers, kind)

    def prepared(self, endpoint: Endpoint, body: bytes) -> bytes:
        """A request with one of the bodies."""
        request = self.serve.request
        return generic_http.prepare(
            endpoint, request.path, method=request.method, headers=self.headers, body=body
        )

    def _try_launch(self, filled: Filled) -> None:
        try:
            LaunchSpec(command=filled.command, files=filled.files, ports=filled.ports)
        except ValueError as error:
            raise SpaceError(f"serve: {error}") from None

    def filled(self, space: SearchSpace, configuration: Configuration) -> Filled:
        """The launch of `configuration`.

        Raises:
            SpaceError: A template cannot be filled in.
        """
        return filled(self.serve, space, configuration)


def filled(serve: ServeSpec, space: SearchSpace, configuration: Configuration) -> Filled:
    """What a space file says of a launch, with the values of `configuration`.

    Raises:
        SpaceError: A template cannot be filled in.
    """
    values = template_values(space, configuration)

    def texts(place: str, given: Mapping[str, str]) -> dict[str, str]:
        return {n: fill(f"serve.{place}.{n}", text, values) for n, text in given.items()}

    items = enumerate(serve.command)
    words = (fill_argument(f"serve.command[{n}]", text, values) for n, text in items)
    return Filled(
        command=tuple(itertools.chain(*words)),
        environment=texts("environment", serve.environment),
        files=texts("files", serve.files),
        proofs=texts("proofs", serve.proofs),
    )


def open_model(source: ModelSource) -> CommandModel:
    """The server that the space file describes.

    Raises:
        InputError: There is no such file, or something that it names is not there.
    """
    if source.serve is None or source.space_file is None:
        raise InputError(
            "a server of your own is described by the section `serve` of a space file",
            hint="search_spaces/README.md has an example; name the file with `--space FILE`",
        )
    if source.folder is not None:
        raise InputError(
            "`--model-repository` means nothing to a server that a space file describes",
            hint="leave it out; `serve` says which files are read",
        )
    if source.file is not None or source.variants:
        raise InputError(
            "a model file and `--variant` mean nothing to a server of your own",
            hint="make the model's file a parameter: `sets: {template: NAME}`",
        )
    name = source.name or source.space_file.stem
    return CommandModel(name, source.serve, source.space_file.parent)


def template_values(space: SearchSpace, configuration: Configuration) -> dict[str, Value | None]:
    """What templates may name; None for what the configuration does not have."""
    return {name: configuration.get(p.name) for p, name in space.names_of("template")}


def _bodies(serve: ServeSpec, folder: Path) -> Iterator[bytes]:
    request = serve.request
    if request.body is not None:
        yield request.body.encode()
    for name in request.body_files:
        try:
            yield (folder / name).read_bytes()
        except OSError as error:
            raise InputError(
                f"serve.request.body_files: {name} cannot be read: {error.strerror}",
                hint="paths in `serve` are relative to the space file",
            ) from None
    if request.body is None and not request.body_files:
        yield b""

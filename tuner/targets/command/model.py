"""A server that a space file describes: its command, its files, its requests."""

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from runners.base import PLACEHOLDER, LaunchSpec
from tuner.errors import InputError, ModelError, SpaceError, at
from tuner.load.profile import Endpoint
from tuner.protocols import generic_http
from tuner.protocols.openai_task import Task
from tuner.space.expressions import Value
from tuner.space.files import built_in
from tuner.space.serve import RequestSpec, ServeSpec
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import staging, system_libraries
from tuner.targets.base import ModelSource
from tuner.targets.command.templates import fill, fill_argument, names
from tuner.targets.request_form import RequestForm

PORT = "http"
"""The name of the port that takes the requests."""
MODEL = "model"
"""What templates call what `--model` says."""
# Of `serve`, what came later: where a file does not say it, its fingerprint is as it was.
_LATER = frozenset({"keeps", "openai", "proofs_at", "proof_environment", "start_timeout"})


@dataclass(frozen=True)
class Filled:
    """The parts of a launch, with the values of one configuration in them.

    `proofs` are texts by path and parameter; those at no path are the log's. `served` is the name
    that the server knows the model by; empty: nobody says.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]
    proofs: Mapping[str, Mapping[str, str]]
    served: str = ""

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of all ports, that of the requests first."""
        texts = (*self.command, *self.environment.values(), *self.files.values())
        named = (match[1] for text in texts for match in PLACEHOLDER.finditer(text))
        return tuple(dict.fromkeys([PORT, *filter(None, named)]))


class CommandModel:
    """What is served, and how; `folder` is that of the space file, None of a built-in one.

    `given` is what the option `--model` says, as templates get it: a path in full, or a name.
    """

    space = ""

    def __init__(
        self, name: str, serve: ServeSpec, folder: Path | None, *, given: str = ""
    ) -> None:
        self.name = name
        self.serve = serve
        self.given = given
        # Not resolved: a container sees a link at its own place.
        base = folder or Path()
        self.directory = _full(base, serve.directory) if folder else None
        self.reads = tuple(_full(base, each) for each in serve.reads)
        self.keeps = tuple(_full(base, each) for each in serve.keeps)
        for path in (*self.folders, *self.keeps):
            if not path.exists():
                raise ModelError(
                    f"{path}: is named in `serve`, but is not there",
                    hint="paths in `serve` are relative to the space file",
                )
        if Path(given).is_absolute() and names_model(serve):
            self.reads += (Path(given),)
        for variable in (*serve.environment, *serve.proof_environment):
            if not re.fullmatch(r"[A-Za-z_]\w*", variable, re.ASCII):
                raise SpaceError(f"serve.environment: `{variable}` is no name of a variable")
        self.bodies = () if serve.request is None else tuple(_bodies(serve.request, base))
        if self.bodies:
            with at("serve.request"):
                self.prepared(Endpoint("127.0.0.1", 80), self.bodies[0])

    @property
    def folders(self) -> tuple[Path, ...]:
        """All that the server needs of this machine."""
        return (*filter(None, (self.directory,)), *self.reads)

    @property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits that change when the description or a file of it does."""
        unsaid = _LATER - self.serve.model_fields_set
        said = [self.serve.model_dump_json(exclude=set(unsaid)).encode(), *self.bodies]
        if names_model(self.serve):
            # Of a folder, the content counts; of a name of elsewhere, all of it.
            is_folder = not self.given or Path(self.given).is_absolute()
            said.append((self.name if is_folder else self.given).encode())
        beside = b"".join(hashlib.sha256(each).digest() for each in said)
        return staging.digest(self.reads, beside=beside, sampled=True)

    def fit_form(self, form: RequestForm) -> RequestForm:
        """What is asked: what the space file has, or the prompts of `form` for its task."""
        openai = self.serve.openai
        if openai is None:
            return form.of_nothing("a server that a space file describes")
        prompts = form.prompts.for_task(Task(openai.task))
        return replace(form, prompts=prompts).of_prompts("a server of language models")

    def remarks(self, form: RequestForm) -> tuple[str, ...]:
        """What is to be known of prompts that are sent again and again."""
        return form.prompts.remarks if self.serve.openai else ()

    def adapt(self, space: SearchSpace, *, contained: bool) -> SearchSpace:
        """`space` with the libraries that are here; its templates were tried.

        Raises:
            SpaceError: A parameter cannot be set in this way, or a template cannot be filled in.
        """
        space.refuse_other_than("environment", "flag", "template", server="a server of your own")
        own = {name for _, name in space.names_of("template")}
        if not self.given and MODEL in _named(self.serve) - own:
            raise InputError(
                "the space file serves the model that `--model` names",
                hint="name one: a folder, or what the server knows it by",
            )
        self._try_launch(self.filled(space, space.defaults))
        return space if contained else system_libraries.usable(space)

    @property
    def headers(self) -> dict[str, str]:
        """Of every request that the file has."""
        request = self.request
        kind = {"Content-Type": request.content_type} if request.content_type else {}
        return generic_http.with_defaults(request.headers, kind)

    @property
    def request(self) -> RequestSpec:
        """The one that the file has.

        Raises:
            SpaceError: It has none.
        """
        if self.serve.request is None:
            raise SpaceError("serve.request: is missing")
        return self.serve.request

    def prepared(self, endpoint: Endpoint, body: bytes) -> bytes:
        """A request with one of the bodies."""
        request = self.request
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
        return filled(self.serve, space, configuration, model=self.given)


def filled(
    serve: ServeSpec, space: SearchSpace, configuration: Configuration, *, model: str = ""
) -> Filled:
    """What a space file says of a launch, with the values of `configuration`.

    `model` is what templates get by that name. Of a value that is left out nothing is proved.

    Raises:
        SpaceError: A template cannot be filled in.
    """
    values = {MODEL: model} | template_values(space, configuration)
    there = {n for n, value in configuration.items() if value != space[n].sets.omit}

    def texts(place: str, given: Mapping[str, str]) -> dict[str, str]:
        return {n: fill(f"serve.{place}.{n}", text, values) for n, text in given.items()}

    def proofs(place: str, given: Mapping[str, str]) -> dict[str, str]:
        known = {**configuration, **values}
        return {n: fill(f"{place}.{n}", text, known) for n, text in given.items() if n in there}

    items = enumerate(serve.command)
    words = (fill_argument(f"serve.command[{n}]", text, values) for n, text in items)
    return Filled(
        command=tuple(itertools.chain(*words)),
        environment=texts("environment", serve.environment),
        files=texts("files", serve.files),
        proofs={path: proofs(place, texts) for place, path, texts in serve.all_proofs},
        served=fill("serve.openai.model", serve.openai.model if serve.openai else "", values),
    )


def _named(serve: ServeSpec) -> frozenset[str]:
    """What the templates of a launch name."""
    named = (serve.openai.model,) if serve.openai else ()
    texts = (*serve.command, *serve.environment.values(), *serve.files.values(), *named)
    return frozenset().union(*map(names, texts))


def _full(base: Path, path: str) -> Path:
    return Path(os.path.normpath((base / path).absolute()))


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
    file = source.space_file
    folder = None if str(file) in built_in() else file.parent
    given = given_model(source.name or "")
    return CommandModel(Path(given or file.stem).name, source.serve, folder, given=given)


def given_model(name: str) -> str:
    """What templates get of `--model`: a path in full where one is there, or the name itself."""
    return str(Path(name).absolute()) if name and Path(name).exists() else name


def names_model(serve: ServeSpec) -> bool:
    """Whether a template has what `--model` says."""
    return MODEL in _named(serve)


def template_values(space: SearchSpace, configuration: Configuration) -> dict[str, Value | None]:
    """What templates may name; None for what the configuration does not have."""
    return {name: configuration.get(p.name) for p, name in space.names_of("template")}


def _bodies(request: RequestSpec, folder: Path) -> Iterator[bytes]:
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

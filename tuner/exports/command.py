"""A server of one's own: what its space file says, which must still be there."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from runners.base import LaunchSpec
from tuner.errors import InputError, hides
from tuner.exports.deployable import Deployable
from tuner.exports.service import Mount, Probes, Service, TextFile
from tuner.records import StudyRecord
from tuner.space import spec
from tuner.space.serve import ServeSpec
from tuner.targets.command.model import filled, given_model, names_model

# The port of requests; further ones come after it.
_FIRST_PORT = 8080
# Where a server can write, whatever starts it.
_SCRATCH = "/tmp"  # noqa: S108 - of the server


def image(study: StudyRecord) -> tuple[str, str]:
    """The one that the space file names; empty if it names none.

    Raises:
        InputError: The space file is not here, or cannot be used.
    """
    serve, _ = serve_of(study.options)
    return serve.image, ""


def serve_of(options: Mapping[str, object]) -> tuple[ServeSpec, Path | None]:
    """How the space file of a study starts its server, and its folder; None of a built-in one.

    Raises:
        InputError: The file is not here, or cannot be used.
    """
    said = str(options.get("space", ""))
    file = spec.built_in().get(said, Path(said))
    if not file.is_file():
        raise InputError(
            f"{file}: the space file of the study says how its server is started, and is not here",
            hint="put it there, or take the script of `--format file`",
        )
    serve = spec.load_space(file).serve
    if serve is None:
        raise InputError(
            f"{file}: the space file of the study says no more how its server is started",
            hint="give it its section `serve` again, or take the script of `--format file`",
        )
    return serve, None if said in spec.built_in() else file.absolute().parent


def service(wanted: Deployable) -> Service:
    """Starts what the space file says; files and folders are where they were.

    Raises:
        InputError: The space file is not here, or cannot be used.
    """
    space, configuration = wanted.study.space, wanted.trial.configuration
    serve, folder = serve_of(wanted.study.options)
    if space is None:
        raise InputError(f"study `{wanted.study.name}` has no stored space")
    model = given_model(str(wanted.study.options.get("model", "")))
    said = filled(serve, space, configuration, model=model)
    ports = {name: _FIRST_PORT + number for number, name in enumerate(said.ports)}
    environment = {**said.environment, **wanted.environment}
    with _usable(wanted.study):
        launch = LaunchSpec(
            command=(*said.command, *wanted.settings.arguments),
            environment=environment,
            ports=said.ports,
            files=said.files,
        )
    placed = _scratched(launch).placed(
        ports, address=wanted.layout.address, folder=wanted.layout.files
    )
    secrets = tuple(n for n, v in serve.environment.items() if _is_hidden(n, v, environment))
    directory = os.path.normpath(folder / serve.directory) if folder else ""
    common = wanted.common(
        f"{wanted.study.options['space']} says how it is started, as it is now."
    )
    common["start_timeout_s"] = max(common["start_timeout_s"], serve.start_timeout_s)
    return Service(
        command=placed.command,
        environment={n: v for n, v in placed.environment.items() if n not in secrets},
        secrets=secrets,
        mounts=tuple(_mounts(wanted, serve, folder, model=model, directory=directory)),
        files=tuple(
            TextFile(name, text, f"{wanted.layout.files}/{name}")
            for name, text in placed.files.items()
        ),
        ports=ports,
        probes=Probes(serve.ready, serve.ready),
        resources=wanted.resources(shares_memory=False),
        directory=directory,
        **common,
    )


def _mounts(
    wanted: Deployable, serve: ServeSpec, folder: Path | None, *, model: str, directory: str
) -> Iterator[Mount]:
    """What a container needs of the machine, and what outlives a start, wherever that is."""
    base = folder or Path()
    kept = dict.fromkeys((os.path.normpath(base / each) for each in serve.keeps), True)
    if not wanted.image:
        yield from (Mount(path, path, writable=True) for path in kept)
        return
    named = [model] if names_model(serve) and Path(model).is_absolute() else []
    reads = [os.path.normpath(base / each) for each in (*serve.reads, *named)]
    if directory:
        reads = [directory, *(r for r in reads if not Path(r).is_relative_to(directory))]
    for path, writable in (dict.fromkeys(reads, False) | kept).items():
        yield Mount(path, path, writable)
    yield from wanted.mounts


def _scratched(launch: LaunchSpec) -> LaunchSpec:
    """What a server writes into `{folder}`, elsewhere: a study gives it one, with its files in it.

    What comes with a service is read-only.
    """
    its = "|".join(map(re.escape, launch.files))
    others = rf"\{{folder\}}(?=/(?!(?:{its})(?![\w.-]))[\w.])" if its else r"\{folder\}"

    def moved(text: str) -> str:
        return re.sub(others, _SCRATCH, text)

    return replace(
        launch,
        command=tuple(map(moved, launch.command)),
        environment={name: moved(text) for name, text in launch.environment.items()},
        files={name: moved(text) for name, text in launch.files.items()},
    )


@contextmanager
def _usable(study: StudyRecord) -> Iterator[None]:
    """A space file may have become one that starts nothing."""
    try:
        yield
    except ValueError as error:
        raise InputError(
            f"{study.options['space']}: this configuration cannot be started: {error}",
            hint="take the script of `--format file`",
        ) from None


def _is_hidden(name: str, text: str, environment: Mapping[str, str]) -> bool:
    """Whether the file itself gives a secret its value: no export shows that."""
    return hides(name, text) and environment[name] == text

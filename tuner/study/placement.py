"""Where the servers of a job run: on this machine, in containers, or on a remote server."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from runners import environment
from runners.base import Runner
from runners.docker import ContainerSettings, DockerRunner
from runners.interrupts import interrupts_deferred
from runners.ports import choose_free_ports
from runners.process import ProcessRunner
from runners.remote import RemoteRunner
from tuner.errors import InputError, ServerError, TunerError
from tuner.records import StudyRecord
from tuner.space.serve import ServeSpec
from tuner.space.space import SearchSpace
from tuner.targets.base import StagedTarget
from tuner.targets.catalog import ServerKind


@dataclass(frozen=True)
class RemoteAddress:
    """Where a remote server takes requests; `ports` are further ones, by name."""

    host: str
    port: int
    ports: Mapping[str, int] = field(default_factory=dict)


PortChoice = Callable[[tuple[str, ...]], Mapping[str, int]]
"""Numbers for the ports of these names, at each start."""

Place = ContainerSettings | RemoteAddress | None
"""None is this machine, as processes."""


def gpu_limit(place: Place) -> int | None:
    """How many GPUs a server there may use; None is all that there are."""
    if not isinstance(place, ContainerSettings) or place.gpus == "all":
        return None
    return len(place.gpus.split(",")) if place.gpus else 0


def with_image(place: Place, serve: ServeSpec | None) -> Place:
    """The place with the image that the space file names, where no other was given.

    Raises:
        InputError: There is none at all.
    """
    if not isinstance(place, ContainerSettings) or place.image:
        return place
    image = serve.image if serve else ""
    if not image:
        raise InputError(
            "`--runner docker` needs an image",
            hint="name one that holds the server: `--image NAME`",
        )
    return replace(place, image=image)


@contextmanager
def runner(
    place: Place,
    kind: ServerKind[Any],
    logs: Path,
    *,
    grpc: bool = False,
    choose_ports: PortChoice = choose_free_ports,
) -> Iterator[Runner]:
    """The runner of the study's servers, which is gone afterwards; `grpc` is what requests speak.

    Raises:
        RunnerError: The Docker engine or the image is not there.
    """
    match place:
        case None:
            yield ProcessRunner(log_directory=logs, choose_ports=choose_ports)
        case ContainerSettings():
            with DockerRunner(place, choose_ports=choose_ports) as containers:
                yield containers
        case RemoteAddress():
            yield remote(place, kind, grpc=grpc)


def remote(address: RemoteAddress, kind: ServerKind[Any], *, grpc: bool = False) -> RemoteRunner:
    """The runner of a server that already runs.

    Raises:
        InputError: Servers of this kind cannot be changed while they run.
    """
    if not kind.remote_ports:
        raise InputError(
            f"a server of the kind `{kind.name}` cannot be changed while it runs",
            hint="leave out `--runner remote`: the tuner starts it itself",
        )
    further = {"grpc": kind.grpc_port} if kind.grpc_port else {}
    known = {**kind.remote_ports, **further}
    if unknown := address.ports.keys() - known.keys():
        raise InputError(
            f"`--port {min(unknown)}=...` means nothing to {kind.name}",
            hint="it has " + ", ".join(f"`{name}`" for name in known),
        )
    usual = known if grpc else kind.remote_ports
    own = {next(iter(kind.remote_ports)): address.port}
    return RemoteRunner(address.host, {**usual, **own, **address.ports})


def check_ports(address: RemoteAddress, *, grpc: bool) -> None:
    """That no port for gRPC was named where requests do not speak it.

    Raises:
        InputError: One was.
    """
    if "grpc" in address.ports and not grpc:
        raise InputError(
            "`--port grpc=...` means nothing to requests over HTTP",
            hint="leave it out, or give `--protocol grpc`",
        )


@contextmanager
def restored(target: StagedTarget, runner: Runner, say: Callable[[str], None]) -> Iterator[None]:
    """Afterwards, a remote server has what it had before, even after Ctrl-C.

    Raises:
        ServerError: It does not take it back; the block itself went well.
    """
    try:
        yield
    except BaseException:
        if error := _restore(target, runner, say):
            say(f"error: {error}")
        raise
    if error := _restore(target, runner, say):
        raise ServerError(
            error, hint="the baseline of the study has those settings: `tuner studies show`"
        )


def _restore(target: StagedTarget, runner: Runner, say: Callable[[str], None]) -> str:
    """Put it back; why that failed, or nothing."""
    if not isinstance(runner, RemoteRunner):
        return ""
    with interrupts_deferred():
        try:
            target.restore(runner.server)
        except TunerError as error:
            return f"the server's own settings could not be put back: {error}"
    say("the server has its own settings again")
    return ""


def notes(place: Place, kind: ServerKind[Any]) -> Iterator[str]:
    """What is to be known of the study's servers before they are started, in sentences."""
    if kind.experimental:
        yield f"{kind.name} is experimental: the tuner was never run on a real one"
    published = isinstance(place, ContainerSettings) and place.network != "host"
    if kind.open_to_all and not published:
        yield (
            f"{kind.name} listens on all interfaces of this machine while the study runs; in a "
            "container (`--runner docker`, without `--network host`) it does not"
        )


def withheld(place: Place, space: SearchSpace) -> list[str]:
    """The person's environment variables that servers do not get, as parameters set them.

    Where servers are no processes of this machine, they get none anyway.
    """
    return environment.taken_out(space.variables) if place is None else []


def reloadable(space: SearchSpace) -> SearchSpace:
    """What a server that runs can change.

    Raises:
        InputError: That is nothing.
    """
    fixed = {p.name for p in space.parameters if not p.reload}
    left = space.without(fixed)
    if not left.parameters:
        raise InputError(
            "no parameter of the space can be changed while the server runs",
            hint="leave out `--runner remote`: the tuner starts the server itself",
        )
    return left


def recorded(study: StudyRecord, place: Place, runner: Runner | None = None) -> StudyRecord:
    """The study with where its servers run, and what image they have, if the runner knows it."""
    image: dict[str, str] = {}
    if isinstance(runner, DockerRunner):
        image = {"image": runner.image.name, "image_digest": runner.image.digest}
    return replace(study, place=_document(place), environment={**study.environment, **image})


def _document(place: Place) -> dict[str, Any]:
    """`place` as JSON values; the image is known by its digest."""
    if place is None:
        return {"runner": "process"}
    kind = "docker" if isinstance(place, ContainerSettings) else "remote"
    facts = {name: _plain(value) for name, value in asdict(place).items()}
    return {"runner": kind} | {n: v for n, v in facts.items() if n not in ("image", "pull")}


def _plain(value: Any) -> Any:
    return [str(each) for each in value] if isinstance(value, tuple) else value

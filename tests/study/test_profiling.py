"""Profilers of servers: what turns them on, and where their traces lie."""

from dataclasses import replace
from pathlib import Path

import pytest

from runners.base import LaunchSpec
from runners.docker import ContainerSettings
from tests.refusals import refused
from tuner.goals import LatencyBudget
from tuner.study import profiling
from tuner.study.job import Job, PreparedJob, prepare
from tuner.targets.catalog import server_kind

SPEC = LaunchSpec(command=("server", "--flag"), environment={"A": "1"}, stop_grace_s=0.0)


def prepared(server: str, place: ContainerSettings | None = None) -> PreparedJob:
    """A job of the bundled model, as if it were of another server."""
    found = prepare(Job(budget=LatencyBudget(99, 0.05)))
    return replace(found, kind=server_kind(server), job=replace(found.job, place=place))


def test_triton(tmp_path: Path) -> None:
    """Every request is traced, and it gets the time to write that when it ends."""
    profile = profiling.profile(prepared("triton"), tmp_path / "traces")
    launched = profile.applied(SPEC)

    file = tmp_path / "traces" / "trace.json"
    assert launched.command == (
        *("server", "--flag", f"--trace-config=triton,file={file}"),
        *("--trace-config=level=TIMESTAMPS", "--trace-config=rate=1"),
    )
    assert launched.stop_grace_s > 2
    assert (profile.writes, str(file) in profile.where) == ((file.parent,), True)


CONTAINER = ContainerSettings(image="server:1")


@pytest.mark.parametrize(("place", "is_open"), [(None, False), (CONTAINER, True)])
def test_who_may_write(
    tmp_path: Path,
    place: ContainerSettings | None,
    is_open: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Whoever a container's server is; as in /tmp, none takes away what is another's."""
    profiling.profile(prepared("triton", place), tmp_path / "traces")

    assert ((tmp_path / "traces").stat().st_mode & 0o1777 == 0o1777) == is_open


def test_torchserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its handlers write where they please; a container has that folder from the machine."""
    monkeypatch.setattr(profiling, "_TORCH_FOLDER", tmp_path)
    profile = profiling.profile(prepared("torchserve"), Path("elsewhere"))

    assert profile.applied(SPEC).environment == {"A": "1", "ENABLE_TORCH_PROFILER": "TRUE"}
    assert profile.writes == (tmp_path,)


def test_py_spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts the server, and is interrupted before that is ended."""
    program = tmp_path / "py-spy"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    profile = profiling.profile(prepared("command"), tmp_path)

    assert profile.interrupted
    assert profile.applied(SPEC).command == (
        *(str(program), "record", "--subprocesses", "--output", f"{tmp_path}/profile.svg"),
        *("--", "server", "--flag"),
    )


def test_py_spy_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said how to get it."""
    monkeypatch.setenv("PATH", "/nowhere")
    with refused(
        "`--profile` of a server of your own needs py-spy, which is not on PATH",
        "pip install py-spy",
    ):
        profiling.profile(prepared("command"), Path("traces"))


def test_servers_without_one() -> None:
    """They are refused before anything starts."""
    with refused(
        "`--profile` means nothing to tensorflow_serving: its profiler is asked for over gRPC",
        "leave it out; TensorBoard's profile plugin asks for it",
    ):
        profiling.profile(prepared("tensorflow_serving"), Path("traces"))
    with refused(
        "`--profile` means nothing to a server of your own in a container",
        "leave it out, or let its command start with `py-spy record` in its image",
    ):
        place = ContainerSettings(image="mine")
        profiling.profile(prepared("command", place=place), Path("traces"))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """It is named."""
    (tmp_path / "file").write_text("")
    with refused(f"{tmp_path}/file/traces: cannot be written: Not a directory"):
        profiling.profile(prepared("triton"), tmp_path / "file" / "traces")

"""Profilers of servers: how each is turned on, and where its trace lies.

Sources: Triton's trace.md; TorchServe's ts/torch_handler/base_handler.py; the README of py-spy.
"""

import os
import shutil
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep

from runners.base import LaunchSpec, RunningServer
from tuner.errors import InputError
from tuner.study.job import PreparedJob

# Where TorchServe's own handler writes, wherever TMPDIR leads.
_TORCH_FOLDER = Path("/tmp/pytorch_profiler")  # noqa: S108 - named by the server
_PY_SPY = "py-spy"
# A server writes its trace when it ends; it gets at least this long for that, in seconds.
_GRACE_S = 15.0
_POLL_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What turns a profiler on.

    Attributes:
        where: Where the trace lies, and when, in a sentence.
        writes: Folders that the server must be able to write to.
        before: What comes before its command.
        after: What comes after it.
        environment: Variables that it gets.
        interrupted: Whether it writes once it is interrupted, before it is ended.
    """

    where: str
    writes: tuple[Path, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    interrupted: bool = False

    def applied(self, spec: LaunchSpec) -> LaunchSpec:
        """`spec` with the profiler on."""
        return replace(
            spec,
            command=(*self.before, *spec.command, *self.after),
            environment={**spec.environment, **dict(self.environment)},
            stop_grace_s=max(spec.stop_grace_s, _GRACE_S),
        )

    def ended(self, server: RunningServer) -> None:
        """Let the profiler write before the server is ended."""
        if not self.interrupted or not server.is_alive():
            return
        os.kill(server.pid, signal.SIGINT)
        deadline = monotonic() + _GRACE_S
        while server.is_alive() and monotonic() < deadline:
            sleep(_POLL_S)


def profile(prepared: PreparedJob, folder: Path) -> Profile:
    """That of the server of a job; `folder` gets the trace, where it can be said.

    Raises:
        InputError: There is none, or it is not installed.
    """
    match prepared.kind.name:
        case "triton":
            return _of_triton(_made(folder, prepared) / "trace.json")
        case "torchserve":
            return _of_torchserve(_made(_TORCH_FOLDER, prepared), prepared.model.name)
        case "command":
            return _of_python(prepared, folder)
        case name:
            raise InputError(
                f"`--profile` means nothing to {name}: its profiler is asked for over gRPC",
                hint="leave it out; TensorBoard's profile plugin asks for it",
            )


def _of_triton(file: Path) -> Profile:
    said = (f"triton,file={file}", "level=TIMESTAMPS", "rate=1")
    return Profile(
        where=f"trace: {file} (Triton writes it when it ends)",
        writes=(file.parent,),
        after=tuple(f"--trace-config={each}" for each in said),
    )


def _of_torchserve(folder: Path, model: str) -> Profile:
    return Profile(
        where=f"traces: {folder}/{model} (TorchServe's own handlers write one for each batch)",
        writes=(folder,),
        environment=(("ENABLE_TORCH_PROFILER", "TRUE"),),
    )


def _of_python(prepared: PreparedJob, folder: Path) -> Profile:
    if prepared.job.is_elsewhere:
        raise InputError(
            "`--profile` means nothing to a server of your own in a container",
            hint="leave it out, or let its command start with `py-spy record` in its image",
        )
    program = shutil.which(_PY_SPY)
    if program is None:
        raise InputError(
            "`--profile` of a server of your own needs py-spy, which is not on PATH",
            hint="pip install py-spy",
        )
    file = _made(folder, prepared) / "profile.svg"
    options = ("record", "--subprocesses", "--output", str(file), "--")
    return Profile(
        where=f"profile: {file} (py-spy writes it when the server ends)",
        writes=(folder,),
        before=(program, *options),
        interrupted=True,
    )


def _made(folder: Path, prepared: PreparedJob) -> Path:
    """The folder; a server in a container may write to it as whoever it is.

    Raises:
        InputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if prepared.job.is_elsewhere:
            folder.chmod(0o1777)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    return folder

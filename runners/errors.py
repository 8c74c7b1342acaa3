"""Everything a runner raises.

RunnerError
├── CommandNotFound    there is no such program, or it cannot be executed
├── LaunchRefused      the system does not start the program the way it was asked to
├── StartFailed        the server exited before it listened
├── StartTimeout       the server did not listen in time
├── PortTaken          another process took the chosen port, again and again
├── EngineUnreachable  the Docker engine does not answer
├── ImageMissing       the engine has no such image, or could not pull it
└── StopFailed         a process of the server cannot be ended
"""
# ruff: noqa: N818 - each name says what went wrong; "Error" would only repeat the parent.

import signal
from collections.abc import Iterable


class RunnerError(Exception):
    """The parent of them all: `hint` is what to do next, `log_tail` what the server said last."""

    def __init__(self, message: str, *, hint: str = "", log_tail: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.log_tail = log_tail


class CommandNotFound(RunnerError):
    def __init__(self, *, command: str, reason: str) -> None:
        super().__init__(
            f"`{command}` must be an executable program, but the system says: {reason}",
            hint="install it, write its full path, or put its folder on `PATH`",
        )


class LaunchRefused(RunnerError):
    def __init__(self, *, command: str, reason: str, hint: str = "") -> None:
        super().__init__(
            f"`{command}` must be startable as described, but the system says: {reason}",
            hint=hint
            or "check the working directory, the processors and the limits of this machine",
        )


class StartFailed(RunnerError):
    """`complaint` is what it said of its command line, if that was the reason."""

    def __init__(
        self,
        *,
        command: str,
        exit_code: int,
        complaint: str = "",
        log_tail: str = "",
        log_location: str = "",
    ) -> None:
        super().__init__(
            f"the server must listen and stay, but `{command}` {describe_exit(exit_code)}"
            f" before it listened{f': {complaint}' if complaint else ''}",
            hint=_read_the_log(log_location),
            log_tail=log_tail,
        )
        self.exit_code = exit_code


class StartTimeout(RunnerError):
    def __init__(
        self,
        *,
        command: str,
        timeout_s: float,
        ports: Iterable[str],
        log_tail: str = "",
        log_location: str = "",
    ) -> None:
        names = ", ".join(f"`{name}`" for name in ports)
        super().__init__(
            f"the server must listen within {timeout_s:g} s, but `{command}` did not on {names}",
            hint=f"raise `start_timeout_s`, or {_read_the_log(log_location)}",
            log_tail=log_tail,
        )


class PortTaken(RunnerError):
    def __init__(self, *, ports: Iterable[int], attempts: int, log_tail: str = "") -> None:
        self.ports = tuple(ports)
        numbers = ", ".join(str(port) for port in self.ports)
        super().__init__(
            f"a chosen port must stay free until the server listens on it, but {numbers} was"
            f" taken by another process, the last of {attempts} attempts",
            hint=f"see who holds it: `ss -tnap 'sport = :{self.ports[0]}'`",
            log_tail=log_tail,
        )


class EngineUnreachable(RunnerError):
    def __init__(self, *, reason: str) -> None:
        super().__init__(
            f"a Docker engine on this machine must answer, but: {reason}",
            hint="start it (`systemctl start docker`), name its socket in DOCKER_HOST, or join the"
            " group `docker`; without Docker: `--runner process`",
        )


class ImageMissing(RunnerError):
    def __init__(self, *, image: str, reason: str, pull: bool) -> None:
        super().__init__(
            f"the Docker engine must have the image `{image}`, but it says: {reason}",
            hint="check the image's name and that you may pull it: `docker login`"
            if pull
            else f"pull it with `--pull`, or by `docker pull {image}`",
        )


class StopFailed(RunnerError):
    def __init__(self, *, pid: int, waited_s: float) -> None:
        super().__init__(
            f"the server must be gone {waited_s:g} s after it was stopped, but process {pid} or a"
            " descendant of it is still there",
            hint="it may be stuck in a driver or on a disk: see `ps -eo pid,ppid,stat,wchan,args`",
        )


def describe_exit(exit_code: int) -> str:
    """How a process ended, as the predicate of a sentence."""
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was ended by signal {-exit_code}"


def _read_the_log(log_location: str) -> str:
    return f"read the end of its log: {log_location}" if log_location else "read its log"

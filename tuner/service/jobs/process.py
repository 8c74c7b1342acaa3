"""The process of a job: `tuner` in a session of its own, which outlives the service."""

import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from runners.process_names import is_gone, is_of_another_start, name_of
from tuner.errors import TunerError

_TUNER = (sys.executable, "-P", "-m", "tuner")
# Tells the process that it is in the background, and where its output goes.
_LOG_VARIABLE = "TUNER_DETACHED_LOG"
# Of the service and its clients: a job that had the first would ask the service again.
_NOT_OF_JOBS = ("TUNER_SERVICE", "TUNER_SERVICE_TOKEN")
# Each process begins its output with it: what stands above is of another one.
_BEGINS = "-- begun "
# The end of a log, in bytes: more than an error ever takes.
_TAIL = 1 << 14
# Of an error, so many characters are told.
_LONGEST_ERROR = 2000


def started(words: list[str], log: Path, environment: Mapping[str, str] = os.environ) -> int:
    """The number of a new process that runs `tuner` with these words, its output added to `log`.

    Raises:
        TunerError: The log cannot be written, or no process be started.
    """
    inherited = {name: each for name, each in environment.items() if name not in _NOT_OF_JOBS}
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab", buffering=0) as output:
            output.write(f"{_BEGINS}{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode())
            return os.posix_spawn(
                _TUNER[0],
                [*_TUNER, *words],
                {**inherited, _LOG_VARIABLE: str(log)},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ],
                setsid=True,  # what ends the service by its terminal or its group, leaves it alone
                setsigdef=[signal.SIGPIPE],  # which Python ignores
            )
    except OSError as error:
        raise TunerError(
            f"its process cannot be started: {error.strerror}: {error.filename or log}",
            hint="look at the folder of the service and at the space on its disk",
        ) from None


def is_reaped(pid: int) -> bool:
    """Whether that child has ended; it does not stay a zombie then."""
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True


def found(log: Path) -> str:
    """The name of the process that was started with this log, and runs; empty if there is none."""
    said = f"{_LOG_VARIABLE}={log}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        pid = int(environment.parent.name)
        try:
            if said in environment.read_bytes().split(b"\0") and os.getsid(pid) == pid:
                return name_of(pid)
        except OSError:  # somebody else's, or it has ended
            continue
    return ""


def is_over(name: str) -> bool:
    """Whether the process called so, which a service of this folder has started, is no more."""
    return is_gone(name) or is_of_another_start(name)


def terminate(name: str) -> None:
    """Ask the process called so to end, as Ctrl-C would; never another one that got its number."""
    pid = int(name.split("/")[1])
    try:
        this = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if name_of(pid) == name:
            signal.pidfd_send_signal(this, signal.SIGTERM)
    except ProcessLookupError:
        return
    finally:
        os.close(this)


def last_error(log: Path) -> str:
    """The error that the process ended with, and its hint, by the end of its log; else empty."""
    try:
        with log.open("rb") as content:
            content.seek(max(0, log.stat().st_size - _TAIL))
            tail = content.read().decode(errors="replace")
    except OSError:
        return ""
    own = f"\n{tail}".rpartition(f"\n{_BEGINS}")[2]
    _, is_there, error = f"\n{own}".rpartition("\nerror: ")
    return error.strip()[:_LONGEST_ERROR] if is_there else ""

"""Stands between the tuner and one server, so that the server never outlives the tuner.

Run as a program of its own, it reads its orders as one line of JSON from standard input, starts
the server and reports in lines of JSON on standard output. It stops the server on SIGTERM and
kills it when the tuner is gone. It ends, with status 0, once no descendant is left.
"""

import ctypes
import errno
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Literal, NamedTuple, TypedDict

# prctl(2).
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Seconds between two looks: during the grace, and after each killing, where they grow.
_GRACE_POLL_S = 0.02
_FIRST_KILL_PAUSE_S = 0.002
_LONGEST_KILL_PAUSE_S = 0.5
_NOT_EXECUTABLE = frozenset(
    {errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
)
_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded before any fork


class Orders(TypedDict):
    """What the tuner tells the guardian."""

    tuner_pid: int
    command: list[str]
    environment: dict[str, str]
    working_directory: str | None
    cpus: list[int] | None
    stop_grace_s: float
    leftovers: list[str]


class Report(TypedDict):
    """What the guardian tells the tuner; `number` is a pid, an exit code or an errno."""

    kind: Literal["started", "exited", "not executable", "refused"]
    number: int
    text: str


class ProcessState(NamedTuple):
    """One line of /proc."""

    pid: int
    state: str
    parent: int
    group: int


class Watch:
    """What the guardian hears: the signals sent to it and the tuner's death."""

    def __init__(self, *, lifeline: int, signals: int, tuner_pid: int) -> None:
        self.stop_asked = False
        self.orphaned = os.getppid() != tuner_pid
        self._lifeline = lifeline
        self._signals = signals
        self._poll = select.poll()
        self._poll.register(lifeline, select.POLLIN)
        self._poll.register(signals, select.POLLIN)
        # A forked child of the tuner may hold the lifeline open after the tuner's death; where
        # the kernel has no pidfd the lifeline alone has to do.
        with suppress(OSError):
            self._poll.register(os.pidfd_open(tuner_pid), select.POLLIN)

    def hear(self, timeout_s: float | None) -> None:
        for descriptor, _event in self._poll.poll(None if timeout_s is None else timeout_s * 1000):
            if descriptor == self._signals:
                self.stop_asked |= signal.SIGTERM in os.read(descriptor, 512)
            elif descriptor != self._lifeline or _is_closed(descriptor):
                self.orphaned = True


def main() -> None:
    signals = _take_signals()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # the tuner died before it could finish the sentence
        return
    orders: Orders = json.loads(line)
    watch = Watch(lifeline=0, signals=signals, tuner_pid=orders["tuner_pid"])
    if watch.orphaned:
        return
    try:
        server = launch(orders)
    except OSError as error:
        _send(_explain(error, directory=orders["working_directory"]))
        return
    guard(server, watch, grace_s=orders["stop_grace_s"])
    remove_leftovers(orders["leftovers"])


def launch(orders: Orders) -> subprocess.Popen[bytes]:
    with _pinned(orders["cpus"]):
        return subprocess.Popen(
            orders["command"],
            env=orders["environment"],
            cwd=orders["working_directory"],
            stdin=subprocess.DEVNULL,
            stdout=2,  # the guardian's own standard error is the server's log
            start_new_session=True,
            preexec_fn=partial(_die_with, os.getpid()),  # noqa: PLW1509 - there is one thread here
        )


def guard(server: subprocess.Popen[bytes], watch: Watch, *, grace_s: float) -> None:
    """Return once the server and every descendant is gone, whatever the reason."""
    _send({"kind": "started", "number": server.pid, "text": ""})
    while not (_has_exited(server) or watch.stop_asked or watch.orphaned):
        watch.hear(None)
    if watch.stop_asked and not watch.orphaned:
        _stop_kindly(server, watch, grace_s=grace_s)
    _kill_descendants(server)


def remove_leftovers(patterns: Iterable[str]) -> None:
    for pattern in patterns:
        for path in list(Path("/").glob(pattern.lstrip("/"))):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


def processes() -> Iterator[ProcessState]:
    """Every process of the machine that this one can see."""
    for entry in os.listdir("/proc"):  # noqa: PTH208 - only the names are needed
        if not entry.isdigit():
            continue
        try:
            line = Path(f"/proc/{entry}/stat").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        # The name in parentheses may itself hold blanks and parentheses.
        state, parent, group = line[line.rindex(b")") + 1 :].split(maxsplit=3)[:3]
        yield ProcessState(int(entry), state.decode(), int(parent), int(group))


def descendants(ancestor: int) -> list[int]:
    """Every process below the ancestor, which is not among them."""
    parents = {process.pid: process.parent for process in processes()}
    found: list[int] = []
    generation = {ancestor}
    while generation := {pid for pid, parent in parents.items() if parent in generation}:
        found.extend(generation)
    return found


def _take_signals() -> int:
    """Turn signals into bytes on a pipe; a handler, unlike SIG_IGN, is not inherited by exec."""

    def nothing(_number: int, _frame: FrameType | None) -> None:
        pass

    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, nothing)
    return readable


@contextmanager
def _pinned(cpus: list[int] | None) -> Iterator[None]:
    """Pin the guardian for the moment of the fork, so that the server is born pinned."""
    own = os.sched_getaffinity(0)
    try:
        if cpus is not None:
            with suppress(OSError):
                os.sched_setaffinity(0, cpus)
            # The kernel silently drops the processors that are not there.
            if os.sched_getaffinity(0) != set(cpus):
                raise OSError(errno.EINVAL, f"not all of the processors {cpus} can be used")
        yield
    finally:
        os.sched_setaffinity(0, own)


def _die_with(guardian_pid: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian_pid:  # it died before the kernel knew about the wish
        os.kill(os.getpid(), signal.SIGKILL)


def _has_exited(server: subprocess.Popen[bytes]) -> bool:
    """Look without reaping the server: its pid, hence its group's number, stays reserved."""
    look = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while (ended := os.waitid(os.P_ALL, 0, look)) is not None:
        if ended.si_pid == server.pid:
            return True
        os.waitpid(ended.si_pid, os.WNOHANG)  # an orphan that was handed to the guardian
    return False


def _stop_kindly(server: subprocess.Popen[bytes], watch: Watch, *, grace_s: float) -> None:
    _signal_group(server, signal.SIGTERM)
    deadline = time.perf_counter() + grace_s
    while not watch.orphaned and time.perf_counter() < deadline:
        if _has_exited(server) and not _group_is_alive(server.pid):
            return
        watch.hear(_GRACE_POLL_S)


def _signal_group(server: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(OSError):  # a group that changed its user does not listen
        os.killpg(server.pid, number)


def _group_is_alive(group: int) -> bool:
    return any(process.group == group and process.state not in "ZX" for process in processes())


def _kill_descendants(server: subprocess.Popen[bytes]) -> None:
    """Kill the own children until there are none; each one killed hands over its own.

    The pid of an own child cannot be given to a stranger before it is reaped here.
    """
    _signal_group(server, signal.SIGKILL)
    pause_s = _FIRST_KILL_PAUSE_S
    while children := [process.pid for process in processes() if process.parent == os.getpid()]:
        for pid in children:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        _reap(server)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_KILL_PAUSE_S)


def _reap(server: subprocess.Popen[bytes]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if ended[0] == server.pid:
                server.returncode = os.waitstatus_to_exitcode(ended[1])
                _send({"kind": "exited", "number": server.returncode, "text": ""})


def _is_closed(lifeline: int) -> bool:
    try:
        return os.read(lifeline, 512) == b""
    except OSError:
        return True


def _send(report: Report) -> None:
    with suppress(OSError):  # nobody listens any more; the work goes on
        os.write(1, json.dumps(report).encode() + b"\n")


def _explain(error: OSError, *, directory: str | None) -> Report:
    number, reason = error.errno or 0, error.strerror or str(error)
    if directory is not None and error.filename == directory:
        return {"kind": "refused", "number": number, "text": f"{reason}: `{directory}`"}
    kind: Literal["not executable", "refused"]
    kind = "not executable" if number in _NOT_EXECUTABLE else "refused"
    return {"kind": kind, "number": number, "text": reason}


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


if __name__ == "__main__":
    main()

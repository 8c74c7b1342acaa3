"""Another process that holds a database, as people and their tools do, until it is let go."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# How each kind of holder takes the database; `hold` returns when it is to be let go.
HOLDERS = {
    "exclusive": "connection.execute('BEGIN EXCLUSIVE'); hold()",
    "immediate": "connection.execute('BEGIN IMMEDIATE'); hold()",
    "read": "connection.execute('BEGIN');"
    "connection.execute('SELECT count(*) FROM sqlite_master').fetchall(); hold()",
    "backup": "copy = sqlite3.connect(sys.argv[1] + '.copy');"
    "connection.backup(copy, pages=1, progress=lambda *_: hold()); copy.close()",
}
_PROGRAM = """
import sqlite3, sys
held = False
def hold():
    global held
    if not held:
        held = True
        print("held", flush=True)
        sys.stdin.readline()
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
{}
connection.close()
print("let go", flush=True)
"""


class Holder:
    """A process that holds a database; `pid` is its number."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.pid = process.pid
        self.holds = True
        self._hears(b"held\n")

    def let_go(self) -> None:
        if self.holds:
            self.holds = False
            assert self._process.stdin is not None
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
            self._hears(b"let go\n")

    def _hears(self, line: bytes) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == line


@contextmanager
def held(path: Path, kind: str) -> Iterator[Holder]:
    """The database at `path` is held by another process, until that is told to let go."""
    command = [sys.executable, "-c", _PROGRAM.format(HOLDERS[kind]), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        holder = Holder(process)
        try:
            yield holder
        finally:
            holder.let_go()


class Pauses:
    """The pauses of whoever waits for a database: they take no time; `then` ends the third."""

    def __init__(self, then: Callable[[], object]) -> None:
        self.seconds: list[float] = []
        self._then = then

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) == 3:
            self._then()


def pausing(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> Pauses:
    pauses = Pauses(then)
    monkeypatch.setattr("tuner.store.waiting.sleep", pauses)
    return pauses

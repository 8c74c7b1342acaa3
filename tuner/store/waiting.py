"""Connections to SQLite that wait for whoever else holds the database.

SQLite can wait by itself (its busy time-out), but then Ctrl-C would have to wait, too. So each
statement is tried again here: one that found the database busy has done nothing.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic, sleep
from typing import Any, TypeVar

from tuner.errors import StorageError
from tuner.store.holders import holders

# A backup, or somebody who looks into the database, may take half a minute; nothing is said of it.
BUSY_S = 60.0
# Who is told that the database is not to be had waits this many times as long, and goes on: a
# search has more to lose than a command that can be repeated.
_TOLD_FACTOR = 10
# Seconds between the first two attempts; each pause is twice the one before it,
_FIRST_PAUSE_S = 0.01
# up to this one.
_LONGEST_PAUSE_S = 0.5
# The low byte of an error's code is its kind, the rest says more of it.
_KIND = 0xFF
# A race of two that open the database is lost (SQLITE_PROTOCOL); or somebody has locked it.
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)

_T = TypeVar("_T")
Passes = Callable[[Exception], Callable[[], StorageError] | None]
"""Of an error that may pass by itself: how it is said in words. None if it will not pass."""


@dataclass(frozen=True)
class Patience:
    """How long a database is waited for: `busy_s` and, where `say` is told so then, longer."""

    busy_s: float = BUSY_S
    say: Callable[[str], None] | None = None

    def attempt(self, action: Callable[[], _T], passes: Passes) -> _T:
        """What `action` returns, once nothing is in its way that `passes`.

        Raises:
            StorageError: Something was in its way for too long.
        """
        began_s = monotonic()
        limit_s = self.busy_s * (_TOLD_FACTOR if self.say else 1)
        pause_s = _FIRST_PAUSE_S
        told = False
        while True:
            try:
                result = action()
            except Exception as error:
                problem = passes(error)
                if problem is None:
                    raise
                waited_s = monotonic() - began_s
                if waited_s >= limit_s:
                    raise problem() from None
                if self.say and not told and waited_s >= self.busy_s:
                    told = True
                    self.say(_waiting_for(problem()))
            else:
                if self.say and told:
                    self.say("the database is written again, and nothing is lost")
                return result
            sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def connection_arguments(name: str, patience: Patience) -> dict[str, Any]:
    """What `sqlite3.connect` needs for a connection to the database called `name` that waits."""
    return {"factory": partial(_Connection, name=name, patience=patience), "timeout": 0.0}


def locked(name: str) -> StorageError:
    """The database called `name` is locked, and who may have done it."""
    seen = holders(name.removeprefix("file:"))
    cure = f"it is open in {seen}: wait for that, or end it" if seen else "wait for it, or end it"
    return StorageError(
        f"{name}: is locked by another process", hint=f"{cure}; or name another with `--db`"
    )


def has_kind(error: Exception, *kinds: int) -> bool:
    """Whether an error of SQLite is one of these."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _KIND in kinds


def _waiting_for(problem: StorageError) -> str:
    return (
        f"{problem.message}; what was measured is kept in memory until it can be written\n"
        f"hint: {problem.hint}"
    )


class _Connection(sqlite3.Connection):
    def __init__(self, *arguments: Any, name: str, patience: Patience, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._name = name
        self._patience = patience

    def cursor(self, *_: Any) -> "_Cursor":  # type: ignore[override]
        return super().cursor(_Cursor)

    def execute(self, *arguments: Any) -> "_Cursor":
        return self.cursor().execute(*arguments)

    def commit(self) -> None:
        self.when_free(super().commit)

    def when_free(self, action: Callable[[], _T]) -> _T:
        """What `action` returns, once nobody else holds the database."""
        within = self.in_transaction

        def passes(error: Exception) -> Callable[[], StorageError] | None:
            # What has also ended the transaction must not go on outside of it.
            held = has_kind(error, *_HELD) and self.in_transaction == within
            return partial(locked, self._name) if held else None

        return self._patience.attempt(action, passes)


class _Cursor(sqlite3.Cursor):
    connection: _Connection

    def execute(self, *arguments: Any) -> "_Cursor":
        return self.connection.when_free(partial(super().execute, *arguments))

    def executemany(self, *arguments: Any) -> "_Cursor":
        return self.connection.when_free(partial(super().executemany, *arguments))

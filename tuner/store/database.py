"""An SQL database: opened, brought up to date, and its faults put into words.

The half of the door to SQLAlchemy that knows connections; storage.py is the half that knows
studies.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from tuner.errors import HIDDEN, InputError, StorageError, masked
from tuner.store.schema import metadata

VERSION_TABLE = "tuner_migrations"
MIGRATIONS = Path(__file__).parent / "migrations"
# How long to wait for another process that writes, unless somebody says otherwise.
_BUSY_S = 5.0
_CREATE_HINT = "`tuner optimize --budget-ms 50` makes one; `--db` names another"


class Database:
    """A database for the length of a `with` block, its tables up to date.

    `location` is a path or an SQLAlchemy URL. Without `create`, a database that does not exist, or
    has no table of ours, is an error and stays as it is: that of somebody who asks for results
    where there are none. `busy_s` is how long to wait for another process that writes.
    """

    def __init__(self, location: str, *, create: bool = False, busy_s: float = _BUSY_S) -> None:
        self.url = location if "://" in location else f"sqlite:///{location}"
        self._create = create
        self._busy_s = busy_s

    def __enter__(self) -> Self:
        url = _parsed(self.url)
        self._name = display_name(self.url)
        sqlite = url.get_backend_name() == "sqlite"
        if sqlite:
            self._check_file(url.database or "")
        self._engine = _engine(url, {"timeout": self._busy_s} if sqlite else {})
        if sqlite:
            sa.event.listen(self._engine, "connect", _set_up)
            sa.event.listen(self._engine, "begin", _begin)
        try:
            self._bring_up_to_date()
        except BaseException:
            self._engine.dispose()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Everything that is written within, or nothing."""
        with (
            translated(self.url),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The database as it is at one moment.

        Raises:
            StorageError: It cannot be read, or what it holds makes no sense.
        """
        with translated(self.url), self._engine.connect() as connection:
            try:
                yield connection
            except (KeyError, TypeError, ValueError):
                raise _damaged(self._name) from None

    def _check_file(self, path: str) -> None:
        if path in ("", ":memory:"):
            raise InputError(
                "a database in memory would be lost when the command ends",
                hint="name a file: `--db studies.db`",
            )
        if not self._create and not _is_there(path):
            raise InputError(f"{path}: there is no such database", hint=_CREATE_HINT)

    def _bring_up_to_date(self) -> None:
        """Create the tables, or apply the migrations that are missing; else write nothing."""
        with translated(self.url), self._engine.connect() as connection:
            current = revision(connection)
        known = known_revisions()
        if current == known[-1]:
            return
        if current is None and not self._create:
            raise InputError(f"{self._name}: holds no studies", hint=_CREATE_HINT)
        if current is not None and current < known[0]:
            raise StorageError(
                f"{self._name}: was written before the first release (revision {current}), "
                f"and is read from revision {known[0]} on",
                hint="name another with `--db`",
            )
        if current is not None and current not in known:
            raise StorageError(
                f"{self._name}: was written by a newer version of tuner "
                f"(revision {current}, this one knows up to {known[-1]})",
                hint="upgrade: pip install --upgrade serving-tuner",
            )
        # Alembic is slow to import, and most databases are up to date.
        from tuner.store import migrate

        with self.transaction() as connection:
            # Asked again, now that nobody else writes: another process may have been faster.
            current = revision(connection)
            if current is None:
                metadata.create_all(connection, checkfirst=False)
                migrate.stamp(connection, MIGRATIONS)
            elif current != known[-1]:
                migrate.upgrade(connection, MIGRATIONS)


def known_revisions() -> list[str]:
    """Those of the migrations, in their order, by the names of their files."""
    return sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("m[0-9]*.py"))


def revision(connection: Connection) -> str | None:
    """The last migration that the database has had; None if it is none of ours."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    versions = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    return connection.scalar(sa.select(versions.c.version_num))


def display_name(url: str) -> str:
    """The database as a person knows it, without a password."""
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    return masked((parsed.database or url) if sqlite else str(parsed))


@contextmanager
def translated(url: str) -> Iterator[None]:
    """What goes wrong with the database at `url` is a StorageError."""
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        raise _storage_error(url, error) from None
    except UnicodeDecodeError:  # of sqlite3, which quotes what it cannot make sense of
        raise _damaged(display_name(url)) from None


def _storage_error(url: str, error: Exception) -> StorageError:
    name, reason = display_name(url), _without_secrets(url, str(getattr(error, "orig", error)))
    if isinstance(error, sa.exc.IntegrityError) and "unique" in reason.lower():
        return StorageError(
            f"{name}: another process changed the study at the same time",
            hint="let only one `tuner optimize` at a time work on a study",
        )
    known = {
        "readonly": ("is read-only", "make it writable, or name another with `--db`"),
        "locked": (
            "is locked by another process",
            "wait for it, or end it; or name another database with `--db`",
        ),
        "not a database": ("is not an SQLite database", "name another with `--db`"),
        "unable to open": ("cannot be opened", "check the folder and its permissions"),
        "disk is full": ("cannot grow: the disk is full", "make room, then continue the study"),
    }
    for sign, (what, cure) in known.items():
        if sign in reason:
            return StorageError(f"{name}: {what}", hint=cure)
    if any(sign in reason for sign in ("malformed", "decode to UTF-8", "no such column")):
        return _damaged(name)
    return StorageError(f"{name}: {reason}", hint="check the database and its permissions")


def _without_secrets(url: str, reason: str) -> str:
    """What a driver says, which may name who asked."""
    parsed = make_url(url)
    for secret in filter(None, (parsed.password, parsed.username)):
        reason = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, reason)
    return reason


def _damaged(name: str) -> StorageError:
    return StorageError(f"{name}: is damaged", hint="restore a copy, or name another with `--db`")


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise _no_url(url) from None


def _no_url(url: str) -> InputError:
    return InputError(
        f"`{url}` is not a database URL",
        hint="for example: studies.db, or postgresql+psycopg://host/name",
    )


def _engine(url: URL, arguments: dict[str, Any]) -> Engine:
    try:
        return sa.create_engine(url, connect_args=arguments)
    except sa.exc.NoSuchModuleError:
        raise InputError(
            f"`{url.drivername}` is not a database that is known",
            hint="for example: studies.db, or postgresql+psycopg://host/name",
        ) from None
    except ModuleNotFoundError as error:
        raise InputError(
            f"`{url.drivername}` needs the package {error.name}, which is not installed",
            hint=f"pip install {error.name}",
        ) from None
    except (sa.exc.ArgumentError, TypeError, ValueError):  # what the driver does not take
        raise _no_url(str(url)) from None


def _is_there(path: str) -> bool:
    try:
        return path.startswith("file:") or Path(path).exists()
    except OSError:
        return True  # SQLite will say what is wrong with it


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    # Python's own transactions leave out CREATE TABLE; `_begin` does it all.
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    # A transaction that reads first and wants to write later would not wait for another writer.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

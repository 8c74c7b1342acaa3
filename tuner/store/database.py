"""An SQL database: opened, brought up to date, and its faults put into words.

The half of the door to SQLAlchemy that knows connections; storage.py is the half that knows
studies.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from tuner.errors import InputError, StorageError
from tuner.store import journal
from tuner.store.faults import damaged, display_name, passing, translated
from tuner.store.schema import metadata
from tuner.store.waiting import BUSY_S, Patience, connection_arguments

VERSION_TABLE = "tuner_migrations"
MIGRATIONS = Path(__file__).parent / "migrations"
_CREATE_HINT = "`tuner optimize --budget-ms 50` makes one; `--db` names another"

_T = TypeVar("_T")
Guard = Callable[[Connection], None]
"""Looks at a transaction that writes, and raises an error if it must not."""


class Database:
    """A database for the length of a `with` block, its tables up to date.

    `location` is a path or an SQLAlchemy URL. Without `create`, a database that does not exist, or
    has no table of ours, is an error and stays as it is: that of somebody who asks for results
    where there are none. `busy_s` is how long to wait for others that hold it, and for room on a
    full disk. Where `say` is told of it then, the wait goes on: a search is not given up lightly.
    """

    def __init__(
        self,
        location: str,
        *,
        create: bool = False,
        busy_s: float = BUSY_S,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.url = location if "://" in location else f"sqlite:///{location}"
        self.patience = Patience(busy_s, say)
        self.guard: Guard | None = None
        self._file: tuple[int, int] | None = None
        self._create = create

    def __enter__(self) -> Self:
        url = _parsed(self.url)
        self._name = display_name(self.url)
        is_file = url.get_backend_name() == "sqlite"
        # Whoever names more than a path says how the file is to be opened.
        self._kept_path = url.database if is_file and self._create and not url.query else None
        if is_file:
            self._check_file(url.database or "")
            url = self._readable(url)
        arguments = connection_arguments(self._name, self.patience) if is_file else {}
        self._engine = _engine(url, arguments)
        if is_file:
            sa.event.listen(self._engine, "connect", _set_up)
            sa.event.listen(self._engine, "begin", _begin)
        try:
            if self._kept_path:
                self._check_whole()
            self._bring_up_to_date(url.database if is_file and not url.query else None)
            if self._kept_path:
                journal.write_ahead(self._kept_path)
                self._file = _file_of(self._kept_path)
        except BaseException:
            self._engine.dispose()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()
        if self._kept_path:
            journal.single_file(self._kept_path)

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` returns, after all that it writes in one transaction, or nothing, is kept.

        It is called again where it was in vain: while others hold the database, the disk is full,
        or its server is away. The `guard`, if there is one, is asked first.

        Raises:
            StorageError: That lasted too long, or something else is wrong.
        """

        def attempt() -> _T:
            self._check_there()
            with (
                self._engine.connect().execution_options(writes=True) as connection,
                connection.begin(),
            ):
                if self.guard is not None:
                    self.guard(connection)
                return work(connection)

        with translated(self.url):
            return self.patience.attempt(attempt, partial(passing, self.url))

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` returns of the database as it is at one moment; its server is waited for.

        Raises:
            StorageError: That lasted too long, or something else is wrong.
        """

        def attempt() -> _T:
            with self._engine.connect() as connection:
                return work(connection)

        with translated(self.url):
            return self.patience.attempt(attempt, partial(passing, self.url))

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
                raise damaged(self._name) from None

    def _readable(self, url: URL) -> URL:
        path = url.database or ""
        if self._create or url.query or not journal.lacks_log(path):
            return url
        return url.set(database=f"file:{quote(path)}", query={"immutable": "1", "uri": "true"})

    def _check_file(self, path: str) -> None:
        if path in ("", ":memory:"):
            raise InputError(
                "a database in memory would be lost when the command ends",
                hint="name a file: `--db studies.db`",
            )
        if not self._create and not _is_there(path):
            raise InputError(f"{path}: there is no such database", hint=_CREATE_HINT)

    def backup(self, target: Path) -> None:
        """Copy all of it to a new file, while others go on writing.

        Raises:
            InputError: There is such a file, or it is no SQLite database.
            StorageError: It cannot be written.
        """
        url = make_url(self.url)
        if url.get_backend_name() != "sqlite":
            raise InputError(
                f"{self._name}: only SQLite databases are copied", hint="use its own: `pg_dump`"
            )
        if target.exists() or not _copied(url.database or "", target):
            raise InputError(f"{target}: exists already", hint="name a new file")

    def _check_revision(self, current: str | None, known: Sequence[str]) -> None:
        """Whether the database can be brought up to date.

        Raises:
            InputError: It holds no studies.
            StorageError: It is of a version that is too old, or newer than this one.
        """
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

    def _check_there(self) -> None:
        """SQLite would go on with a file that was removed, and all of it would be lost.

        Raises:
            StorageError: It is not the file any more that was opened.
        """
        if self._file and self._kept_path and _file_of(self._kept_path) != self._file:
            raise StorageError(
                f"{self._name}: was removed, or replaced by another file, while it was in use",
                hint="put it back, or begin anew with another `--db`",
            )

    def _check_whole(self) -> None:
        """Whoever writes for a whole night wants to know first that it will be read.

        Raises:
            StorageError: The database is damaged.
        """
        with translated(self.url), self._engine.connect() as connection:
            if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
                raise damaged(self._name)

    def _bring_up_to_date(self, path: str | None) -> None:
        """Create the tables, or apply the migrations that are missing; else write nothing.

        The file at `path` is copied before it is changed.
        """
        with translated(self.url), self._engine.connect() as connection:
            current = revision(connection)
        known = known_revisions()
        if current == known[-1]:
            return
        self._check_revision(current, known)
        # Alembic is slow to import, and most databases are up to date.
        from tuner.store import migrate

        def bring(connection: Connection) -> None:
            # Asked again, now that nobody else writes: another process may have been faster.
            current = revision(connection)
            if current is None:
                metadata.create_all(connection, checkfirst=False)
                migrate.stamp(connection, MIGRATIONS)
            elif current != known[-1]:
                if path is not None:
                    _copied(path, Path(f"{path}.before-{current}"))
                migrate.upgrade(connection, MIGRATIONS)

        self.write(bring)


def _file_of(path: str) -> tuple[int, int] | None:
    """What tells a file from all others; None if there is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _copied(path: str, target: Path) -> bool:
    """Whether there is a copy of the file now that was not there before.

    Raises:
        StorageError: It cannot be read, or the copy not be written.
    """
    with translated(f"sqlite:///{target}"):
        try:
            return journal.copy(path, target)
        except OSError as error:
            raise StorageError(
                f"{target}: cannot be written: {error.strerror}", hint="look at its folder"
            ) from None


def known_revisions() -> list[str]:
    """Those of the migrations, in their order, by the names of their files."""
    return sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("m[0-9]*.py"))


def revision(connection: Connection) -> str | None:
    """The last migration that the database has had; None if it is none of ours."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    versions = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    return connection.scalar(sa.select(versions.c.version_num))


def engine_options(url: str, patience: Patience) -> dict[str, Any]:
    """What Optuna makes its engine with, so that its tables are written as ours are.

    Its transactions begin with the first change and take the lock to write at once: what they have
    read is never out of date.
    """
    if make_url(url).get_backend_name() != "sqlite":
        return {"pool_pre_ping": True}
    return {
        "connect_args": {
            **connection_arguments(display_name(url), patience),
            "isolation_level": "IMMEDIATE",
        },
        "pool_events": [(_durable, "connect")],
    }


def guard_commits(engine: Engine, guard: Guard) -> None:
    """Have `guard` look at each transaction of Optuna's before it is committed."""
    sa.event.listen(engine, "commit", guard)


def aware(moment: datetime) -> datetime:
    """All moments are written in UTC. SQLite keeps no time zone; others have their own."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


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
        # A connection may be lost while nobody uses it, as when the server of it is restarted.
        return sa.create_engine(url, connect_args=arguments, pool_pre_ping=True)
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


def _durable(connection: sqlite3.Connection, _record: object) -> None:
    # A trial that has ended survives a loss of power: its commit waits for the disk. With a
    # write-ahead log that is one wait, where a rollback journal takes three; so `NORMAL`, which
    # would lose the last commits, is not needed for speed. FULL is SQLite's own default, but not
    # that of each build of it.
    connection.execute("PRAGMA synchronous = FULL")


def _set_up(connection: sqlite3.Connection, record: object) -> None:
    _durable(connection, record)
    connection.execute("PRAGMA foreign_keys = ON")
    # Python's own transactions leave out CREATE TABLE; `_begin` does it all.
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    # A transaction that reads first and wants to write later would not wait for another writer.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

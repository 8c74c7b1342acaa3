"""What goes wrong with a database, in words, without the secrets of its URL."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tuner.errors import HIDDEN, StorageError, masked
from tuner.store.waiting import has_kind


def display_name(url: str) -> str:
    """The database as a person knows it, without a password."""
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    return masked((parsed.database or url) if sqlite else str(parsed))


def passing(url: str, error: Exception) -> Callable[[], StorageError] | None:
    """How it is said of an error that may pass by itself; None of others.

    The disk with the file is full, or the server of the database is away.
    """
    full = has_kind(getattr(error, "orig", error), sqlite3.SQLITE_FULL)
    is_file = make_url(url).get_backend_name() == "sqlite"
    away = not is_file and isinstance(error, sa.exc.OperationalError)
    return partial(_storage_error, url, error) if full or away else None


@contextmanager
def translated(url: str) -> Iterator[None]:
    """What goes wrong with the database at `url` is a StorageError."""
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        raise _storage_error(url, error) from None
    except UnicodeDecodeError:  # of sqlite3, which quotes what it cannot make sense of
        raise damaged(display_name(url)) from None


def _storage_error(url: str, error: Exception) -> StorageError:
    name, reason = display_name(url), _without_secrets(url, str(getattr(error, "orig", error)))
    if isinstance(error, sa.exc.IntegrityError) and "unique" in reason.lower():
        return StorageError(
            f"{name}: another process changed the study at the same time",
            hint="let only one `tuner optimize` at a time work on a study",
        )
    known = {
        "readonly": (
            "is read-only",
            "make it and its folder writable, or name another with `--db`",
        ),
        "not a database": ("is not an SQLite database", "name another with `--db`"),
        "unable to open": ("cannot be opened", "check the folder and its permissions"),
        "disk is full": ("cannot grow: the disk is full", "make room, then continue the study"),
        "disk I/O": ("cannot be read or written: the disk fails, or is full", "look at the disk"),
    }
    for sign, (what, cure) in known.items():
        if sign in reason:
            return StorageError(f"{name}: {what}", hint=cure)
    if any(sign in reason for sign in ("malformed", "decode to UTF-8", "no such column")):
        return damaged(name)
    return StorageError(f"{name}: {reason}", hint="check the database and its permissions")


def _without_secrets(url: str, reason: str) -> str:
    """What a driver says, which may name who asked."""
    parsed = make_url(url)
    for secret in filter(None, (parsed.password, parsed.username)):
        reason = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, reason)
    return reason


def damaged(name: str) -> StorageError:
    """What is said of a database whose content makes no sense."""
    return StorageError(f"{name}: is damaged", hint="restore a copy, or name another with `--db`")

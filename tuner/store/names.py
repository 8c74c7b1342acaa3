"""The names of the studies in a file, without SQLAlchemy: a shell that completes words waits."""

import sqlite3
from contextlib import closing
from urllib.parse import quote

_SCHEME = "sqlite:///"
_BUSY_S = 0.1
_QUERY = "SELECT name FROM tuner_studies ORDER BY created_at DESC, id DESC"


def names(location: str) -> tuple[str, ...]:
    """The newest first; none where they cannot be read at once, or lie on a server.

    `location` is a path or an SQLAlchemy URL. Nothing is written.
    """
    path = location.removeprefix(_SCHEME)
    if "://" in path:
        return ()
    try:
        opened = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=_BUSY_S)
        with closing(opened) as connection:
            return tuple(str(name) for (name,) in connection.execute(_QUERY))
    except sqlite3.Error:
        return ()

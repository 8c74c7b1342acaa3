"""Alembic's way in: runs on the connection that storage.py hands over."""

from alembic import context

from tuner.schema import metadata

VERSION_TABLE = "tuner_migrations"

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()

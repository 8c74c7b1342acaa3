"""Alembic's way in: runs on the connection that database.py hands over."""

from alembic import context

from tuner.store.database import VERSION_TABLE
from tuner.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()

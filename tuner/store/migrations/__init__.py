"""The history of the database's tables; Alembic applies it when a database is opened."""

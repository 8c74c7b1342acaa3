"""The database; the only door to SQLAlchemy and Alembic."""

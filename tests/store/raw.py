"""A database past the door to it: its rows, and statements that no code of ours makes."""

from typing import Any

import sqlalchemy as sa  # noqa: TID251 - the tests of its door


def _engine(place: str) -> sa.Engine:
    return sa.create_engine(place if "://" in place else f"sqlite:///{place}")


def rows(place: str) -> dict[str, list[Any]]:
    """All rows of all tables."""
    engine, found = _engine(place), sa.MetaData()
    with engine.connect() as connection:
        found.reflect(connection)
        all_rows = {
            name: sorted(map(repr, connection.execute(sa.select(table))))
            for name, table in found.tables.items()
        }
    engine.dispose()
    return all_rows


def execute(place: str, statement: str) -> None:
    engine = _engine(place)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()

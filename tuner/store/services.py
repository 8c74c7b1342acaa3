"""Which service looks after the jobs of a machine: two would start the same ones."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from runners.process_names import in_words, is_gone, is_here, own_name
from tuner.errors import TunerError
from tuner.store.database import Database
from tuner.store.schema import tuner_services


def look_after(database: Database, machine: str) -> None:
    """From now on, this process looks after the jobs of this `machine`.

    Raises:
        TunerError: Another one does, and runs here.
    """
    columns = tuner_services.c
    own = columns.machine == machine

    def write(connection: Connection) -> None:
        query = sa.select(columns.process).where(own).with_for_update()
        before = connection.execute(query).scalar()
        if before is None:
            row = {"machine": machine, "process": own_name()}
            connection.execute(tuner_services.insert().values(row))
            return
        if before != own_name() and is_here(before) and not is_gone(before):
            raise TunerError(
                f"another service, with another folder, has jobs in this database: "
                f"{in_words(before)}",
                hint="end that one, or choose another `--db`",
            )
        connection.execute(tuner_services.update().where(own).values(process=own_name()))

    database.write(write)

"""Search space, place and options as values.

Studies from before know their space and their place in words only, which nobody reads again; a
process on this machine is what no words were written of.

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("space", sa.JSON),
        sa.Column("place", sa.JSON),
        sa.Column("options", sa.JSON, nullable=False, server_default="{}"),
    ):
        op.add_column("tuner_studies", column)
    studies = sa.table(
        "tuner_studies",
        sa.column("id", sa.Integer),
        sa.column("environment", sa.JSON),
        sa.column("place", sa.JSON),
    )
    connection = op.get_bind()
    for key, environment in connection.execute(sa.select(studies.c.id, studies.c.environment)):
        if "place" not in environment:
            connection.execute(
                studies.update().where(studies.c.id == key).values(place={"runner": "process"})
            )

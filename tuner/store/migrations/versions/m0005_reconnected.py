"""How many requests of a load point were sent once more, on a new connection.

Revision: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "tuner_load_points",
        sa.Column("reconnected", sa.Integer, nullable=False, server_default="0"),
    )

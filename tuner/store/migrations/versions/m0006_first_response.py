"""How long the first of several responses to a request took.

Revision: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tuner_load_points", sa.Column("first_response", sa.JSON))

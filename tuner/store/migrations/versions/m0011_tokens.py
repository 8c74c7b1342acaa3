"""Limits for the parts of an answer, and of load points how fast its tokens came.

Revision: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tuner_studies", sa.Column("answers", sa.JSON))
    op.add_column("tuner_load_points", sa.Column("itl", sa.JSON))
    op.add_column("tuner_load_points", sa.Column("whole", sa.JSON))
    op.add_column("tuner_load_points", sa.Column("tokens_per_s", sa.Float))
    op.add_column("tuner_load_points", sa.Column("together", sa.Float))

"""How often a load point was measured, what disturbed it, and which failures a job repeats.

Revision: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    runs = sa.Column("runs", sa.Integer, nullable=False, server_default="1")
    op.add_column("tuner_load_points", runs)
    disturbed = sa.Column("disturbed", sa.JSON, nullable=False, server_default="[]")
    op.add_column("tuner_load_points", disturbed)
    retry = sa.Column("retry", sa.JSON, nullable=False, server_default="[]")
    op.add_column("tuner_jobs", retry)

"""Who counted the tokens of a load point, and what is to be known of a trial's requests.

Revision: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    counted_by = sa.Column(
        "counted_by", sa.String(10), nullable=False, server_default=sa.text("''")
    )
    op.add_column("tuner_load_points", counted_by)
    remarks = sa.Column("remarks", sa.JSON, nullable=False, server_default="[]")
    op.add_column("tuner_trials", remarks)

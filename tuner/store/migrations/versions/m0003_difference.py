"""How far the outputs of a configuration are from the baseline's.

Revision: 0003
"""

from alembic import op
from sqlalchemy import Column, Float

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tuner_trials", Column("difference", Float))

"""Which host of a fleet ran a trial, and what is known of the hosts of a study.

Revision: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    host = sa.Column("host", sa.Text, nullable=False, server_default=sa.text("''"))
    op.add_column("tuner_trials", host)
    attempt = sa.Column("attempt", sa.Integer, nullable=False, server_default="0")
    op.add_column("tuner_trials", attempt)
    op.create_table(
        "tuner_hosts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "study_id",
            sa.Integer,
            sa.ForeignKey("tuner_studies.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("hardware", sa.JSON, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("trial", sa.Integer),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("study_id", "name"),
    )

"""Who runs a study, what is asked of it meanwhile, and what it does.

Revision: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "tuner_jobs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, _study(), nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(300), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("wanted", sa.String(20), nullable=False),
        sa.Column("began_at", moment, nullable=False),
        sa.Column("seen_at", moment, nullable=False),
        sa.Column("ends_at", moment),
        sa.Column("ended_at", moment),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("left_s", sa.Float),
        sa.UniqueConstraint("study_id"),
    )
    op.create_table(
        "tuner_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, _study(), nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("trial", sa.Integer),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Index("tuner_events_of_study", "study_id", "id"),
        sqlite_autoincrement=True,
    )


def _study() -> sa.ForeignKey:
    return sa.ForeignKey("tuner_studies.id", ondelete="CASCADE")

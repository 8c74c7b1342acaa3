"""What a service was asked to run, what became of it, and who changed what.

Revision: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_queue()
    _create_what_came_of_it()


def _create_queue() -> None:
    op.create_table(
        "tuner_queue",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study", sa.String(200), nullable=False),
        sa.Column("machine", sa.String(300), nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("position", sa.Float, nullable=False),
        sa.Column("by", sa.String(100), nullable=False),
        sa.Column("submitted_at", _MOMENT, nullable=False),
        sa.Column("began_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("process", sa.String(300), nullable=False),
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("cancelled_by", sa.String(100), nullable=False),
        sa.Column("webhook", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("request", sa.String(64), nullable=False),
        sa.UniqueConstraint("study"),
        sa.UniqueConstraint("idempotency_key"),
        sa.Index("tuner_queue_by_state", "state", "position"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tuner_queue_changes",
        sa.Column("id", sa.Integer, primary_key=True),
        _of("job_id", "tuner_queue"),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("by", sa.String(100), nullable=False),
        sa.Index("tuner_queue_changes_of_job", "job_id", "id"),
        sqlite_autoincrement=True,
    )


def _create_what_came_of_it() -> None:
    op.create_table(
        "tuner_services",
        sa.Column("machine", sa.String(300), primary_key=True),
        sa.Column("process", sa.String(300), nullable=False),
    )
    op.create_table(
        "tuner_deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        _of("job_id", "tuner_queue"),
        _of("change_id", "tuner_queue_changes"),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text, nullable=False),
        sa.UniqueConstraint("change_id", "attempt"),
    )
    op.create_table(
        "tuner_audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("by", sa.String(100), nullable=False),
        sa.Column("address", sa.String(100), nullable=False),
        sa.Column("action", sa.String(50), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )


def _of(name: str, table: str) -> sa.Column[int]:
    owner = sa.ForeignKey(f"{table}.id", ondelete="CASCADE")
    return sa.Column(name, sa.Integer, owner, nullable=False)

"""Objectives, repeats and rounds, what the server took, and the load engine's self-checks.

Revision: 0002
"""

from alembic import op
from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Float,
    Integer,
    String,
    Text,
    UniqueConstraint,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_USAGE = ("cpu_s", "memory_bytes", "energy_j")


def upgrade() -> None:
    for column in (
        Column("objectives", JSON, nullable=False, server_default='["throughput"]'),
        Column("arrivals", String(20), nullable=False, server_default="poisson"),
        Column("sampler", String(20), nullable=False, server_default="tpe"),
        Column("warm_start", JSON, nullable=False, server_default="[]"),
        Column("stopped", Text, nullable=False, server_default=""),
    ):
        op.add_column("tuner_studies", column)
    op.add_column("tuner_trials", Column("reference_s", Float))
    op.add_column("tuner_trials", Column("round", Integer, nullable=False, server_default="0"))
    op.add_column("tuner_trials", Column("proof", String(20), nullable=False, server_default=""))
    for name in ("latency_low_s", "latency_high_s"):
        op.add_column("tuner_load_points", Column(name, Float))
    for table in ("tuner_trials", "tuner_load_points"):
        for name in _USAGE:
            op.add_column(table, Column(name, Float))
    op.create_table(
        "tuner_calibrations",
        Column("id", Integer, primary_key=True),
        Column("host", String(20), nullable=False),
        Column("payload_bytes", Integer, nullable=False),
        Column("rate", Float, nullable=False),
        Column("send_lag_p99_s", Float, nullable=False),
        Column("measured_at", DateTime(timezone=True), nullable=False),
        UniqueConstraint("host", "payload_bytes"),
    )

"""The tables of the database that are ours; Optuna keeps its own beside them.

Optuna owns the names `studies`, `trials`, `trial_*`, `study_*` and `version_info`. Durations are
seconds, rates per second. Changes need a migration in migrations/versions.
"""

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()


def _study_id() -> Column[int]:
    """The study that a row belongs to, and goes with."""
    study = ForeignKey("tuner_studies.id", ondelete="CASCADE")
    return Column("study_id", Integer, study, nullable=False)


tuner_studies = Table(
    "tuner_studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("server", String(50), nullable=False),
    Column("model", String(200), nullable=False),
    Column("model_fingerprint", String(20), nullable=False),
    Column("space_fingerprint", String(20), nullable=False),
    Column("percentile", Float, nullable=False),
    Column("limit_s", Float, nullable=False),
    Column("answers", JSON(none_as_null=True)),  # the limits of the latency budget, if several
    Column("parameters", JSON, nullable=False),
    Column("request", JSON, nullable=False),
    Column("hardware", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
    Column("space", JSON),
    Column("place", JSON),
    Column("options", JSON, nullable=False, server_default="{}"),
    Column("golden", JSON),
    Column("objectives", JSON, nullable=False, server_default='["throughput"]'),
    Column("arrivals", String(20), nullable=False, server_default="poisson"),
    Column("sampler", String(20), nullable=False, server_default="tpe"),
    Column("warm_start", JSON, nullable=False, server_default="[]"),
    Column("stopped", Text, nullable=False, server_default=text("''")),
)

tuner_trials = Table(
    "tuner_trials",
    metadata,
    Column("id", Integer, primary_key=True),
    _study_id(),
    Column("number", Integer, nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("proposal", Integer),
    Column("configuration", JSON, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", String(30)),
    Column("message", Text, nullable=False),
    Column("throughput", Float, nullable=False),
    Column("log_error", Float),
    Column("unloaded_s", Float),
    Column("saturation", Float, nullable=False),
    Column("reference_s", Float),
    Column("difference", Float),  # infinite, or a share of the largest value
    Column("remarks", JSON, nullable=False, server_default="[]"),
    Column("cpu_s", Float),
    Column("memory_bytes", Float),
    Column("energy_j", Float),
    Column("round", Integer, nullable=False, server_default="0"),
    Column("proof", String(20), nullable=False, server_default=text("''")),
    Column("applied", String(20), nullable=False),
    Column("verdicts", JSON, nullable=False),
    Column("statistics", JSON, nullable=False),
    Column("timings_s", JSON, nullable=False),
    Column("log_tail", Text, nullable=False),
    Column("export", Text, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("host", Text, nullable=False, server_default=text("''")),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("study_id", "number"),
)

# The hosts of a fleet that a study has, as its driver sees them.
tuner_hosts = Table(
    "tuner_hosts",
    metadata,
    Column("id", Integer, primary_key=True),
    _study_id(),
    Column("name", String(200), nullable=False),
    Column("kind", String(20), nullable=False),  # of its hardware: hosts of one kind make a group
    Column("hardware", JSON, nullable=False),
    Column("state", String(20), nullable=False),
    Column("why", Text, nullable=False),
    Column("trial", Integer),  # what it measures
    Column("attempt", Integer, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("study_id", "name"),
)

tuner_load_points = Table(
    "tuner_load_points",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("trial_id", Integer, ForeignKey("tuner_trials.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("phase", String(20), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("load", Float, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("throughput", Float, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("mean_s", Float),
    Column("latency_s", Float),
    Column("latency_low_s", Float),
    Column("latency_high_s", Float),
    Column("p50_s", Float),
    Column("p90_s", Float),
    Column("p95_s", Float),
    Column("p99_s", Float),
    Column("errors", JSON, nullable=False),
    Column("unanswered", Integer, nullable=False),
    Column("reconnected", Integer, nullable=False, server_default="0"),
    Column("send_lag_p99_s", Float),
    Column("engine_cpu_s", Float, nullable=False),
    Column("priority", String(20), nullable=False),
    Column("stopped_early", String(20), nullable=False),
    Column("histogram", JSON, nullable=False),
    Column("first_response", JSON(none_as_null=True)),
    Column("itl", JSON(none_as_null=True)),
    Column("whole", JSON(none_as_null=True)),
    Column("tokens_per_s", Float),
    Column("together", Float),
    Column("counted_by", String(10), nullable=False, server_default=text("''")),
    Column("runs", Integer, nullable=False, server_default="1"),
    Column("disturbed", JSON, nullable=False, server_default="[]"),
    Column("cpu_s", Float),
    Column("memory_bytes", Float),
    Column("energy_j", Float),
    UniqueConstraint("trial_id", "position"),
)

tuner_calibrations = Table(
    "tuner_calibrations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", String(20), nullable=False),  # the fingerprint of the hardware
    Column("payload_bytes", Integer, nullable=False),
    Column("rate", Float, nullable=False),
    Column("send_lag_p99_s", Float, nullable=False),
    Column("measured_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("host", "payload_bytes"),
)

# The tuner that runs a study, or ran it last; one row for each study.
tuner_jobs = Table(
    "tuner_jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    _study_id(),
    Column("fence", Integer, nullable=False),
    Column("owner", String(300), nullable=False),
    Column("state", String(20), nullable=False),
    Column("wanted", String(20), nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("why", Text, nullable=False),
    Column("limits", JSON, nullable=False),
    Column("log", Text, nullable=False),
    Column("left_s", Float),
    Column("retry", JSON, nullable=False, server_default="[]"),
    UniqueConstraint("study_id"),
)

# What a study does, in its order; no number is ever given twice.
tuner_events = Table(
    "tuner_events",
    metadata,
    Column("id", Integer, primary_key=True),
    _study_id(),
    Column("fence", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("trial", Integer),
    Column("content", JSON, nullable=False),
    Index("tuner_events_of_study", "study_id", "id"),
    sqlite_autoincrement=True,
)

# What a service was asked to run, in the order of `position`; `process` is the one that runs it.
tuner_queue = Table(
    "tuner_queue",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study", String(200), nullable=False, unique=True),
    Column("machine", String(300), nullable=False),
    Column("options", JSON, nullable=False),
    Column("state", String(20), nullable=False),
    Column("position", Float, nullable=False),
    Column("by", String(100), nullable=False),
    Column("submitted_at", DateTime(timezone=True), nullable=False),
    Column("began_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("why", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("process", String(300), nullable=False),
    Column("log", Text, nullable=False),
    Column("cancelled_by", String(100), nullable=False),
    Column("webhook", Text, nullable=False),
    Column("idempotency_key", String(200), unique=True),
    Column("request", String(64), nullable=False),
    Index("tuner_queue_by_state", "state", "position"),
    sqlite_autoincrement=True,
)


def _job_id() -> Column[int]:
    """The queued job that a row belongs to, and goes with."""
    job = ForeignKey("tuner_queue.id", ondelete="CASCADE")
    return Column("job_id", Integer, job, nullable=False)


tuner_queue_changes = Table(
    "tuner_queue_changes",
    metadata,
    Column("id", Integer, primary_key=True),
    _job_id(),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("state", String(20), nullable=False),
    Column("why", Text, nullable=False),
    Column("by", String(100), nullable=False),
    Index("tuner_queue_changes_of_job", "job_id", "id"),
    sqlite_autoincrement=True,
)

# The service that looks after the jobs of a machine.
tuner_services = Table(
    "tuner_services",
    metadata,
    Column("machine", String(300), primary_key=True),
    Column("process", String(300), nullable=False),
)

# What was sent to a job's webhook, once for each attempt.
tuner_deliveries = Table(
    "tuner_deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    _job_id(),
    Column(
        "change_id",
        Integer,
        ForeignKey("tuner_queue_changes.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("attempt", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("status", Integer),  # of the answer, if there was one
    Column("error", Text, nullable=False),
    UniqueConstraint("change_id", "attempt"),
)

# Who changed what through a service.
tuner_audit = Table(
    "tuner_audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("by", String(100), nullable=False),
    Column("address", String(100), nullable=False),
    Column("action", String(50), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("content", JSON, nullable=False),
    sqlite_autoincrement=True,
)

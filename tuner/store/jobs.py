"""The tuners that run studies, or ran them last: what they do, and what is asked of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from runners.process_names import in_words, is_gone, is_here
from tuner.store.database import Database, aware
from tuner.store.schema import tuner_jobs, tuner_studies

# Why a job ended that somebody asked to end,
ASKED_TO_STOP = "it was asked to stop"
# and why one that got a signal.
INTERRUPTED = "it was interrupted"
# An owner on another machine that has not said for this long that it is there is silent.
_SILENT_S = 60.0
# Studies that run or were killed are few; of more than these, the newest are told of.
_MOST_UNENDED = 1000


class JobState(StrEnum):
    """What an owner does."""

    RUNNING = "running"
    PAUSED = "paused"
    RESTING = "resting"  # its machine spoils trials: it is tried again later
    ENDED = "ended"


class Wanted(StrEnum):
    """What is asked of an owner: nothing, a pause, or the end, with the finals or without."""

    NOTHING = ""
    PAUSE = "pause"
    STOP = "stop"
    STOP_NOW = "stop now"


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """The tuner that runs a study, or ran it last.

    `owner` is the name of its process, `seen_at` when it last said that it is there. `ends_at` is
    when its time is over, `limits` what else it was given (SearchBudget). `why` it ended is empty
    where it came to its end. `log` is the file with its output, where it has no terminal.
    `paused_with_s` are the seconds that a pause has left it. Trials that failed for a reason in
    `retry` are run again.
    """

    fence: int
    owner: str
    state: JobState
    wanted: Wanted
    began_at: datetime
    seen_at: datetime
    ends_at: datetime | None
    ended_at: datetime | None
    why: str
    limits: Mapping[str, Any]
    log: str
    paused_with_s: float | None
    retry: tuple[str, ...]

    @property
    def is_gone(self) -> bool:
        """Whether it never ended, but is no more, as far as can be told from here."""
        if self.state is JobState.ENDED:
            return False
        return is_gone(self.owner) if is_here(self.owner) else self._is_silent

    @property
    def is_live(self) -> bool:
        return self.state is not JobState.ENDED and not self.is_gone

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        return is_here(self.owner)

    @property
    def pauses(self) -> bool:
        """Whether it is paused, or will be."""
        return self.state is JobState.PAUSED or self.wanted is Wanted.PAUSE

    @property
    def left_s(self) -> float:
        """Seconds of its time that it has not used; what passed since it was heard of is not lost.

        0 where nobody knows.
        """
        if self.paused_with_s is not None:
            return self.paused_with_s
        if self.ends_at is None:
            return 0.0
        last = self.ended_at or (datetime.now(UTC) if self.is_live else self.seen_at)
        return max(0.0, (self.ends_at - last).total_seconds())

    @property
    def who(self) -> str:
        return in_words(self.owner)

    @property
    def _is_silent(self) -> bool:
        return datetime.now(UTC) - self.seen_at > timedelta(seconds=_SILENT_S)


def jobs(database: Database) -> dict[str, JobRecord]:
    """The last job of each study that had one."""
    query = sa.select(tuner_studies.c.name, tuner_jobs).join(tuner_studies)
    with database.reading() as connection:
        rows = connection.execute(query).mappings().all()
        return {row["name"]: job_record(row) for row in rows}


def unended_jobs(database: Database) -> dict[str, JobRecord]:
    """The jobs that have not ended or were killed, by their studies: the newest 1,000 of them."""
    query = (
        sa.select(tuner_studies.c.name, tuner_jobs)
        .join(tuner_studies)
        .where(tuner_jobs.c.state != JobState.ENDED.value)
        .order_by(tuner_studies.c.created_at.desc(), tuner_studies.c.id.desc())
        .limit(_MOST_UNENDED)
    )
    with database.reading() as connection:
        rows = connection.execute(query).mappings()
        return {row["name"]: job_record(row) for row in rows}


def live_jobs(database: Database) -> dict[str, JobRecord]:
    """Those that run, by the names of their studies."""
    return {name: job for name, job in unended_jobs(database).items() if job.is_live}


def is_measured_here(database: Database) -> bool:
    """Whether a study runs on this machine."""
    return any(job.is_here for job in live_jobs(database).values())


def job_of(database: Database, study: str) -> JobRecord | None:
    """The last job of the study; None if it never had one."""
    with database.reading() as connection:
        return job_in(connection, study)


def want(database: Database, study: str, wanted: Wanted) -> JobRecord | None:
    """Ask something of whoever runs the study; the job as it was before. None if nobody does.

    Nothing more is wanted only of one that is to pause, or does: an end that was asked for stays.
    """

    def write(connection: Connection) -> JobRecord | None:
        job = job_in(connection, study, alone=True)
        if job is None or not job.is_live:
            return None
        if wanted is Wanted.NOTHING and not job.pauses:
            return job
        connection.execute(change(id_of(connection, study), wanted=wanted.value))
        return job

    return database.write(write)


def id_of(connection: Connection, study: str) -> int:
    query = sa.select(tuner_studies.c.id).where(tuner_studies.c.name == study)
    return int(connection.execute(query).scalar_one())


def change(study_id: int, **values: Any) -> sa.Update:
    """The statement that sets columns of a study's job."""
    return tuner_jobs.update().where(tuner_jobs.c.study_id == study_id).values(values)


def job_in(connection: Connection, study: str, *, alone: bool = False) -> JobRecord | None:
    """The study's job; `alone`, nobody else changes it until the transaction ends."""
    query = sa.select(tuner_jobs).join(tuner_studies).where(tuner_studies.c.name == study)
    if alone:
        query = query.with_for_update(of=tuner_jobs)
    row = connection.execute(query).mappings().first()
    return None if row is None else job_record(row)


def job_record(row: sa.RowMapping) -> JobRecord:
    """What a row of the jobs says."""
    moments = ("began_at", "seen_at", "ends_at", "ended_at")
    return JobRecord(
        fence=row["fence"],
        owner=row["owner"],
        state=JobState(row["state"]),
        wanted=Wanted(row["wanted"]),
        why=row["why"],
        limits=row["limits"],
        log=row["log"],
        paused_with_s=row["left_s"],
        retry=tuple(row["retry"]),
        **{name: row[name] and aware(row[name]) for name in moments},
    )

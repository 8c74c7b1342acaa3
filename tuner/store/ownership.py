"""Who runs a study: one tuner at a time, and one that has lost it writes nothing more.

The study's row in the table of jobs names its owner. Whoever takes the study over raises the
fence in it, a number that each write of an owner compares with its own in the same transaction:
an owner that slept while it was replaced finds out before it changes anything (a fencing token,
as in Kleppmann, "How to do distributed locking", 2016).
"""

import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from time import monotonic, sleep
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from runners.errors import RunnerError
from runners.process_names import in_words, is_here, own_name
from tuner.errors import StudyHeldError, StudyLostError, TunerError
from tuner.store import events
from tuner.store.database import Database
from tuner.store.events import EventKind, Happened
from tuner.store.faults import display_name
from tuner.store.hosts import HostRecord, save_hosts
from tuner.store.jobs import (
    INTERRUPTED,
    JobRecord,
    JobState,
    Wanted,
    change,
    id_of,
    job_in,
    job_of,
)
from tuner.store.schema import tuner_jobs

# An owner says so often that it is there, in seconds.
_BEAT_S = 10.0
# One on another machine that is silent, and stays so while it is watched for this long, is no
# more: only its silence counts, not what the clocks of two machines say.
_WATCHED_S = 2.5 * _BEAT_S
_WATCH_POLL_S = 1.0


class Hold:
    """What the owner of a study has: it may write, for as long as nobody replaced it."""

    def __init__(self, database: Database, study: str, study_id: int, fence: int) -> None:
        self.study = study
        self.why = ""  # it ends before its own end, if it does
        self._database = database
        self._study_id = study_id
        self._fence = fence
        self._asked = Wanted.NOTHING

    def check(self, connection: Connection) -> None:
        """In each transaction that writes.

        Raises:
            StudyLostError: Another process has taken the study over.
        """
        columns = tuner_jobs.c
        query = sa.select(columns.fence, columns.owner, columns.wanted)
        own = query.where(columns.study_id == self._study_id)
        fence, owner, wanted = connection.execute(own.with_for_update()).one()
        if fence != self._fence:
            raise StudyLostError(
                f"{in_words(owner)} has taken study `{self.study}` over, as this one had not been "
                "heard of for too long; nothing more is written",
                hint=f"look at what it does: `{_command('status', self._database, self.study)}`",
            )
        self._asked = Wanted(wanted)

    def record(
        self, kind: EventKind, content: Mapping[str, Any], *, trial: int | None = None
    ) -> Wanted:
        """Write an event; what is asked of the study now.

        Raises:
            StudyLostError: Another process has taken the study over.
        """

        def write(connection: Connection) -> Wanted:
            self._append(connection, kind, content, trial=trial)
            return self._asked  # seen by `check`, in this transaction

        return self._database.write(write)

    def record_all(self, happened: Sequence[Happened], hosts: Sequence[HostRecord] = ()) -> Wanted:
        """Write these events, and what became of hosts, in one transaction; else as `record`."""

        def write(connection: Connection) -> Wanted:
            events.append_all(connection, happened, study_id=self._study_id, fence=self._fence)
            if hosts:
                save_hosts(connection, self._study_id, hosts)
            return self._asked

        return self._database.write(write)

    def wanted(self) -> Wanted:
        """What is asked of the study now."""
        query = sa.select(tuner_jobs.c.wanted).where(tuner_jobs.c.study_id == self._study_id)
        return self._database.read(
            lambda connection: Wanted(connection.execute(query).scalar_one())
        )

    def heard(self) -> None:
        """What was asked is done: nothing is asked any more."""
        nothing = change(self._study_id, wanted=Wanted.NOTHING.value)
        self._database.write(lambda connection: connection.execute(nothing))

    def goes(
        self,
        state: JobState,
        *,
        ends_at: datetime | None = None,
        left_s: float | None = None,
        why: str = "",
    ) -> None:
        """Say what the owner does from now on and, where that changed, when its time is over.

        `left_s` is what a pause leaves of it.
        """
        now = datetime.now(UTC)
        values: dict[str, Any] = {"state": state.value, "why": why, "seen_at": now}
        if state is not JobState.ENDED:  # what is paused and then interrupted keeps its time
            values["left_s"] = left_s
        if ends_at is not None:
            values["ends_at"] = ends_at
        if state is JobState.ENDED:
            values |= {"ended_at": now, "wanted": Wanted.NOTHING.value}

        def write(connection: Connection) -> None:
            connection.execute(change(self._study_id, **values))
            if state is JobState.ENDED:
                self._append(connection, EventKind.JOB_ENDED, {"why": why})
            else:
                self._append(connection, EventKind.STATE_CHANGED, {"state": state.value})

        self._database.write(write)

    def _append(
        self,
        connection: Connection,
        kind: EventKind,
        content: Mapping[str, Any],
        *,
        trial: int | None = None,
    ) -> None:
        events.append(
            connection,
            study_id=self._study_id,
            fence=self._fence,
            at=datetime.now(UTC),
            kind=kind.value,
            trial=trial,
            content=content,
        )


@contextmanager
def held(
    database: Database,
    study: str,
    *,
    limits: Mapping[str, Any],
    ends_at: datetime | None = None,
    log: str = "",
    retry: Sequence[str] = (),
) -> Iterator[Hold]:
    """Run the study: nobody else does until the block ends, and `database` checks each write.

    Raises:
        StudyHeldError: Another process runs it.
    """
    hold = _taken(database, study, limits=limits, ends_at=ends_at, log=log, retry=list(retry))
    database.guard = hold.check
    try:
        with _beating(database.url, hold):
            yield hold
    except StudyLostError:
        raise
    except BaseException as error:
        with suppress(TunerError):
            hold.goes(JobState.ENDED, why=_why(error))
        raise
    else:
        hold.goes(JobState.ENDED, why=hold.why)
    finally:
        database.guard = None


def _taken(database: Database, study: str, **values: Any) -> Hold:
    silent: JobRecord | None = None
    while True:
        result = database.write(partial(_take, study=study, silent=silent, values=values))
        if not isinstance(result, JobRecord):
            return Hold(database, study, *result)
        if silent is not None or not result.is_gone:
            raise _is_held(database, study, result)
        silent = _watched(database, study, result)


def _take(
    connection: Connection, study: str, silent: JobRecord | None, values: Mapping[str, Any]
) -> tuple[int, int] | JobRecord:
    """The study's id and the new fence, or who has it.

    Of those on other machines, only one that was found `silent` is replaced.
    """
    study_id, before = id_of(connection, study), job_in(connection, study, alone=True)
    unheard = silent is not None and before is not None and before.seen_at == silent.seen_at
    if before is not None and before.state is not JobState.ENDED:
        replaceable = before.is_gone if is_here(before.owner) else unheard
        if not replaceable:
            return before
    fence, now = (before.fence if before else 0) + 1, datetime.now(UTC)
    row = {
        **values,
        "fence": fence,
        "owner": own_name(),
        "state": JobState.RUNNING.value,
        "wanted": Wanted.NOTHING.value,
        "began_at": now,
        "seen_at": now,
        "ended_at": None,
        "left_s": None,
        "why": "",
    }
    if before is None:
        connection.execute(tuner_jobs.insert().values(row | {"study_id": study_id}))
    else:
        connection.execute(change(study_id, **row))
    replaces = before.owner if before and before.state is not JobState.ENDED else ""
    events.append(
        connection,
        study_id=study_id,
        fence=fence,
        at=now,
        kind=EventKind.JOB_BEGAN.value,
        content={"owner": own_name(), "replaces": replaces},
    )
    return study_id, fence


def _watched(database: Database, study: str, job: JobRecord) -> JobRecord:
    """`job` after it was watched for signs of life; the newer row, if there was one."""
    deadline = monotonic() + _WATCHED_S
    while monotonic() < deadline:
        sleep(_WATCH_POLL_S)
        now = job_of(database, study)
        if now is None or now.seen_at != job.seen_at or now.fence != job.fence:
            raise _is_held(database, study, now or job)
    return job


def _is_held(database: Database, study: str, job: JobRecord) -> StudyHeldError:
    silent_s = max(0.0, (datetime.now(UTC) - job.seen_at).total_seconds())
    return StudyHeldError(
        f"study `{study}` is run by {job.who} since {job.began_at.astimezone():%Y-%m-%d %H:%M} "
        f"(heard of {silent_s:.0f} s ago)",
        hint=f"`{_command('status', database, study)}` says what it does, "
        f"`{_command('stop', database, study)}` ends it",
    )


def _command(name: str, database: Database, study: str) -> str:
    """What a person may type; a URL may hold secrets, and whoever has it knows it."""
    is_file = database.url.startswith("sqlite:")
    place = display_name(database.url) if is_file else "URL"
    return shlex.join(["tuner", name, study, "--db", place])


@contextmanager
def _beating(url: str, hold: Hold) -> Iterator[None]:
    """Say that the owner is there, every ten seconds, from a thread with a connection of its own.

    Where it cannot be said, nothing is done about it: the study's own writes will tell.
    """
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_S):
            with suppress(Exception), Database(url, busy_s=1.0) as database:
                database.guard = hold.check
                _say_there(database, hold.study)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _say_there(database: Database, study: str) -> None:
    database.write(
        lambda connection: connection.execute(
            change(id_of(connection, study), seen_at=datetime.now(UTC))
        )
    )


def _why(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return str(error) if isinstance(error, TunerError | RunnerError) else type(error).__name__

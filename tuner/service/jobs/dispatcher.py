"""Starts jobs when their turn comes, and sees how they end: one at a time on this machine."""

import logging
import threading
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Self

from runners.process_names import is_of_another_start, name_of
from tuner.analysis.standings import standings
from tuner.errors import InputError, TunerError
from tuner.service.access.allowed import usable
from tuner.service.jobs import process, secrets
from tuner.service.jobs.fate import Ending, Fate, at_its_end, while_it_runs
from tuner.service.jobs.forecast import limits_of
from tuner.service.jobs.states import brought
from tuner.service.service import Service
from tuner.store.jobs import (
    INTERRUPTED,
    JobRecord,
    JobState,
    Wanted,
    is_measured_here,
    job_of,
    want,
)
from tuner.store.queue import ACTIVE, QueuedJob, QueueState, queued_jobs, set_columns

# How often it looks for news, in seconds,
_POLL_S = 1.0
# and after a turn that went wrong.
_TROUBLED_POLL_S = 5.0
# A turn that takes longer hangs: a locked database is waited for up to a minute.
_LONGEST_TURN_S = 150.0
_TOO_LATE = "its time was over before its turn came\nhint: submit it again, earlier in the queue"
_TAKEN = (
    "somebody has begun a study `{0}` while it waited\n"
    "hint: submit it with another name; `tuner resume {0}` goes on with that study"
)

_log = logging.getLogger("tuner.service")


class Dispatcher(AbstractContextManager["Dispatcher"]):
    """Works in a thread of its own for the length of a `with` block; jobs go on after it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._storage = service.storage
        self._children: set[int] = set()
        self._told: set[str] = set()  # processes that were asked to end
        self._trouble = ""
        self._turned_s = monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def is_well(self) -> bool:
        """Whether it looks after jobs: its last turn was not long ago, and nothing went wrong."""
        hangs = monotonic() - self._turned_s > _LONGEST_TURN_S
        return self._thread.is_alive() and not self._trouble and not hangs

    def turn(self) -> None:
        """Look once at the jobs of this machine, and do what is to be done."""
        self._children = {pid for pid in self._children if not process.is_reaped(pid)}
        with self._service.changing:
            # Those that have the machine come first, then the one whose turn it is.
            states = (*ACTIVE, QueueState.QUEUED)
            found = queued_jobs(
                self._storage, states=states, machine=self._service.machine, limit=2
            )
            active = [job for job in found if job.state.is_active]
            for job in active:
                self._look_after(job)
            if found and not active and self._machine_is_free():
                self._take(found[0])

    def _work(self) -> None:
        while not self._over.wait(_TROUBLED_POLL_S if self._trouble else _POLL_S):
            try:
                self.turn()
            except Exception as error:  # noqa: BLE001 - whatever it is, jobs are looked after
                said = f"{type(error).__name__}: {error}"
                if said != self._trouble:
                    _log.warning("jobs cannot be looked after (it is tried again): %s", said)
                self._trouble = said
            else:
                if self._trouble:
                    _log.warning("jobs are looked after again")
                self._trouble = ""
            self._turned_s = monotonic()

    def _machine_is_free(self) -> bool:
        """Whether nobody measures here, as somebody may with `tuner optimize`."""
        return not is_measured_here(self._storage)

    def _take(self, job: QueuedJob) -> None:
        """Its turn has come."""
        ends_at = limits_of(self._service, job).ends_at
        if job.study in self._storage.names():
            self._end(job, Fate(QueueState.FAILED, _TAKEN.format(job.study)))
        elif ends_at is not None and ends_at <= datetime.now(UTC):
            self._end(job, Fate(QueueState.FAILED, _TOO_LATE))
        else:
            self._begin(job, Fate(QueueState.RUNNING), attempts=1)

    def _begin(self, job: QueuedJob, fate: Fate, *, attempts: int) -> None:
        """First it is written down that it runs: what is killed now, is found by its log."""
        begun = brought(
            self._storage, job, fate.state, why=fate.why, process="", attempts=attempts
        )
        if begun is not None:
            self._launch(begun)

    def _launch(self, job: QueuedJob) -> None:
        """Start its process, unless that was done before the service was killed."""
        if name := process.found(Path(job.log)):
            set_columns(self._storage, job.id, process=name)
            return
        if job.cancelled_by:
            self._end(job, Fate(QueueState.CANCELLED, f"cancelled by {job.cancelled_by}"))
            return
        record = job_of(self._storage, job.study)
        if record and record.state is JobState.ENDED and record.why != INTERRUPTED:
            self._judge(job, record)  # its process came to its end before its name was kept
            return
        try:
            pid = process.started(self._words(job), Path(job.log))
        except TunerError as error:
            hint = f"\nhint: {error.hint}" if error.hint else ""
            self._end(job, Fate(QueueState.FAILED, f"{error.message}{hint}"))
            return
        self._children.add(pid)
        if name := name_of(pid):
            set_columns(self._storage, job.id, process=name)
        else:
            said = process.last_error(Path(job.log)) or "its process ended at once"
            self._end(job, Fate(QueueState.FAILED, said))

    def _words(self, job: QueuedJob) -> list[str]:
        """The command: the study goes on with what it has, if there is one.

        Raises:
            TunerError: An option cannot be used any more.
        """
        settings = self._service.settings
        common = ["--db", self._storage.url, "--output", str(settings.reports)]
        common += secrets.words(settings, job)
        # What jobs may use may have changed while it waited.
        usable(settings, job.options)
        if job.study in self._storage.names():
            return ["resume", job.study, *common]
        options = {name: each for name, each in job.options.items() if name != secrets.OPTION}
        return ["optimize", "--study", job.study, *common, *self._service.command.words(options)]

    def _look_after(self, job: QueuedJob) -> None:
        if not job.process:
            self._launch(job)
            return
        over = process.is_over(job.process)  # first: what its study says then, is its last word
        record = job_of(self._storage, job.study)
        if over and not (record and record.is_live):
            self._judge(job, record)
            return
        state = while_it_runs(job, record)
        if state is not job.state:
            brought(self._storage, job, state, why="it was asked for on the command line")
        if job.cancelled_by and job.process not in self._told:
            self._cancel(job)
            self._told.add(job.process)

    def _cancel(self, job: QueuedJob) -> None:
        """What was measured is kept, if the study has begun."""
        if want(self._storage, job.study, Wanted.STOP_NOW) is None:
            process.terminate(job.process)

    def _judge(self, job: QueuedJob, record: JobRecord | None) -> None:
        ending = Ending(
            job=job,
            record=record,
            stopped=self._stopped(job.study),
            error=process.last_error(Path(job.log)),
            restarted=is_of_another_start(job.process),
        )
        fate = at_its_end(ending, lambda: self._has_winner(job.study))
        if fate.again and job.state is QueueState.PAUSED:
            return  # until somebody has it go on
        if fate.again:
            counted = 0 if ending.restarted else 1
            self._begin(job, fate, attempts=job.attempts + counted)
        else:
            self._end(job, fate)

    def _end(self, job: QueuedJob, fate: Fate) -> None:
        brought(self._storage, job, fate.state, why=fate.why)
        secrets.forget(self._service.settings, job)

    def _stopped(self, study: str) -> str:
        try:
            return self._storage.study(study, trials=False).stopped
        except InputError:  # it never began
            return ""

    def _has_winner(self, study: str) -> bool:
        return standings(self._storage.study(study, brief=True)).winner is not None

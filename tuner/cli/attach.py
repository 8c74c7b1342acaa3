"""`tuner attach`: the progress of a study that another process runs, from its beginning."""

import time
from datetime import UTC, datetime

from tuner.analysis import standings
from tuner.analysis.rate_unit import RateUnit
from tuner.cli.console import err, note, print_blocks
from tuner.cli.control import running
from tuner.cli.job_options import AttachOptions
from tuner.cli.suggested import command
from tuner.errors import InputError, TunerError
from tuner.goals import SearchBudget
from tuner.records import Purpose, StudyRecord
from tuner.report import terminal
from tuner.report.fleet_progress import FleetProgress
from tuner.space.space import Configuration
from tuner.store.events import Event, EventKind, events
from tuner.store.jobs import JobRecord, job_of
from tuner.store.storage import Storage

# How often it is looked for news, in seconds.
_POLL_S = 0.5


def attach(options: AttachOptions) -> None:
    """Show it until it ends, then its result."""
    with Storage(options.db) as storage:
        name = running(storage, options.study)
        job = job_of(storage, name)
        if job is None:
            raise InputError(
                f"study `{name}` was run by a version that did not write down what it does",
                hint=f"`tuner report {name}` shows what it found",
            )
        study = storage.study(name, brief=True)
        try:
            with _progress(study, job) as progress:
                _follow(storage, study, progress)
        except KeyboardInterrupt:
            stop = command("stop", name, options.db)
            note(f"study {name} goes on without being watched; end it with: {stop}")
            raise
        _conclude(storage.study(name), job_of(storage, name) or job, options.db)


def _progress(study: StudyRecord, job: JobRecord) -> terminal.LiveProgress:
    limits = SearchBudget.of(job.limits)
    shown = FleetProgress if study.on_fleet else terminal.LiveProgress
    return shown(
        err,
        limit_latency=study.budget,
        unit=RateUnit.of(study),
        deadline_s=time.monotonic() + job.left_s,
        trials=limits.trials + limits.finals,
        waits=limits.ends_at is None,
    )


def _follow(storage: Storage, study: StudyRecord, progress: terminal.LiveProgress) -> None:
    """Tell all that happened, and what happens, until the study does not run any more."""
    seen, known = 0, {trial.number: trial for trial in study.trials}
    while True:
        found = events(storage, study.name, after=seen)
        for event in found:
            seen = event.id
            if event.kind is EventKind.TRIAL_ENDED and event.trial not in known:
                now = storage.study(study.name, brief=True)
                known = {trial.number: trial for trial in now.trials}
            if event.kind is EventKind.TRIAL_ENDED and event.trial is not None:
                progress.trial_ends(known[event.trial])
            else:
                tell(event, progress)
        if found:
            continue
        job = job_of(storage, study.name)
        if job is None or not job.is_live:
            return
        time.sleep(_POLL_S)


def tell(event: Event, progress: terminal.LiveProgress) -> None:
    """Show one of them; the end of a trial is in its record."""
    content = event.content
    there = content.get("host", "")
    on_host = progress.on(there) if isinstance(progress, FleetProgress) else progress
    match event.kind:
        case EventKind.TRIAL_BEGAN:
            on_host.trial_begins(
                event.trial or 0,
                Purpose(content["purpose"]),
                Configuration.of(content["configuration"]),
            )
            on_host.began_ago((datetime.now(UTC) - event.at).total_seconds())
        case EventKind.PHASE_BEGAN:
            on_host.phase_begins(content["phase"])
        case EventKind.HOST_CHANGED if isinstance(progress, FleetProgress):
            progress.host_changes(there, content["state"])
        case EventKind.STATE_CHANGED:
            progress.phase_begins(content["state"])
        case EventKind.SAID:
            note(content["text"])
        case EventKind.JOB_BEGAN if content["replaces"]:
            note("the tuner before was killed; another one went on")
        case _:
            pass


def _conclude(study: StudyRecord, job: JobRecord, database: str) -> None:
    if job.is_gone:
        again = command("resume", study.name, database)
        raise TunerError(
            f"the tuner of study `{study.name}` was killed", hint=f"go on with it: `{again}`"
        )
    if job.why:
        note(f"study {study.name} ended: {job.why}")
    print_blocks([terminal.result_table(study, standings.standings(study))])

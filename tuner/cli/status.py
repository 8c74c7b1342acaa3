"""`tuner status`: what runs, and how far it is."""

import time

from rich.console import Console, RenderableType
from rich.live import Live

from tuner.cli.console import print_blocks, print_json
from tuner.cli.job_options import StatusOptions
from tuner.errors import InputError
from tuner.records import StudyRecord
from tuner.report.status import (
    Status,
    document,
    jobs_table,
    status_lines,
    trial_document,
    trials_list,
)
from tuner.store.events import EventKind, last_event
from tuner.store.jobs import JobRecord, job_of, jobs
from tuner.store.storage import Storage

# With `--watch`, it is shown anew so often, in seconds.
_EVERY_S = 1.0


def status(options: StatusOptions) -> None:
    """Print it, of one study or of all."""
    with_trials = options.trials or options.state is not None
    if options.watch and (options.as_json or with_trials):
        raise InputError("`--watch` shows a study as it runs", hint="leave out the other options")
    with Storage(options.db) as storage:
        if options.watch:
            _watch(storage, options.study)
        elif with_trials:
            _print_trials(storage.study(options.study, points=False), options)
        elif options.study is None:
            _print_all(storage, options)
        else:
            found = of_study(storage, options.study)
            if options.as_json:
                print_json(document(found))
            else:
                print_blocks([status_lines(found)])


def of_study(storage: Storage, name: str) -> Status:
    """How the study called `name` stands."""
    job = job_of(storage, name)
    # The plan of one that runs rests on its load points.
    study = storage.study(name, points=job is not None and job.is_live)
    return _with_events(storage, study, job)


def of_all(storage: Storage) -> list[Status]:
    """How each study stands, the newest first."""
    found = jobs(storage)
    return [_with_events(storage, each, found.get(each.name)) for each in storage.studies()]


def _with_events(storage: Storage, study: StudyRecord, job: JobRecord | None) -> Status:
    name = study.name
    return Status(
        study,
        job,
        last_event(storage, name, EventKind.TRIAL_BEGAN),
        last_event(storage, name, EventKind.PHASE_BEGAN),
    )


def _print_all(storage: Storage, options: StatusOptions) -> None:
    found = of_all(storage)
    if options.as_json:
        print_json([document(each) for each in found])
    else:
        print_blocks([jobs_table(found)])


def _print_trials(study: StudyRecord, options: StatusOptions) -> None:
    wanted = None if options.state is None else options.state.value
    trials = [trial for trial in study.trials if wanted in (None, trial.state.value)]
    if options.as_json:
        print_json([trial_document(trial) for trial in trials])
    else:
        print_blocks([trials_list(study, trials)])


def _watch(storage: Storage, name: str | None) -> None:
    """Until the study ends, or nothing runs any more."""
    if name is None:
        live = [study for study, job in jobs(storage).items() if job.is_live]
        name = live[0] if len(live) == 1 else None

    def shown() -> tuple[RenderableType, bool]:
        if name is not None:
            found = of_study(storage, name)
            return status_lines(found), found.is_live
        all_found = of_all(storage)
        return jobs_table(all_found), any(each.is_live for each in all_found)

    content, goes_on = shown()
    with Live(content, console=Console(emoji=False), auto_refresh=False) as live_display:
        while goes_on:
            time.sleep(_EVERY_S)
            content, goes_on = shown()
            live_display.update(content, refresh=True)

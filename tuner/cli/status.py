"""`tuner status`: what runs, and how far it is."""

import time
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console, RenderableType
from rich.live import Live

from tuner.analysis.standings import standings
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
from tuner.store.jobs import job_of, jobs
from tuner.store.storage import Storage
from tuner.study.time_plan import plan_rests_on

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
            _print_trials(storage.study(options.study, brief=True), options)
        elif options.study is None:
            _print_all(storage, options)
        else:
            found = of_study(storage, options.study)
            if options.as_json:
                print_json(document(found))
            else:
                print_blocks([status_lines(found)])


def of_study(storage: Storage, name: str, known: Status | None = None) -> Status:
    """How the study called `name` stands.

    Where no trial has ended since `known`, its trials are not read again: whoever watches a study
    must not take the time of the machine that it measures.
    """
    job = job_of(storage, name)
    ended = last_event(storage, name, EventKind.TRIAL_ENDED)
    goes_on = job is not None and job.is_live
    if known is not None and known.ended == ended and (goes_on or job == known.job):
        found = replace(known, job=job)
    else:
        study = storage.study(name, brief=True)
        if goes_on:
            telling = plan_rests_on(study.trials)
            study = storage.in_full(study, [trial.number for trial in telling])
        found = Status(study, standings(study), job, ended)
    return _with_last_events(storage, found)


def of_all(storage: Storage, known: Sequence[Status] = ()) -> list[Status]:
    """How each study stands, the newest first; `known` as in `of_study`."""
    before = {each.study.name: each for each in known}
    return [of_study(storage, name, before.get(name)) for name in storage.names()]


def _with_last_events(storage: Storage, status: Status) -> Status:
    name = status.study.name
    return replace(
        status,
        trial=last_event(storage, name, EventKind.TRIAL_BEGAN),
        phase=last_event(storage, name, EventKind.PHASE_BEGAN),
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

    found: list[Status] = []

    def shown() -> tuple[RenderableType, bool]:
        nonlocal found
        if name is not None:
            found = [of_study(storage, name, *found)]
            return status_lines(found[0]), found[0].is_live
        found = of_all(storage, found)
        return jobs_table(found), any(each.is_live for each in found)

    content, goes_on = shown()
    with Live(content, console=Console(emoji=False), auto_refresh=False) as live_display:
        while goes_on:
            time.sleep(_EVERY_S)
            content, goes_on = shown()
            live_display.update(content, refresh=True)

"""`tuner status`: what runs, and how far it is."""

import time
from collections.abc import Callable

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
    of_all,
    of_study,
    status_lines,
    trial_document,
    trials_list,
)
from tuner.store.jobs import jobs
from tuner.store.storage import Storage

# With `--watch`, it is shown anew so often, in seconds.
_EVERY_S = 1.0


def status(options: StatusOptions) -> None:
    """Print it, of one study or of all."""
    with_trials = options.trials or options.state is not None
    check_watch(options)
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
                print_blocks([status_lines(document(found))])


def check_watch(options: StatusOptions) -> None:
    """Raise an InputError if what is to be watched is also to be printed."""
    if options.watch and (options.as_json or options.trials or options.state is not None):
        raise InputError("`--watch` shows a study as it runs", hint="leave out the other options")


def _print_all(storage: Storage, options: StatusOptions) -> None:
    found = [document(each) for each in of_all(storage)]
    if options.as_json:
        print_json(found)
    else:
        print_blocks([jobs_table(found)])


def _print_trials(study: StudyRecord, options: StatusOptions) -> None:
    wanted = None if options.state is None else options.state.value
    trials = [trial_document(each) for each in study.trials if wanted in (None, each.state.value)]
    if options.as_json:
        print_json(trials)
    else:
        baseline = study.baseline.configuration if study.baseline else None
        print_blocks([trials_list(trials, baseline)])


def _watch(storage: Storage, name: str | None) -> None:
    """Until the study ends, or nothing runs any more."""
    if name is None:
        live = [study for study, job in jobs(storage).items() if job.is_live]
        name = live[0] if len(live) == 1 else None

    found: list[Status] = []

    def now() -> tuple[RenderableType, bool]:
        nonlocal found
        if name is not None:
            found = [of_study(storage, name, *found)]
            return status_lines(document(found[0])), found[0].is_live
        found = of_all(storage, found)
        return jobs_table([document(each) for each in found]), any(each.is_live for each in found)

    watch(now)


def watch(now: Callable[[], tuple[RenderableType, bool]]) -> None:
    """Show what is `now`, again and again until it says that nothing goes on."""
    content, goes_on = now()
    with Live(content, console=Console(emoji=False), auto_refresh=False) as live_display:
        while goes_on:
            time.sleep(_EVERY_S)
            content, goes_on = now()
            live_display.update(content, refresh=True)

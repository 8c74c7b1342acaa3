"""`tuner pause`, `continue` and `stop`: what is asked of a study that runs, by its database."""

from tuner.cli.console import print_json, print_text
from tuner.cli.job_options import ContinueOptions, PauseOptions, StopOptions
from tuner.cli.suggested import command
from tuner.errors import InputError
from tuner.store.jobs import Wanted, job_of, jobs, want
from tuner.store.storage import Storage

SAID = {
    Wanted.PAUSE: "pauses after the load point in progress; go on with `{}`",
    Wanted.STOP: "ends its search after the load point in progress, or its finals; look at it "
    "with `{}`",
    Wanted.STOP_NOW: "ends after the load point in progress; look at it with `{}`",
    Wanted.NOTHING: "goes on; look at it with `{}`",
}
_NEXT = {Wanted.PAUSE: "continue", Wanted.STOP_NOW: "report"}


def pause(options: PauseOptions) -> None:
    """Have it pause."""
    _ask(options, Wanted.PAUSE)


def go_on(options: ContinueOptions) -> None:
    """Have it go on."""
    _ask(options, Wanted.NOTHING)


def stop(options: StopOptions) -> None:
    """Have it end."""
    _ask(options, Wanted.STOP_NOW if options.now else Wanted.STOP)


def running(storage: Storage, study: str | None) -> str:
    """The name of the study, or that of the only one that runs.

    Raises:
        InputError: There is no such study, none runs, or several do.
    """
    if study is not None:
        return storage.study(study, trials=False).name
    live = sorted(name for name, job in jobs(storage).items() if job.is_live)
    if not live:
        raise InputError("no study runs", hint="`tuner status` lists the studies")
    if len(live) > 1:
        raise InputError(
            "several studies run; say which is meant", hint=f"they are: {', '.join(live)}"
        )
    return live[0]


def _ask(options: PauseOptions, wanted: Wanted) -> None:
    with Storage(options.db) as storage:
        study = running(storage, options.study)
        job = want(storage, study, wanted)
        if job is None:
            raise _runs_not(storage, study, options.db)
    if wanted is Wanted.NOTHING and not job.pauses:
        shows = command("status", study, options.db)
        raise InputError(f"study `{study}` is not paused", hint=f"`{shows}` says what it does")
    if options.as_json:
        print_json({"study": study, "asked": wanted.value or "continue", "owner": job.who})
        return
    after = command(_NEXT.get(wanted, "status"), study, options.db)
    print_text(f"study {study} {SAID[wanted].format(after)}")


def _runs_not(storage: Storage, study: str, database: str) -> InputError:
    job = job_of(storage, study)
    gone = job is not None and job.is_gone
    how = "its tuner was killed" if gone else "it has ended"
    again = command("resume", study, database)
    return InputError(f"study `{study}` does not run: {how}", hint=f"`{again}` goes on with it")

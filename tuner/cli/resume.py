"""`tuner resume`: a study goes on with what it was asked for when it began."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from tuner.cli import asked
from tuner.cli.job_options import ResumeOptions, RetryOptions
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.signature import Command
from tuner.cli.suggested import command
from tuner.errors import InputError, Reason
from tuner.goals import SearchBudget
from tuner.records import StudyRecord
from tuner.store.jobs import JobRecord, JobState, job_of
from tuner.store.storage import Storage
from tuner.study.failed_trials import failed_trials

# What a person can say anew.
_SAID_ANEW = ("timeout", "until", "trials")


def resume(options: ResumeOptions) -> None:
    """Run `optimize` with what the study was asked for."""
    optimize_with(words(options))


def retry(options: RetryOptions) -> None:
    """The same, and failed trials again.

    Raises:
        InputError: It was not said which, or none is among them.
    """
    reasons = set(options.reason or ()) or (set(Reason) if options.failed else set())
    if not reasons:
        raise InputError(
            "it is not said which trials are to be run again",
            hint="`--failed` for all that failed, or `--reason REASON`",
        )
    with Storage(options.db) as storage:
        study = storage.study(options.study, brief=True)
        job = job_of(storage, study.name)
    failed = failed_trials(study, reasons)
    if not failed:
        raise InputError(
            f"no trial of study `{study.name}` failed so",
            hint=f"`{command('status', study.name, options.db, '--state', 'failed')}` lists those "
            "that failed",
        )
    limit = job.limits["trials"] if job else 0
    trials = options.trials or max(limit, len(study.searched) + len(failed))
    optimize_with(words(replace(options, trials=trials), sorted(reasons)))


@cache
def optimize_command() -> Any:
    """`tuner optimize`, as typer has it."""
    return Command(".optimize_options:OptimizeOptions", ".optimize:optimize").made("optimize")


def optimize_with(arguments: list[str]) -> None:
    """Run `tuner optimize` with these words."""
    made = optimize_command()
    # Not by its `main`, which would make a status of Ctrl-C, and return it.
    with made.make_context("tuner optimize", list(arguments)) as context:
        made.invoke(context)


def words(options: ResumeOptions, reasons: Sequence[Reason] = ()) -> list[str]:
    """The words after `tuner optimize` that go on with the study.

    Trials that failed for one of the `reasons` are run again, or for those that the job before
    had not done with.

    Raises:
        InputError: It has ended, its time is over, or something that it needs is not stored.
    """
    with Storage(options.db) as storage:
        study = storage.study(options.study, brief=True)
        job = job_of(storage, study.name)
    stored = stored_options(study, options.header)
    if job is not None and (job.state is not JobState.ENDED or job.why):
        reasons = reasons or [Reason(each) for each in job.retry]
    found = {name: each for name, each in stored.items() if name not in _SAID_ANEW}
    found |= {"trials": options.trials or (job.limits["trials"] if job else None)}
    found |= {"warm_start": list(study.warm_start) or None}
    found |= _time(study, job, options, reasons)
    found |= {"retry": [each.value for each in reasons] or None}
    found |= {"study": study.name, "db": options.db, "output": str(options.output)}
    found |= {"fleet": _fleet(stored, options)}
    found |= {"detach": options.detach, "as_json": options.as_json}
    found |= {"notify": options.notify, "notify_url": options.notify_url}
    given = {name: each for name, each in found.items() if is_said(each)}
    return asked.words(given, OptimizeOptions)


def is_said(value: object) -> bool:
    """Whether an option with this value is among the words of a command; 0 is a value."""
    return not (value is None or value is False or value == "")


def stored_options(
    study: StudyRecord, said: Sequence[str] | None, *, hint: str = ""
) -> dict[str, Any]:
    """What the study was asked for, by the names of options, with the values of its headers.

    The `hint` is what can be done where nothing is stored; else its command is to be repeated.

    Raises:
        InputError: It is not stored, a header was not `said` again, or is none of the study.
    """
    if not study.options:
        raise InputError(
            f"study `{study.name}` was begun by a version that did not store its options",
            hint=hint or f"repeat its command, with `--study {study.name}`",
        )
    if not said and "header" not in study.options:
        return dict(study.options)
    return {**study.options, "header": headers(study, said)}


def headers(study: StudyRecord, said: Sequence[str] | None) -> list[str]:
    """Those of the study; their values are secrets, which are not stored.

    Raises:
        InputError: One was not `said` again, or another one was.
    """
    names = [each.partition(":")[0] for each in study.options.get("header", ())]
    given = {each.partition(":")[0]: each for each in said or ()}
    missing = [name for name in names if name not in given]
    if missing:
        raise InputError(
            f"study `{study.name}` sends headers whose values are not stored: "
            f"{', '.join(missing)}",
            hint=" ".join(f"--header '{name}: VALUE'" for name in missing),
        )
    if unknown := given.keys() - names:
        raise InputError(
            f"study `{study.name}` sends no header `{min(unknown)}`", hint="leave it out"
        )
    return [given[name] for name in names]


def _fleet(stored: Mapping[str, Any], options: ResumeOptions) -> str:
    """Where the hosts of the study are now; empty where a machine measures it.

    Raises:
        InputError: That is so, and yet an address was said.
    """
    before: str = stored.get("fleet", "")
    if options.fleet and not before:
        raise InputError(
            f"`--fleet` means nothing to study `{options.study}`, which one machine measured",
            hint="leave it out; another `--study NAME` can begin with it: `--warm-start`",
        )
    return options.fleet or before


def _time(
    study: StudyRecord, job: JobRecord | None, options: ResumeOptions, reasons: Sequence[Reason]
) -> dict[str, Any]:
    """What was said anew, or what is left of what the study had."""
    if options.timeout or options.until:
        return {"timeout": options.timeout, "until": options.until}
    if job is None:
        return {"timeout": study.options.get("timeout")}
    retried = [word for each in reasons for word in ("--reason", each.value)]
    name = "retry" if retried else "resume"
    again = command(name, study.name, options.db, *retried, "--timeout", "10m")
    if job.state is JobState.ENDED and not job.why and not options.trials:
        raise InputError(
            f"study `{study.name}` has ended: {study.stopped}",
            hint=f"more time goes on with it: `{again}`",
        )
    ends_at = SearchBudget.of(job.limits).ends_at
    left_s = job.left_s if ends_at is None else (ends_at - datetime.now(UTC)).total_seconds()
    if left_s < 1:
        raise InputError(
            f"the time of study `{study.name}` is over", hint=f"give it more: `{again}`"
        )
    if ends_at is not None:
        return {"until": f"{ends_at.astimezone():%H:%M}"}
    return {"timeout": f"{left_s:.0f}s"}

"""`tuner jobs`: several studies in one night, one after the other, and one summary at the end."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, fields
from typing import Any

from tuner.cli import asked, values
from tuner.cli.console import note, print_blocks, print_error, print_json
from tuner.cli.detached import LOG, detach, own_log
from tuner.cli.job_options import JobsOptions
from tuner.cli.notified import check, notified
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.resume import optimize_with
from tuner.cli.status import of_study
from tuner.errors import InputError, TunerError, at, did_you_mean, shown
from tuner.report.status import document, jobs_table
from tuner.space.files import plain
from tuner.store.jobs import JobState, job_of
from tuner.store.storage import Storage

# What the command says for all of them.
_OF_ALL = ("study", "db", "output", "detach", "notify", "notify_url", "until", "as_json", "retry")


@dataclass(frozen=True)
class Night:
    """One of the studies: what `optimize` is asked for, and its share of the time."""

    study: str
    options: Mapping[str, Any]
    share: float = 1.0

    @property
    def own_s(self) -> float | None:
        """The time that it has for itself."""
        timeout = self.options.get("timeout")
        return None if timeout is None else values.duration_s(str(timeout), "timeout")


def run_jobs(options: JobsOptions) -> None:
    """Run them; one that fails is no reason not to run the next."""
    nights = _nights(options)
    check(options.notify, options.notify_url)
    if options.detach and not own_log():
        log = options.output / nights[0].study / LOG
        detach(nights[0].study, options.db, log, as_json=options.as_json)
        return
    with notified(options.notify, options.notify_url, ", ".join(n.study for n in nights)) as end:
        failed = _run(nights, options)
        with Storage(options.db) as storage:
            found = [of_study(storage, night.study) for night in nights if night not in failed]
        end.result = {"studies": [document(each) for each in found]}
        if options.as_json:
            print_json(end.result["studies"])
        else:
            print_blocks([jobs_table(found)])
        if failed:
            names = ", ".join(night.study for night in failed)
            raise TunerError(f"these studies failed: {names}")


def time_of(nights: Sequence[Night], left_s: float) -> float:
    """Seconds for the first of `nights`, of what is left for all of them.

    Those with a time of their own have that; what remains is shared by the others.
    """
    own_s = nights[0].own_s
    if own_s is not None:
        return min(own_s, left_s)
    others_s = sum(night.own_s or 0.0 for night in nights)
    shares = sum(night.share for night in nights if night.own_s is None)
    return max(0.0, left_s - others_s) * nights[0].share / shares


def _run(nights: Sequence[Night], options: JobsOptions) -> list[Night]:
    """Those that failed."""
    limit_s = _all_s(options)
    ends_s = None if limit_s is None else time.monotonic() + limit_s
    failed = []
    for number, night in enumerate(nights):
        if _has_ended(night.study, options.db):
            note(f"study {night.study} has ended already")
            continue
        asked_for = {**night.options, "study": night.study, "db": options.db}
        if ends_s is not None:
            left_s = time_of(nights[number:], ends_s - time.monotonic())
            asked_for["timeout"] = f"{max(1.0, left_s):.0f}s"
        words = asked.words(asked_for | {"output": str(options.output)}, OptimizeOptions)
        try:
            with redirect_stdout(sys.stderr) if options.as_json else nullcontext():
                optimize_with(words)
        except TunerError as error:
            print_error(f"{night.study}: {error.message}", error.hint)
            failed.append(night)
    return failed


def _all_s(options: JobsOptions) -> float | None:
    if options.timeout and options.until:
        raise InputError(
            "`--timeout` and `--until` exclude each other", hint="leave one of them out"
        )
    if options.until:
        return values.seconds_until(options.until)
    return values.duration_s(options.timeout, "--timeout") if options.timeout else None


def _has_ended(study: str, database: str) -> bool:
    try:
        with Storage(database) as storage:
            job = job_of(storage, study)
    except InputError:  # no database yet
        return False
    return job is not None and job.state is JobState.ENDED and not job.why


def _nights(options: JobsOptions) -> list[Night]:
    """The studies of the file, in its order.

    Raises:
        InputError: The file, or something in it, cannot be used.
    """
    example = "for example: `resnet: {budget-ms: 50}`"
    with at(options.file):
        content = plain(options.file, hint=example)
        if not isinstance(content, dict) or not content:
            raise InputError(f"studies were expected, but got {shown(content)}", hint=example)
        return [_night(str(study), each) for study, each in content.items()]


def _night(study: str, content: object) -> Night:
    if not isinstance(content, dict):
        raise InputError(
            f"{study}: the options of `tuner optimize` were expected, but got {shown(content)}",
            hint="for example: `budget-ms: 50`",
        )
    known = {each.name for each in fields(OptimizeOptions)} - set(_OF_ALL)
    given = {str(n).replace("-", "_"): value for n, value in content.items() if value is not None}
    share = given.pop("share", 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or share <= 0:
        raise InputError(f"{study}: share: a number above 0 was expected, but got {shown(share)}")
    for name in given:
        if name not in known:
            raise InputError(
                f"{study}: `{name.replace('_', '-')}` is no option of a study",
                hint=did_you_mean(name.replace("_", "-"), [n.replace("_", "-") for n in known]),
            )
    if "budget_ms" not in given:
        raise InputError(f"{study}: has no latency budget", hint="add `budget-ms: 50`")
    return Night(study, given, float(share))

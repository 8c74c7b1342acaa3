"""`tuner jobs`: several studies in one night, one after the other, and one summary at the end."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from runners.errors import RunnerError
from tuner.cli import asked, values
from tuner.cli.console import note, print_blocks, print_error, print_json
from tuner.cli.detached import LOG, detach, own_log
from tuner.cli.job_options import JobsOptions
from tuner.cli.notified import check, notified
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.resume import is_said, optimize_command, optimize_with
from tuner.cli.signature import UsageError
from tuner.errors import InputError, TunerError, at, did_you_mean, shown
from tuner.report.budgets import LIMITS
from tuner.report.status import Status, document, jobs_table, of_study
from tuner.space.files import plain
from tuner.store.jobs import JobState, job_of
from tuner.store.storage import Storage

# What the command says for all of them.
_OF_ALL = (
    *("as_json", "db", "detach", "notify", "notify_url", "output", "retry", "service", "study"),
    *("until", "wait"),
)


@dataclass(frozen=True)
class Night:
    """One of the studies: what `optimize` is asked for, and its share of the time."""

    study: str
    options: Mapping[str, Any]
    share: float = 1.0

    @property
    def words(self) -> list[str]:
        """The words after `tuner optimize` that say it."""
        return [*asked.words(self.options, OptimizeOptions), "--study", self.study]

    @property
    def own_s(self) -> float | None:
        """The time that it has for itself."""
        timeout = self.options.get("timeout")
        return None if timeout is None else values.duration_s(str(timeout), "timeout")


def run_jobs(options: JobsOptions) -> None:
    """Run them; one that fails is no reason not to run the next."""
    ends_at = _end(options)
    nights = _nights(options)
    check(options.notify, options.notify_url)
    if options.detach and not own_log():
        log = options.output / nights[0].study / LOG
        detach(nights[0].study, options.db, log, as_json=options.as_json)
        return
    with notified(options.notify, options.notify_url, ", ".join(n.study for n in nights)) as end:
        failed = [
            night.study for night in nights if not _went_well(night, nights, ends_at, options)
        ]
        found = _found([night.study for night in nights if night.study not in failed], options.db)
        end.result = {"studies": [document(each) for each in found]}
        if options.as_json:
            print_json(end.result["studies"])
        else:
            print_blocks([jobs_table(end.result["studies"])])
        if failed:
            raise TunerError(f"these studies failed: {', '.join(failed)}")


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


def _went_well(
    night: Night, nights: Sequence[Night], ends_at: datetime | None, options: JobsOptions
) -> bool:
    """Run one of `nights`; what is wrong with it is said."""
    if _has_ended(night.study, options.db):
        note(f"study {night.study} has ended already")
        return True
    try:
        words = [*night.words, "--db", options.db, "--output", str(options.output)]
        if ends_at is not None:
            words += _time_words(nights[nights.index(night) :], ends_at)
        with redirect_stdout(sys.stderr) if options.as_json else nullcontext():
            optimize_with(words)
    except TunerError as error:
        print_error(f"{night.study}: {error.message}", error.hint)
        return False
    except RunnerError as error:
        print_error(f"{night.study}: {error}", error.hint)
        return False
    return True


def _time_words(nights: Sequence[Night], ends_at: datetime) -> list[str]:
    """The time of the first of `nights`, as an option that comes after its own.

    Raises:
        TunerError: None is left.
    """
    left_s = time_of(nights, (ends_at - datetime.now(UTC)).total_seconds())
    if left_s < 1:
        raise TunerError("no time is left for it", hint="give all of them more")
    return ["--timeout", f"{left_s:.0f}s"]


def _end(options: JobsOptions) -> datetime | None:
    """When all of them are to be done, if that was said."""
    values.check_one_end(options.timeout, options.until)
    if options.until:
        return values.moment(options.until)
    if options.timeout:
        return datetime.now(UTC) + timedelta(
            seconds=values.duration_s(options.timeout, "--timeout")
        )
    return None


def _found(studies: Sequence[str], database: str) -> list[Status]:
    if not studies:
        return []  # and perhaps no database
    with Storage(database) as storage:
        return [of_study(storage, study) for study in studies]


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
    given = {str(n).replace("_", "-"): each for n, each in content.items() if each is not None}
    share = given.pop("share", 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or share <= 0:
        raise InputError(f"{study}: share: a number above 0 was expected, but got {shown(share)}")
    _check_names(study, given)
    said = {n.replace("-", "_"): each for n, each in given.items() if is_said(each)}
    night = Night(study, said, float(share))
    try:  # in the middle of the night nobody could mend a value
        optimize_command().make_context("tuner optimize", night.words)
    except UsageError as error:
        raise InputError(f"{study}: {error.format_message()}") from None
    return night


def _check_names(study: str, given: Mapping[str, Any]) -> None:
    known = {
        each.name.replace("_", "-"): each.default
        for each in fields(OptimizeOptions)
        if each.name not in _OF_ALL
    }
    for name, value in given.items():
        if name not in known:
            raise InputError(
                f"{study}: `{name}` is no option of a study", hint=did_you_mean(name, known)
            )
        flag = isinstance(known[name], bool)
        if flag != isinstance(value, bool):
            wanted = "true or false" if flag else "a value"
            raise InputError(f"{study}: {name}: {wanted} was expected, but got {shown(value)}")
    if not given.keys() & {each.replace("_", "-") for each in LIMITS.values()}:
        raise InputError(f"{study}: has no latency budget", hint="add `budget-ms: 50`")

"""`tuner check`: a study's winner measured again, for people and for CI."""

import re
import time
from pathlib import Path

import typer

from tuner.analysis.rate_unit import RateUnit
from tuner.cli import asked, values
from tuner.cli.check_options import CheckOptions
from tuner.cli.console import err, note, print_blocks, print_json
from tuner.cli.fleet_options import OF_FLEET
from tuner.cli.job import job
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.resume import is_said, stored_options
from tuner.cli.signature import Command
from tuner.cli.suggested import command
from tuner.errors import StudyHeldError, TunerError, unfit
from tuner.records import StudyRecord
from tuner.report import check_junit, check_text
from tuner.report.terminal import LiveProgress
from tuner.store.jobs import jobs
from tuner.store.storage import Storage
from tuner.study import check as checking
from tuner.study.check import Checked, CheckOutcome, CheckPlan
from tuner.study.check_turn import check_turn
from tuner.study.job import PreparedJob, prepare

EXIT_STATUS = {
    CheckOutcome.AS_GOOD: 0,
    CheckOutcome.UNDECIDED: 0,  # a worse winner takes proof
    CheckOutcome.WORSE: 4,
    CheckOutcome.NOT_COMPARABLE: 5,
}
# What of the present can be said anew.
_ANEW = ("image", "model_repository", "model_file", "url")


def check(options: CheckOptions) -> None:
    """Measure, print, and exit with what was found."""
    plan = _plan(options)
    with Storage(options.db) as storage:
        study = storage.study(options.study)
        _refuse_beside(storage, study, options.db)
    checking.sides(study)
    prepared = _prepared(study, options)
    for said in prepared.notes:
        note(said)
    if options.junit:  # rather now than after minutes of measuring
        _write(options.junit, b"")
    with check_turn():
        found = _measured(prepared, study, plan)
    if options.as_json:
        status = {"exit_status": EXIT_STATUS[found.outcome]}
        print_json(check_text.document(found) | status)
    else:
        print_blocks(check_text.blocks(found))
    if options.junit:
        _write(options.junit, check_junit.junit(found))
    raise typer.Exit(EXIT_STATUS[found.outcome])


def options_of(options: OptimizeOptions) -> OptimizeOptions:
    """The options of a command, as typer has understood its words."""
    return options


def _plan(options: CheckOptions) -> CheckPlan:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", options.tolerance.strip())
    percent = float(match[1]) if match else 0.0
    if not 0 < percent < 100:
        wanted = "a percentage above 0 and below 100"
        raise unfit("--tolerance", wanted, options.tolerance, "for example: 5%")
    timeout_s = values.duration_s(options.timeout, "--timeout")
    return CheckPlan(rounds=options.rounds, timeout_s=timeout_s, tolerance=percent / 100)


def _refuse_beside(storage: Storage, study: StudyRecord, database: str) -> None:
    """What runs on this machine would be disturbed by a check, and disturb it.

    Raises:
        StudyHeldError: The study itself runs anywhere, or another of the database here.
    """
    for name, each in jobs(storage).items():
        if each.is_live and (name == study.name or each.is_here):
            raise StudyHeldError(
                f"study `{name}` is run by {each.who}: both would measure less than there is",
                hint=f"check when it has ended, or end it: `{command('stop', name, database)}`",
            )


def _prepared(study: StudyRecord, options: CheckOptions) -> PreparedJob:
    """The study's own options, with what is said anew."""
    found = stored_options(study, options.header)
    found |= {name: str(getattr(options, name)) for name in _ANEW if getattr(options, name)}
    # What says when a search ends, and how it goes, means nothing here.
    found |= {"db": options.db, "study": study.name, "until": None, "warm_start": None}
    found |= dict.fromkeys(OF_FLEET)
    words = asked.words({n: each for n, each in found.items() if is_said(each)}, OptimizeOptions)
    made = Command(".optimize_options:OptimizeOptions", ".check:options_of").made("optimize")
    with made.make_context("tuner optimize", words) as context:
        return prepare(job(made.invoke(context)))


def _measured(prepared: PreparedJob, study: StudyRecord, plan: CheckPlan) -> Checked:
    _, canary = checking.sides(study)
    note(
        f"check of study {study.name}: model {prepared.model.name}, {study.budget}; at most "
        f"{plan.rounds} rounds of {'winner and defaults' if canary else 'the winner'}"
    )
    try:
        with LiveProgress(
            err,
            limit_latency=study.budget,
            unit=RateUnit.of(study),
            deadline_s=time.monotonic() + plan.timeout_s,
            trials=plan.rounds * (2 if canary else 1),
        ) as progress:
            return checking.check(prepared, study, plan, progress, note)
    except KeyboardInterrupt:
        note(f"interrupted; study {study.name} is as it was")
        raise


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise TunerError(
            f"{path}: cannot be written: {error.strerror}", hint="name another with `--junit`"
        ) from None

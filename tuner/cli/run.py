"""`tuner run`: serves with a configuration of a study, in the foreground."""

import os
import re
import shlex
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import TextIO

from runners.base import PLACEHOLDER, RunningServer
from runners.errors import describe_exit
from tuner.analysis import standings
from tuner.cli import asked
from tuner.cli.console import note, print_json, print_text
from tuner.cli.fleet_options import OF_FLEET
from tuner.cli.job import job
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.place import ports
from tuner.cli.resume import is_said, stored_options
from tuner.cli.run_options import RunOptions
from tuner.cli.values import check_meaning, check_needed
from tuner.errors import InputError, ServerError, TrialFailure, unfit
from tuner.records import StudyRecord, TrialRecord
from tuner.report import findings
from tuner.store.storage import Storage
from tuner.study import profiling
from tuner.study.deployment import STUDY_LABEL
from tuner.study.job import PreparedJob, prepare
from tuner.study.serving import Changes, serving

_VARIABLE = re.compile(r"([A-Za-z_]\w*)=(.*)", re.ASCII | re.DOTALL)
# Between two looks at the server and its log, in seconds.
_POLL_S = 0.2
# A log that is longer is emptied once it was handed on, in bytes.
_LONGEST_LOG = 16 << 20


def run(options: RunOptions) -> None:
    """Serve until somebody ends it.

    Raises:
        InputError: The study, or an option, cannot be used.
        ServerError: The server does not start, or ends by itself.
    """
    if not options.profile:
        check_needed(options, "output", "--profile")
    changes = Changes(
        environment=dict(_variable(each) for each in options.env or ()),
        ports=ports(options.port),
    )
    with Storage(options.db) as storage:
        study = storage.study(options.study, brief=True)
    trial = _trial(study, options.trial)
    prepared = prepare(job(_stored(study, options)))
    if options.profile:
        folder = (options.output / study.name.replace("/", "_")).absolute()
        changes = replace(changes, profile=profiling.profile(prepared, folder))
    _serve(prepared, study, trial, changes, as_json=options.as_json)


def _trial(study: StudyRecord, number: int | None) -> TrialRecord:
    """The trial of that number, or the one that won."""
    if number is None:
        winner = standings.standings(study).winner
        if winner is None:
            raise findings.nothing_feasible(study)
        return winner.trial
    found = {trial.number: trial for trial in study.trials}
    if number not in found:
        raise InputError(
            f"study `{study.name}` has no trial {number}",
            hint=f"`tuner studies show {study.name}` lists its trials",
        )
    return found[number]


def _stored(study: StudyRecord, options: RunOptions) -> OptimizeOptions:
    """What the study was asked for."""
    instead = f"`tuner best {study.name}` prints its configuration"
    if (study.place or {}).get("runner") == "remote":
        raise InputError(
            f"study `{study.name}` tuned a server that already ran, which nobody can start here",
            hint=instead,
        )
    if "header" not in study.options:
        hint = "leave it out: the study sends none"
        check_meaning(options, {"header"}, study.name, hint=hint)
    stored = stored_options(study, options.header, hint=instead)
    here = {name: each for name, each in stored.items() if name not in OF_FLEET}
    said = {name: each for name, each in here.items() if is_said(each)}
    found: OptimizeOptions = asked.options_of(said | {"study": study.name}, OptimizeOptions)
    return found


def _variable(text: str) -> tuple[str, str]:
    match = _VARIABLE.fullmatch(text)
    if match is None:
        hint = "for example: OMP_NUM_THREADS=1"
        raise unfit("--env", "NAME=VALUE", text.partition("=")[0], hint)
    if found := PLACEHOLDER.search(match[2]):
        raise InputError(
            f"`--env {match[1]}`: a start would replace `{found[0]}` in the value",
            hint="give what it stands for; only space files have placeholders",
        )
    return match[1], match[2]


def _serve(
    prepared: PreparedJob,
    study: StudyRecord,
    trial: TrialRecord,
    changes: Changes,
    *,
    as_json: bool,
) -> None:
    if prepared.study.model_fingerprint != study.model_fingerprint:
        note(f"the model `{study.model}` has changed since the study")
    note(f"study {study.name}, trial {trial.number}: {trial.configuration}")
    space = study.space or prepared.space
    try:
        with serving(replace(prepared, space=space), trial, changes) as (server, log):
            _tell(study, trial, server, changes, as_json=as_json)
            _follow(server, log, study.name)
    except TrialFailure as failure:
        note(failure.log_tail)
        raise
    finally:
        if changes.profile:
            note(changes.profile.where)


def _tell(
    study: StudyRecord,
    trial: TrialRecord,
    server: RunningServer,
    changes: Changes,
    *,
    as_json: bool,
) -> None:
    urls = {name: server.url(name) for name in server.ports}
    if as_json:
        content = {"study": study.name, "trial": trial.number, "server": study.server}
        profile = changes.profile.where if changes.profile else None
        print_json({**content, "model": study.model, "urls": urls, "profile": profile})
    else:
        for name, url in urls.items():
            print_text(f"{name}: {url}")
    sys.stdout.flush()


def _follow(server: RunningServer, log: Path | None, study: str) -> None:
    """Hand on what the server logs, until it ends.

    Raises:
        ServerError: It ended by itself.
    """
    if log is None:
        words = ["docker", "ps", "--quiet", "--filter", f"label={STUDY_LABEL}={study}"]
        note(f"its log: docker logs --follow $({shlex.join(words)})")
    with nullcontext() if log is None else log.open("r+", errors="replace") as said:
        while server.is_alive():
            _hand_on(said)
            sleep(_POLL_S)
        _hand_on(said)
    code = server.exit_code()
    raise ServerError(f"the server {'is gone' if code is None else describe_exit(code)}")


def _hand_on(log: TextIO | None) -> None:
    """What was not read yet; the server appends, so that an emptied log begins anew."""
    if log is None:
        return
    sys.stderr.write(log.read())
    if os.fstat(log.fileno()).st_size > _LONGEST_LOG:
        log.seek(0)
        log.truncate()

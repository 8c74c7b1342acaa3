"""`tuner optimize` and `tuner plan`: search, or say what a search would do."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.analysis import standings
from tuner.analysis.effects import Effects
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Standings
from tuner.capacity import find as capacity
from tuner.cli.console import err, note, print_blocks, print_json, print_text
from tuner.cli.detached import LOG, detach, own_log
from tuner.cli.fleet import prepared_for_hosts, run_on_hosts
from tuner.cli.job import job, planned_job
from tuner.cli.notified import Ending, check, notified
from tuner.cli.optimize_options import OptimizeOptions, PlanOptions
from tuner.cli.results import report_folder, write_files
from tuner.cli.suggested import command
from tuner.errors import masked
from tuner.records import StudyRecord
from tuner.report import effects_text, export, findings, summaries, tables, terminal
from tuner.report.fleet_progress import FleetProgress
from tuner.report.spaces import size, size_text, space_content
from tuner.study.earlier_study import earlier_study
from tuner.study.job import PreparedJob, run
from tuner.study.placement import RemoteAddress, withheld
from tuner.study.time_plan import planned_s, too_short


def optimize(options: OptimizeOptions) -> None:
    """Find the configuration that carries the most traffic within the latency budget."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
    check(options.notify, options.notify_url)
    if options.detach and not own_log():
        study = prepared_for_hosts(job(options)).study
        log = report_folder(options.output, study.name) / LOG
        detach(study.name, options.db, log, as_json=options.as_json)
        return
    with notified(options.notify, options.notify_url, options.study) as ending:
        _optimize(options, ending)


def _optimize(options: OptimizeOptions, ending: Ending) -> None:
    prepared = prepared_for_hosts(job(options))
    ending.study = prepared.study.name
    for said in prepared.notes:
        note(said)
    if offer := earlier_study(prepared):
        note(offer)
    finished = _run(prepared)
    result = standings.standings(finished)
    found = effects_text.of(finished, result)
    written = write_files(finished, result, found, report_folder(options.output, finished.name))
    files = {"files": [str(path) for path in written]}
    ending.result = _summary(finished, result) | files
    if options.as_json:
        print_json(export.study_document(finished, result) | files)
    else:
        _print_result(finished, result, found, written, options.db)
    if result.winner is None:
        raise findings.nothing_feasible(finished)


def plan(options: PlanOptions) -> None:
    """Say what `optimize` with these options would do, without doing it."""
    prepared = prepared_for_hosts(planned_job(options))
    content = _plan_document(prepared)
    for said in prepared.notes:
        note(said)
    if options.as_json:
        print_json(content)
        return
    print_plan(content)


def print_plan(content: Mapping[str, Any]) -> None:
    """The document for people."""
    print_blocks(tables.space_tables(content["space"]))
    size_of_space = size_text(content["space"], content["assignments"])
    print_blocks(tables.plan_lines(content, size_of_space))


def _run(prepared: PreparedJob) -> StudyRecord:
    wanted, name = prepared.job, prepared.study.name
    note(
        f"study {name}: model {prepared.model.name}, {wanted.budget}, "
        f"{size(prepared.space)} configurations"
    )
    try:
        return _measured(prepared)
    except KeyboardInterrupt:
        # Whoever started the server has seen its end; a remote one runs on.
        gone = "" if isinstance(wanted.place, RemoteAddress) else "the server is gone and "
        if wanted.fleet:
            gone = "nothing of it runs on the hosts any more and "
        note(
            f"interrupted; {gone}study {name} is kept\n"
            f"go on with it: {command('resume', name, wanted.database)}"
        )
        raise


def _measured(prepared: PreparedJob) -> StudyRecord:
    wanted = prepared.job
    shown = FleetProgress if wanted.fleet else terminal.LiveProgress
    with shown(
        err,
        limit_latency=wanted.budget,
        unit=RateUnit.of(prepared.study),
        deadline_s=time.monotonic() + wanted.search_budget.timeout_s,
        trials=wanted.search_budget.trials + wanted.search_budget.finals,
        waits=wanted.search_budget.ends_at is None,
    ) as progress:
        if isinstance(progress, FleetProgress):
            return run_on_hosts(prepared, progress, note)
        return run(prepared, progress, note)


def _summary(study: StudyRecord, result: Standings) -> dict[str, Any]:
    """What is told of a result."""
    winner, gain = result.winner, result.gain
    return {
        "throughput": winner.throughput if winner else None,
        "unit": RateUnit.of(study).value,
        "configuration": dict(winner.configuration) if winner else None,
        "gain": gain.estimate if gain else None,
    }


def _print_result(
    study: StudyRecord, result: Standings, found: Effects, written: list[Path], database: str
) -> None:
    print_blocks(summaries.search_blocks(study, result, found))
    for path in written:
        print_text(f"{path.name}: {path}")
    print_text(f"database: {masked(database)} (study {study.name})")
    print_text(f"next: {next_command(study, result, database)}")


def next_command(study: StudyRecord, result: Standings, database: str) -> str:
    """What a person most likely wants to type now."""
    return command("report" if result.winner is None else "best", study.name, database)


def _plan_document(prepared: PreparedJob) -> dict[str, Any]:
    budget = prepared.job.search_budget
    space = prepared.space
    return {
        "model": prepared.model.name,
        "notes": list(prepared.notes),
        "latency_budget": str(prepared.job.budget),
        "space": space_content(space),
        "assignments": space.combinations,
        "valid_configurations": space.size,
        "trials": budget.trials if space.size is None else min(budget.trials, space.size),
        "finals": budget.finals,
        "seconds_per_trial": capacity.expected_s(prepared.job.budget),
        "environment_withheld": withheld(prepared.job.place, space),
        "seconds": planned_s(prepared.job.budget, budget, space.size),
        "too_short": too_short(prepared.job.budget, budget, space.size),
    }

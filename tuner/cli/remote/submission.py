"""`tuner optimize` and `tuner plan` with `--service`: a job there, and what it would do."""

import uuid
from collections.abc import Mapping
from typing import Any

from tuner.cli import asked
from tuner.cli.console import note, print_json, print_text
from tuner.cli.job import with_model_file
from tuner.cli.optimize import print_plan
from tuner.cli.optimize_options import OF_COMMAND, OptimizeOptions, PlanOptions
from tuner.cli.remote.connection import command_there, connected
from tuner.cli.remote.files import with_models_sent
from tuner.cli.remote.following import follow
from tuner.cli.remote.jobs import place
from tuner.cli.remote.studies import check_found, print_summary, write_report
from tuner.cli.values import check_meaning, check_needed
from tuner.clients.service import ServiceClient, study_path
from tuner.report.summaries import SummaryForm

# What only a study on this machine has.
_OF_THIS_MACHINE = frozenset({"detach", "notify", "retry"})


def optimize(options: OptimizeOptions) -> None:
    """Submit a job; with `--wait`, follow it to its end, and print its result."""
    hint = "leave it out; the service runs the job in any case"
    check_meaning(options, _OF_THIS_MACHINE, "--service", hint=hint)
    if not options.wait:
        check_needed(options, "output", "--wait")
    with connected(options) as service:
        job = _submitted(service, options)
        if not options.wait:
            _print_submitted(job, options)
            return
        note(f"{_stands(job)}; {_page(job, options)}")
        follow(service, job, options.service)
        _print_result(service, job["study"], options)


def plan(options: PlanOptions) -> None:
    """Say what a job with these options would do there, without doing it."""
    with connected(options) as service:
        content = service.post("/jobs/plan", {"options": _said(service, options)})
    for each in content["notes"]:
        note(each)
    print_json(content) if options.as_json else print_plan(content)


def _submitted(service: ServiceClient, options: OptimizeOptions) -> dict[str, Any]:
    wanted: dict[str, Any] = {"study": options.study, "webhook": options.notify_url}
    wanted |= {"options": _said(service, options)}
    job: dict[str, Any] = service.post("/jobs", wanted, key=uuid.uuid4().hex)
    return job


def _said(service: ServiceClient, options: PlanOptions) -> dict[str, Any]:
    """The options of the job, which are those that are not as usual."""
    whole = with_model_file(options)
    return with_models_sent(service, whole, asked.said(whole, without=OF_COMMAND))


def _print_submitted(job: Mapping[str, Any], options: OptimizeOptions) -> None:
    if options.as_json:
        print_json(job)
        return
    study = job["study"]
    print_text(_stands(job))
    print_text(_page(job, options))
    note(f"look at it: {command_there(options.service, 'status', study, '--watch')}")
    note(f"end it:     {command_there(options.service, 'stop', study)}")


def _stands(job: Mapping[str, Any]) -> str:
    waits = place(job)  # it may have begun by now
    how = f"waits: {waits}" if waits else f"is {job['state']}"
    return f"job {job['id']} (study {job['study']}) {how}"


def _page(job: Mapping[str, Any], options: OptimizeOptions) -> str:
    return f"its page: {options.service.rstrip('/')}/jobs/{job['id']}"


def _print_result(service: ServiceClient, study: str, options: OptimizeOptions) -> None:
    """As `optimize` ends where the study is run here.

    Raises:
        NothingFeasibleError: No configuration meets the latency budget.
    """
    written = write_report(service, study, options.output)
    found = service.get(study_path(study))
    if options.as_json:
        print_json(found | {"files": [str(path) for path in written]})
    else:
        print_summary(service, study, SummaryForm.SEARCH)
        for path in written:
            print_text(f"{path.name}: {path}")
        print_text(f"service: {options.service} (study {study})")
        after = "report" if found["best"] is None else "best"
        print_text(f"next: {command_there(options.service, after, study)}")
    check_found(service, study, found["best"], {})

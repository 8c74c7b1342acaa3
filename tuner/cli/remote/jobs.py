"""`tuner status`, `attach`, `pause`, `continue` and `stop` of the jobs of a service."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import RenderableType

from tuner.cli.console import print_blocks, print_json, print_text
from tuner.cli.control import SAID
from tuner.cli.job_options import (
    AttachOptions,
    ContinueOptions,
    PauseOptions,
    StatusOptions,
    StopOptions,
)
from tuner.cli.remote.connection import command_there, connected
from tuner.cli.remote.following import follow
from tuner.cli.remote.studies import all_items, named, print_summary
from tuner.cli.status import check_watch, watch
from tuner.clients.service import ServiceClient, job_path, study_path
from tuner.errors import InputError
from tuner.report import formats
from tuner.report.budgets import stored_budget
from tuner.report.json_text import budget_facts
from tuner.report.status import jobs_table, status_lines, trials_list
from tuner.report.summaries import SummaryForm
from tuner.space.space import Configuration
from tuner.store.jobs import Wanted
from tuner.store.queue import ACTIVE


def status(options: StatusOptions) -> None:
    """Print how a job stands, or how all do: those of the queue in its order, then the latest."""
    check_watch(options)
    with connected(options) as service:
        if options.watch:
            known: dict[str, Any] = {}
            watch(lambda: _now(service, options.study, known))
        elif options.trials or options.state is not None:
            _print_trials(service, options)
        elif options.study is None:
            found = _all(service, {})
            print_json(found) if options.as_json else print_blocks([jobs_table(found)])
        else:
            one = _document(service.get(job_path(options.study)))
            print_json(one) if options.as_json else print_blocks([status_lines(one)])


def attach(options: AttachOptions) -> None:
    """Show what a job does until it ends, then its result."""
    with connected(options) as service:
        job = _meant(service, options.study)
        follow(service, job, options.service)
        print_summary(service, job["study"], SummaryForm.RESULT)


def pause(options: PauseOptions) -> None:
    """Have it pause."""
    _ask(options, "pause", Wanted.PAUSE, "continue")


def go_on(options: ContinueOptions) -> None:
    """Have it go on."""
    _ask(options, "continue", Wanted.NOTHING, "status")


def stop(options: StopOptions) -> None:
    """Have it end; one that waits is taken out of the queue."""
    if options.now:
        _ask(options, "stop", Wanted.STOP_NOW, "report")
    else:
        _ask(options, "stop", Wanted.STOP, "status")


def _ask(options: PauseOptions, action: str, wanted: Wanted, next_command: str) -> None:
    with connected(options) as service:
        job = _meant(service, options.study)
        waits = action == "stop" and job["state"] == "queued"
        content = {"now": wanted is Wanted.STOP_NOW} if action == "stop" and not waits else {}
        path = f"{job_path(job['id'])}/{'cancel' if waits else action}"
        after = service.post(path, content)
    study = job["study"]
    if options.as_json:
        owner = (after["status"] or {}).get("owner")
        print_json({"study": study, "asked": wanted.value or "continue", "owner": owner})
    elif waits:
        print_text(f"job {job['id']} (study {study}) does not wait any more")
    else:
        then = command_there(options.service, next_command, study)
        print_text(f"study {study} {SAID[wanted].format(then)}")


def _meant(service: ServiceClient, study: str | None) -> dict[str, Any]:
    """The job of the study, or the only one that has a machine.

    Raises:
        InputError: There is no such job, none runs, or several do.
    """
    if study is not None:
        found: dict[str, Any] = service.get(job_path(study))
        return found
    live = [job for job in _jobs(service) if job["state"] in ACTIVE]
    if not live:
        raise InputError("no study runs", hint="`tuner status` lists the studies")
    if len(live) > 1:
        names = ", ".join(sorted(job["study"] for job in live))
        raise InputError("several studies run; say which is meant", hint=f"they are: {names}")
    return live[0]


def _jobs(service: ServiceClient) -> list[dict[str, Any]]:
    return all_items(service, "/jobs")


def _all(service: ServiceClient, known: dict[str, Any]) -> list[dict[str, Any]]:
    """How all jobs stand; of those that are over, what their studies found.

    `known` has the studies of those that were over before, and gets the others: they are asked for
    once, as whoever watches must not take the time of the machine that measures.
    """
    found = _jobs(service)
    over = {job["study"] for job in found if job["began_at"] and job["ended_at"]}
    begun = {job["study"] for job in found if job["began_at"] and not job["status"]}
    listed = {}
    if begun - known.keys():
        listed = {study["study"]: study for study in all_items(service, "/studies")}
        known |= {name: listed.get(name) for name in over}
    return [_document(job, (known | listed).get(job["study"])) for job in found]


def _now(
    service: ServiceClient, study: str | None, known: dict[str, Any]
) -> tuple[RenderableType, bool]:
    if study is None:
        found = _all(service, known)
        return jobs_table(found), any(each["job"]["ended_at"] is None for each in found)
    job = service.get(job_path(study))
    return status_lines(_document(job)), job["ended_at"] is None


def _print_trials(service: ServiceClient, options: StatusOptions) -> None:
    path = study_path(named(service, options.study))
    state = None if options.state is None else options.state.value
    trials = all_items(service, f"{path}/trials", state=state)
    if options.as_json:
        print_json(trials)
        return
    first = service.get(f"{path}/trials", limit=1)["items"]
    of_baseline = [each for each in first if each["purpose"] == "baseline"]
    baseline = Configuration.of(of_baseline[0]["configuration"]) if of_baseline else None
    print_blocks([trials_list(trials, baseline)])


def _document(job: Mapping[str, Any], found: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """How the study of the job stands, with `job`; `found` is its summary, if it is over."""
    own = {name: value for name, value in job.items() if name != "status"}
    if status := job["status"]:
        # The study is there a moment before its tuner says that it runs.
        state = job["state"] if status["state"] == "unknown" else status["state"]
        return {**status, "state": state, "job": own}
    document = _not_begun(job)
    if found is not None:
        document |= {name: found[name] for name in ("model", "best", "unit", "gain", "nearest")}
        document["trials"]["searched"] = found["trials"]
    return document | {"job": own}


def _not_begun(job: Mapping[str, Any]) -> dict[str, Any]:
    options = job["options"]
    return {
        "study": job["study"],
        "model": options.get("model") or "",
        **budget_facts(stored_budget(options)),
        "state": job["state"],
        "why": str(job["why"]).partition("\n")[0],
        "owner": None,
        "began_at": job["began_at"] or job["submitted_at"],
        "heard_at": None,
        "ended_at": job["ended_at"],
        "ends_at": None,
        "left_s": None,
        "log": None,
        "doing": place(job),
        "trials": dict.fromkeys(("searched", "feasible", "infeasible", "pruned", "failed"), 0)
        | {"finals": 0},
        "plan": "",
        "baseline": None,
        "best": None,
        "unit": None,
        "configuration": None,
        "nearest": None,
        "gain": None,
        "gain_interval": None,
        "failures": [],
    }


def place(job: Mapping[str, Any]) -> str:
    """What is before a job that waits, and when its turn is expected."""
    if job["place"] is None:
        return ""
    before = f"after {formats.counted(job['place'], 'other job')}" if job["place"] else "next"
    if job["expected_start"] is None:
        return before
    start = datetime.fromisoformat(job["expected_start"]).astimezone()
    return f"{before}, expected to begin at {formats.stamp(start)}"

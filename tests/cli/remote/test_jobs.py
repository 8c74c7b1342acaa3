"""`tuner status`, `attach`, `pause`, `continue` and `stop` of a service's jobs."""

from typing import Any

import pytest

from tests.command_line import Tuner, error
from tests.report import studies
from tests.service.watched import Running, brought, running, waiting
from tuner.cli.remote import studies as studies_there
from tuner.service.service import Service
from tuner.store.events import EventKind
from tuner.store.jobs import Wanted, job_of
from tuner.store.queue import QueueState


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line stays one."""
    monkeypatch.setenv("COLUMNS", "300")


def a_trial(run: Running, **wishes: Any) -> None:
    """The study of the job has its baseline, and one trial that found something."""
    run.hold.record(
        EventKind.TRIAL_BEGAN,
        {"purpose": "baseline", "configuration": dict(studies.baseline().configuration)},
        trial=0,
    )
    run.storage.save_trial("night", studies.baseline(**wishes))


def test_the_status_of_a_job_that_runs(tuner: Tuner, service: Service, url: str) -> None:
    """It is what the database says of the study, with the job beside it in the document."""
    with running(service) as run:
        a_trial(run)
        there = tuner("status", "night", "--service", url)
        document = tuner("status", "night", "--service", url, "--json").json
        here = tuner("status", "night", "--json").json
        lines = tuner("status", "night").out.splitlines()
    assert document.pop("job").items() >= {"id": run.job.id, "state": "running"}.items()
    unsteady = {"left_s", "plan", "heard_at", "log"}
    assert {k: v for k, v in document.items() if k not in unsteady} == {
        k: v for k, v in here.items() if k not in unsteady
    }
    told = there.out.splitlines()
    unsteady_lines = ("state", "plan", "log")
    same = [line for line in lines if not line.startswith(unsteady_lines)]
    assert [line for line in told if not line.startswith(unsteady_lines)] == same
    assert there.status == 0


def test_all_jobs(tuner: Tuner, service: Service, url: str) -> None:
    """One that runs, those that wait, with their places, and one that has ended."""
    with running(service) as run:
        a_trial(run)
    brought(service, run.job, QueueState.DONE)
    waiting(service, "second")
    waiting(service, "third")
    shown = tuner("status", "--service", url)
    by_study = {row["study"]: row for row in tuner("status", "--service", url, "--json").json}

    assert [line.split()[0] for line in shown.out.splitlines()[3:] if line.strip()] == [
        *("second", "third", "night")
    ]
    assert "after 1 other job" in by_study["third"]["doing"]
    assert by_study["night"]["best"] == 152.0
    assert by_study["night"]["trials"]["searched"] == 1
    assert "152" in shown.out


def test_a_job_that_waits(tuner: Tuner, service: Service, url: str) -> None:
    """It has a place, and no study yet."""
    waiting(service, "second")
    shown = tuner("status", "second", "--service", url)
    assert "state        queued since " in shown.out
    assert "doing        next" in shown.out
    assert "p99 <= 50 ms" in shown.out


def test_watching(tuner: Tuner, service: Service, url: str) -> None:
    """A job that is over is shown once."""
    with running(service) as run:
        a_trial(run)
    brought(service, run.job, QueueState.DONE)
    assert "night" in tuner("status", "night", "--watch", "--service", url).out
    assert "night" in tuner("status", "--watch", "--service", url).out
    assert tuner("status", "--watch", "--json", "--service", url) == error(
        "`--watch` shows a study as it runs", "leave out the other options"
    )


def test_trials(tuner: Tuner, service: Service, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed as from the database, however many pages they are."""
    monkeypatch.setattr(studies_there, "_PAGE", 2)
    with running(service) as run:
        a_trial(run)
        for record in studies.night().trials[1:]:
            run.storage.save_trial("night", record)
    for words in ([], ["--state", "failed"], ["--state", "pruned"], ["--json"]):
        command = ("status", "night", "--trials", *words)
        assert tuner(*command, "--service", url) == tuner(*command)


def test_what_is_asked_of_a_job(tuner: Tuner, service: Service, url: str) -> None:
    """Its study hears it, and the sentences are those of a database."""
    with running(service) as run:
        a_trial(run)
        paused = tuner("pause", "--service", url)
        assert _wanted(service) is Wanted.PAUSE
        continued = tuner("continue", "night", "--service", url)
        stopped = tuner("stop", "night", "--now", "--service", url, "--json")
        assert _wanted(service) is Wanted.STOP_NOW
    after = f"--service {url}"
    assert paused.out == (
        "study night pauses after the load point in progress; go on with "
        f"`tuner continue night {after}`\n"
    )
    assert continued.out == f"study night goes on; look at it with `tuner status night {after}`\n"
    assert stopped.json["asked"] == "stop now"
    assert stopped.json["study"] == "night"


def test_a_job_that_waits_is_cancelled(tuner: Tuner, service: Service, url: str) -> None:
    """`stop` takes it out of the queue; what is over cannot be stopped."""
    job = waiting(service)
    assert tuner("stop", "night", "--service", url).out == (
        f"job {job.id} (study night) does not wait any more\n"
    )
    again = tuner("stop", "night", "--service", url)
    assert (again.status, again.out) == (1, "")
    assert "is cancelled: it cannot be stopped" in again.err


def test_which_job_is_meant(tuner: Tuner, service: Service, url: str) -> None:
    """The only one that has the machine; a name that is none is refused."""
    waiting(service)
    assert tuner("pause", "--service", url) == error(
        "no study runs", f"`tuner status --service {url}` lists the studies"
    )
    unknown = tuner("attach", "nothing", "--service", url)
    assert (unknown.status, unknown.err) == (2, "error: there is no job `nothing`\n")


def test_attaching(tuner: Tuner, service: Service, url: str) -> None:
    """All that the job did is told, then its result, as from the database."""
    with running(service) as run:
        a_trial(run)
        run.hold.record(EventKind.SAID, {"text": "the machine is noisy"})
    brought(service, run.job, QueueState.DONE)
    here, there = tuner("attach", "night"), tuner("attach", "night", "--service", url)
    assert there.out == here.out
    assert there.status == 0
    told = [line for line in there.err.splitlines() if not line.startswith("job ")]
    assert told == here.err.splitlines()
    assert f"job {run.job.id} is done" in there.err


def test_attaching_to_a_language_model(tuner: Tuner, service: Service, url: str) -> None:
    """What its trials carry are requests, though the stream of events knows no load points."""
    with running(service, request={"prompts": {"task": "chat"}}) as run:
        a_trial(run)
    brought(service, run.job, QueueState.DONE)
    told = tuner("attach", "night", "--service", url).err
    assert "trial 0 (baseline): feasible, 152 requests/s, " in told
    assert "152 requests/s" in tuner("status", "night", "--service", url).out


def test_attaching_to_one_that_failed(tuner: Tuner, service: Service, url: str) -> None:
    """It says why, and where its output is."""
    with running(service) as run:
        a_trial(run)
    brought(service, run.job, QueueState.FAILED, why="it was killed twice\nhint: look")
    assert "hint: look" not in tuner("status", "night", "--service", url).out
    failed = tuner("attach", "night", "--service", url)
    assert failed.status == 1
    assert failed.err.splitlines()[-2:] == [
        f"error: job {run.job.id} (study night) failed: it was killed twice",
        f"hint: its output: {url}/api/v1/jobs/{run.job.id}/log",
    ]


def _wanted(service: Service) -> Wanted | None:
    found = job_of(service.storage, "night")
    return found.wanted if found else None

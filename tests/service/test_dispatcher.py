"""Jobs get their turn one after the other, and whatever becomes of their processes is seen."""

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.report import studies
from tests.runner_tests.waiting import wait_until
from tests.service.queued import (
    WAITS,
    asked,
    begin_study,
    end,
    environment,
    gone,
    has_owner,
    is_over,
    kill,
    now,
    of_another_start,
    stand_in,
    states,
)
from tuner.service.jobs import control, dispatcher
from tuner.service.jobs.dispatcher import Dispatcher
from tuner.service.service import Service
from tuner.store.jobs import Wanted, want
from tuner.store.ownership import held
from tuner.store.queue import QueuedJob, QueueState, queued_jobs, set_columns
from tuner.store.storage import Storage


def test_one_after_the_other(service: Service, at_work: Dispatcher) -> None:
    """The first in the queue begins; the next when that is over."""
    first, second = asked(service, "first"), asked(service, "second")
    control.move(service, second.id, 0)
    at_work.turn()
    at_work.turn()

    assert (now(service, first).state.value, now(service, second).state.value) == (
        "queued",
        "running",
    )
    begun = now(service, second)
    assert (begun.attempts, is_over(begun), begun.log) == (
        1,
        False,
        str(service.settings.folder / "logs" / "second.log"),
    )
    kill(begun)
    set_columns(service.storage, second.id, attempts=2)
    at_work.turn()
    at_work.turn()
    assert states(service, second) == ["queued", "running", "failed"]
    assert states(service, first) == ["queued", "running"]


def test_its_command(service: Service, at_work: Dispatcher) -> None:
    """Goes on with the study, if there is one; of the service's own variables it has none."""
    job = asked(service, "night", options={"trials": 3})
    words = " ".join(at_work._words(job))
    service.storage.create_study(studies.study(name="night"))
    again = " ".join(at_work._words(job))

    common = f"--db {service.storage.url} --output {service.settings.reports}"
    assert words == f"optimize --study night {common} --budget-ms 50 --trials 3"
    assert again == f"resume night {common}"


def test_its_environment(
    service: Service, at_work: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the service, without what would have it ask the service again."""
    monkeypatch.setenv("TUNER_SERVICE", "http://127.0.0.1:8900")
    monkeypatch.setenv("MY_OWN", "1")
    job = asked(service, "night")
    at_work.turn()
    found = environment(now(service, job).process)

    assert b"MY_OWN=1" in found
    assert f"TUNER_DETACHED_LOG={job.log}".encode() in found
    assert not any(each.startswith(b"TUNER_SERVICE=") for each in found)


def test_somebody_measures_by_hand(service: Service, at_work: Dispatcher) -> None:
    """Then no job begins, until that study ends."""
    job = asked(service, "night")
    service.storage.create_study(studies.study(name="by-hand"))
    with held(service.storage, "by-hand", limits={}):
        service.storage.guard = None
        at_work.turn()
        assert now(service, job).state is QueueState.QUEUED
    at_work.turn()
    assert now(service, job).state is QueueState.RUNNING


def test_it_is_killed(service: Service, at_work: Dispatcher) -> None:
    """It is continued once, then it has failed; nothing is left of its processes."""
    job = asked(service, "night")
    at_work.turn()
    first = now(service, job)
    kill(first)
    at_work.turn()
    second = now(service, job)
    assert (second.attempts, second.why) == (2, "its process was killed; it goes on")
    assert not is_over(second)
    kill(second)
    at_work.turn()

    assert states(service, job) == ["queued", "running", "running", "failed"]
    for each in (first, second):
        assert not Path("/proc", each.process.split("/")[1]).exists()  # not even a zombie


def test_it_is_killed_while_it_is_paused(service: Service, at_work: Dispatcher) -> None:
    """Whoever paused it has the machine: it goes on once somebody says so."""
    job = asked(service, "night")
    at_work.turn()
    begin_study(service, studies.study(name="night"), owner=now(service, job).process)
    control.pause(service, job.id, by="bob")
    has_owner(service.storage, gone())
    kill(now(service, job))
    at_work.turn()
    assert (now(service, job).state, now(service, job).attempts) == (QueueState.PAUSED, 1)
    control.go_on(service, job.id, by="bob")
    at_work.turn()
    assert (now(service, job).state, now(service, job).attempts) == (QueueState.RUNNING, 2)
    assert not is_over(now(service, job))


def test_the_machine_is_started_anew(service: Service, at_work: Dispatcher) -> None:
    """It goes on as often as that happens."""
    job = asked(service, "night")
    at_work.turn()
    for _ in range(3):
        end(now(service, job))
        set_columns(service.storage, job.id, process=of_another_start())
        at_work.turn()

    found = now(service, job)
    assert (found.state.value, found.attempts) == ("running", 1)
    assert found.why == "its machine was started anew; it goes on"


def test_the_service_is_killed_as_a_job_begins(service: Service, at_work: Dispatcher) -> None:
    """The process that it has started is found by its log, and none is started twice."""
    job = asked(service, "night")
    at_work.turn()
    begun = now(service, job)
    set_columns(service.storage, job.id, process="")
    Dispatcher(service).turn()

    assert now(service, job).process == begun.process
    assert not is_over(begun)


def test_its_study_was_begun_by_hand(service: Service, at_work: Dispatcher) -> None:
    """While it waited: it would go on with what somebody else asked for."""
    job, following = asked(service, "night"), asked(service, "following")
    service.storage.create_study(studies.study(name="night"))
    at_work.turn()
    at_work.turn()

    assert now(service, job).state is QueueState.FAILED
    assert now(service, job).why == (
        "somebody has begun a study `night` while it waited\n"
        "hint: submit it with another name; `tuner resume night` goes on with that study"
    )
    assert now(service, following).state is QueueState.RUNNING


def test_its_turn_comes_too_late(service: Service, at_work: Dispatcher) -> None:
    """After the time at which it was to be done: it would have the machine until the next day."""
    late = asked(service, "late", options={"until": "07:00"})
    night = asked(service, "night", options={"until": "07:00"})
    yesterday = late.submitted_at - timedelta(days=1)
    set_columns(service.storage, late.id, submitted_at=yesterday)
    at_work.turn()
    at_work.turn()

    assert now(service, late).state is QueueState.FAILED
    assert now(service, late).why == (
        "its time was over before its turn came\nhint: submit it again, earlier in the queue"
    )
    assert now(service, night).state is QueueState.RUNNING


def test_it_cannot_be_started(service: Service, at_work: Dispatcher) -> None:
    """It has failed, with the reason, and the next one gets its turn."""
    service.settings.folder.mkdir()
    (service.settings.folder / "logs").write_text("in the way")
    job, following = asked(service, "night"), asked(service, "following")
    at_work.turn()
    (service.settings.folder / "logs").unlink()
    at_work.turn()

    found = now(service, job)
    assert found.state is QueueState.FAILED
    assert found.why == (
        f"its process cannot be started: File exists: {service.settings.folder / 'logs'}\n"
        "hint: look at the folder of the service and at the space on its disk"
    )
    assert now(service, following).state is QueueState.RUNNING


def test_what_is_asked_elsewhere_shows(service: Service, at_work: Dispatcher) -> None:
    """A pause, going on, and an end, of somebody at the command line."""
    job = asked(service, "night")
    at_work.turn()
    begin_study(service, studies.study(name="night"), owner=now(service, job).process)
    seen = []
    for wanted in (Wanted.PAUSE, Wanted.NOTHING, Wanted.STOP):
        assert want(service.storage, "night", wanted) is not None
        at_work.turn()
        at_work.turn()
        seen.append(now(service, job).state.value)

    assert seen == ["paused", "running", "stopping"]
    assert now(service, job).why == "it was asked for on the command line"
    assert len(states(service, job)) == 5


def test_a_turn_that_goes_wrong(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and tried again: a full disk ends no queue."""
    stand_in(monkeypatch, WAITS)
    monkeypatch.setattr(dispatcher, "_POLL_S", 0.01)
    monkeypatch.setattr(dispatcher, "_TROUBLED_POLL_S", 0.01)
    broken = {"turns": 3}

    def breaks(storage: Storage, **wishes: Any) -> tuple[QueuedJob, ...]:
        if broken["turns"]:
            broken["turns"] -= 1
            raise OSError("the disk is full")
        return queued_jobs(storage, **wishes)

    monkeypatch.setattr(dispatcher, "queued_jobs", breaks)
    job = asked(service, "night")
    at_work = Dispatcher(service)
    assert not at_work.is_well
    with caplog.at_level(logging.WARNING), at_work:
        wait_until(lambda: now(service, job).state is QueueState.RUNNING)
        wait_until(lambda: at_work.is_well)
    end(now(service, job))

    assert [each.getMessage() for each in caplog.records] == [
        "jobs cannot be looked after (it is tried again): OSError: the disk is full",
        "jobs are looked after again",
    ]
    assert not at_work.is_well  # it has ended


def test_a_container_is_made_anew(
    service: Service, at_work: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another name: what has the folder has the jobs, and goes on with them."""
    job, waiting = asked(service, "night"), asked(service, "waiting")
    at_work.turn()
    end(now(service, job))
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    anew = replace(service)
    Dispatcher(anew).turn()
    found = now(service, job)

    assert anew.machine == service.machine == job.machine
    assert (found.state.value, found.attempts) == ("running", 1)
    assert found.process.startswith("another:")
    assert now(service, waiting).state is QueueState.QUEUED

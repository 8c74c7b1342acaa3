"""How jobs end: by themselves, by an error, because somebody wants it."""

import shutil
import signal
from pathlib import Path

import pytest

from runners.process_names import own_name
from tests.report import studies
from tests.runner_tests.waiting import wait_until
from tests.service.queued import (
    FAILS,
    asked,
    begin_study,
    gone,
    has_owner,
    is_over,
    kill,
    now,
    stand_in,
    states,
)
from tuner.records import TrialRecord
from tuner.service.jobs import control, dispatcher, process
from tuner.service.jobs.dispatcher import Dispatcher
from tuner.service.service import Service
from tuner.store.jobs import Wanted, job_of
from tuner.store.ownership import held
from tuner.store.queue import QueueState, set_columns


def fails(*_: object) -> None:
    raise OSError("locked")


def test_it_fails_before_its_study(
    service: Service, at_work: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what its output ends with."""
    stand_in(monkeypatch, FAILS)
    job = asked(service, "night")
    at_work.turn()
    wait_until(lambda: now(service, job).state.is_over or is_over(now(service, job)))
    at_work.turn()

    found = now(service, job)
    assert (found.state.value, found.why) == ("failed", "no such model\nhint: name another")


def test_an_error_of_another_one(service: Service, at_work: Dispatcher) -> None:
    """What a log says of a process before it, is none of its own."""
    job = asked(service, "night")
    Path(job.log).parent.mkdir(parents=True)
    Path(job.log).write_text("trial 0\nerror: no such model\n")
    at_work.turn()
    kill(now(service, job))
    at_work.turn()
    assert now(service, job).why == "its process was killed; it goes on"


@pytest.mark.parametrize(
    ("trials", "state"),
    [([], "done"), ([studies.baseline()], "failed")],
    ids=["nothing feasible", "no report"],
)
def test_its_study_ended_with_an_error(
    trials: list[TrialRecord], state: str, service: Service, at_work: Dispatcher
) -> None:
    """Where nothing met the latency budget, it is done all the same, and says so."""
    job = asked(service, "night")
    at_work.turn()
    service.storage.create_study(studies.study(name="night"))
    for each in trials:
        service.storage.save_trial("night", each)
    with held(service.storage, "night", limits={}):
        pass
    Path(job.log).write_text("error: it is so\n")
    kill(now(service, job))
    at_work.turn()

    assert (now(service, job).state.value, now(service, job).why) == (state, "it is so")


def test_somebody_goes_on_with_its_study(service: Service, at_work: Dispatcher) -> None:
    """While another process has the study, it runs."""
    job = asked(service, "night")
    at_work.turn()
    kill(now(service, job))
    service.storage.create_study(studies.study(name="night"))
    with held(service.storage, "night", limits={}):
        service.storage.guard = None
        at_work.turn()
        assert now(service, job).state is QueueState.RUNNING
    at_work.turn()
    assert now(service, job).state is QueueState.DONE


def test_it_is_cancelled_before_its_study(service: Service, at_work: Dispatcher) -> None:
    """Its process is asked to end, and nothing is left."""
    job = asked(service, "night", options={"header": ["X-Key: s3cret"]})
    at_work.turn()
    control.cancel(service, job.id, by="bob")
    at_work.turn()
    wait_until(lambda: is_over(now(service, job)))
    at_work.turn()

    assert states(service, job) == ["queued", "running", "stopping", "cancelled"]
    assert now(service, job).why == "cancelled by bob"
    assert list((service.settings.folder / "secrets").iterdir()) == []


def test_it_is_cancelled_while_it_runs(service: Service, at_work: Dispatcher) -> None:
    """Its study is asked to end at once; what it has measured is kept."""
    job = asked(service, "night")
    at_work.turn()
    begin_study(service, studies.study(name="night"), owner=now(service, job).process)
    control.cancel(service, job.id, by="bob")
    at_work.turn()
    asked_for = job_of(service.storage, "night")
    assert asked_for is not None
    assert asked_for.wanted is Wanted.STOP_NOW
    assert not is_over(now(service, job))
    has_owner(service.storage, gone())
    kill(now(service, job))
    at_work.turn()
    assert now(service, job).state is QueueState.CANCELLED


def test_a_cancel_that_goes_wrong(
    service: Service, at_work: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while the database is locked: its process is asked again."""
    job = asked(service, "night")
    at_work.turn()
    control.cancel(service, job.id, by="bob")
    with monkeypatch.context() as broken:
        broken.setattr(dispatcher, "want", fails)
        with pytest.raises(OSError, match="locked"):
            at_work.turn()
    at_work.turn()
    wait_until(lambda: is_over(now(service, job)))


def test_another_process_with_the_number_is_left_alone() -> None:
    """Only what has the whole name is asked to end; what is no more, is not."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        process.terminate(f"{own_name()}0")
        process.terminate(gone())
        assert heard == []
        process.terminate(own_name())
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_service_is_killed_as_it_ends(service: Service, at_work: Dispatcher) -> None:
    """Before the name of its process was kept: it is done, and not begun again."""
    job = asked(service, "night")
    at_work.turn()
    service.storage.create_study(studies.study(name="night"))
    with held(service.storage, "night", limits={}):
        pass
    kill(now(service, job))
    set_columns(service.storage, job.id, process="")
    Dispatcher(service).turn()
    assert states(service, job) == ["queued", "running", "done"]


def test_its_folder_is_gone(service: Service, at_work: Dispatcher) -> None:
    """Its log cannot be read: that alone is no error of a study that came to its end."""
    job = asked(service, "night")
    at_work.turn()
    service.storage.create_study(studies.study(name="night"))
    with held(service.storage, "night", limits={}):
        pass
    kill(now(service, job))
    shutil.rmtree(service.settings.folder)
    at_work.turn()

    assert (now(service, job).state, now(service, job).why) == (QueueState.DONE, "")

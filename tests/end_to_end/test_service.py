"""Whatever is killed, the service, its jobs or both: the queue and the study go on."""

import signal
import socket
from pathlib import Path

import psutil

from runners.process_names import is_gone
from tests.end_to_end.command import wait_until
from tests.end_to_end.service import kill, process, service
from tuner.store.events import EventKind, events
from tuner.store.jobs import Wanted, want
from tuner.store.queue import job_called
from tuner.store.storage import Storage


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def await_study(folder: Path, study: str) -> psutil.Process:
    """The process that runs it, once it is under way."""
    with Storage(str(folder / "studies.db")) as storage:
        begun = events(storage, study)

        def is_under_way() -> bool:
            return any(
                event.kind is EventKind.TRIAL_BEGAN
                for event in events(storage, study)[len(begun) :]
            )

        wait_until(is_under_way, f"a trial of {study}")
    found = process(study)
    assert found is not None
    return found


def is_there(name: str) -> bool:
    return bool(name) and not is_gone(name)


def await_another(folder: Path, study: str) -> psutil.Process:
    """The process that goes on with it, as the service knows it."""
    with Storage(str(folder / "studies.db")) as storage:

        def goes_on() -> bool:
            job = job_called(storage, study)
            return job is not None and job.attempts > 1 and is_there(job.process)

        wait_until(goes_on, f"another process of {study}")
    found = process(study)
    assert found is not None
    return found


def test_the_service_is_killed(tmp_path: Path) -> None:
    """Its job goes on, is seen again, shows what is asked of it, and comes to its end."""
    with service(tmp_path, free_port()) as served:
        night = served.submit("night")
        running = await_study(tmp_path, "night")
        served.end(signal.SIGKILL)
        assert running.is_running()
        served.start()
        again = served.job(night)
        assert running.is_running()
        with Storage(str(tmp_path / "studies.db")) as storage:
            want(storage, "night", Wanted.PAUSE)
            served.await_state(night, "paused")
            want(storage, "night", Wanted.STOP_NOW)
        served.await_state(night, "done")
        status, said = served.end()

    assert (again["state"], again["attempts"]) == ("running", 1)
    assert (status, "goes on without" in said) == (0, False)


def test_jobs_are_killed(tmp_path: Path) -> None:
    """One is continued once, then it has failed; with the service killed as well, all goes on."""
    with service(tmp_path, free_port()) as served:
        first, second = served.submit("first"), served.submit("second")
        kill(await_study(tmp_path, "first"))
        again = await_another(tmp_path, "first")
        assert served.states(first, second) == ["running", "queued"]
        kill(again)
        failed = served.await_state(first, "failed")

        served.await_state(second, "running")
        killed = await_study(tmp_path, "second")
        third = served.submit("third")
        served.end(signal.SIGKILL)
        kill(killed)
        served.start()
        await_another(tmp_path, "second")
        assert served.states(second, third) == ["running", "queued"]
        status, said = served.end()

    assert failed["why"].startswith("its process was killed 2 times\nhint: ")
    assert (status, said.count("goes on without the service")) == (0, 1)

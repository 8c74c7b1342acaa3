"""An agent runs what its driver asks for, says what came of it, and leaves nothing behind."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runners.docker import ContainerSettings
from tests.fleet.agents import Agent, gone, running
from tests.fleet.own_server import FAILS, prepared_in
from tuner import hardware
from tuner.errors import Reason
from tuner.fleet.crew import Ended, GivenUp, PhaseBegan, Refused
from tuner.fleet.messages import GiveUp, Ready
from tuner.records import TrialState
from tuner.space.space import Configuration
from tuner.study.job import PreparedJob, prepare

WORKS = Configuration.of({"n": 1})
BROKEN = Configuration.of({"n": FAILS})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedJob:
    return prepared_in(tmp_path_factory.mktemp("job") / "mine")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, prepared: PreparedJob) -> Iterator[Agent]:
    """One that is ready."""
    with running(tmp_path_factory.mktemp("host")) as agent:
        agent.enrol(prepared)
        assert agent.says() == Ready(hardware.detect())
        yield agent


def test_a_trial_that_fails_is_a_record_with_host_and_attempt(agent: Agent) -> None:
    """The server's last words come with it; the host takes the next attempt."""
    for number in (1, 2):
        agent.begins(number, BROKEN)
        ended = agent.until(Ended)

        assert (ended.host, ended.attempt) == ("a-host", number)
        record = ended.record
        assert (record.host, record.attempt) == ("a-host", number)
        assert (record.state, record.reason) == (TrialState.FAILED, Reason.START_FAILED)
        assert "nine is too many" in record.log_tail


def test_an_attempt_that_is_given_up_has_no_record_and_no_server(agent: Agent) -> None:
    """It is given up at once, in the middle of what it does; the next one is run."""
    agent.begins(3, WORKS)
    assert agent.says() == PhaseBegan("a-host", 3, "apply")
    while agent.until(PhaseBegan).phase != "self-check":
        pass
    server = [each for each in agent.descendants() if "server.py" in each.cmdline()]
    assert server
    agent.tell(GiveUp(3))
    assert agent.until(GivenUp) == GivenUp("a-host", 3)
    gone(server)

    agent.begins(4, BROKEN)
    assert agent.until(Ended).attempt == 4


def test_an_attempt_may_be_given_up_before_it_begins(agent: Agent) -> None:
    """Ray does not keep the order of what is asked of an actor."""
    agent.tell(GiveUp(5))
    agent.begins(5, WORKS)

    assert agent.says() == GivenUp("a-host", 5)


@pytest.mark.parametrize("end", ["hangs up", "is killed"])
def test_nothing_is_left_of_an_agent(tmp_path: Path, prepared: PreparedJob, end: str) -> None:
    """Server and load engine end with it, and its files go; if it is killed, at the next start."""
    with running(tmp_path) as agent:
        agent.enrol(prepared)
        agent.begins(1, WORKS)
        while agent.until(PhaseBegan).phase != "self-check":
            pass
        started = agent.descendants()
        assert len(started) >= 3  # an engine, a guardian, a server
        if end == "hangs up":
            agent.pipe.close()
        else:
            os.kill(agent.process.pid, signal.SIGKILL)
        agent.process.wait(30)
        gone(started)
    if end == "is killed":
        assert list(tmp_path.glob("tuner-workspace-*"))
        with running(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def refused(folder: Path, prepared: PreparedJob, **otherwise: str) -> Refused:
    """What an agent says that then ends by itself."""
    with running(folder) as agent:
        agent.enrol(prepared, **otherwise)
        said = agent.says()
        assert agent.process.wait(30) == 0
    assert isinstance(said, Refused)
    return said


def test_a_host_with_another_model_is_refused(tmp_path: Path, prepared: PreparedJob) -> None:
    """Whatever it would measure would be of something else."""
    its = prepared.study.model_fingerprint
    said = refused(tmp_path, prepared, model_fingerprint="0123456789")

    assert said.hardware == hardware.detect()
    assert said.why == (
        f"its model is another one than the driver's: fingerprint {its}, not 0123456789"
    )
    assert said.cure == "files that are named by full paths must be there as the driver has them"


def test_a_host_without_the_servers_program_is_refused(
    tmp_path: Path, prepared: PreparedJob
) -> None:
    """Before it runs any trial; the driver need not have the program itself."""
    space = prepared.job.space_file
    assert space is not None
    other = space.with_name("other.yaml")
    other.write_text(space.read_text().replace(sys.executable, "no-such-program"))
    said = refused(tmp_path, prepare(replace(prepared.job, space_file=other)))

    assert said.why == (
        "`no-such-program` must be an executable program, but the system says: No such file or "
        "directory"
    )
    assert said.cure == "install it, write its full path, or put its folder on `PATH`"


def test_a_host_without_the_processors_is_refused(tmp_path: Path, prepared: PreparedJob) -> None:
    """Before anything is started on those that it has."""
    job = replace(prepared.job, engine_cpus=frozenset({0, 9999}))
    said = refused(tmp_path, replace(prepared, job=job))

    last = (os.cpu_count() or 1) - 1
    assert said.why == f"it has the CPUs 0 to {last}, and CPU 9999 is wanted"
    assert said.cure == "name CPUs that each host has by `--engine-cpus` and `--server-cpus`"


def test_a_host_without_the_image_is_refused(tmp_path: Path, prepared: PreparedJob) -> None:
    """What `tuner optimize` would say there is said, with its cure."""
    place = ContainerSettings(image="no-such-image:1")
    said = refused(tmp_path, replace(prepared, job=replace(prepared.job, place=place)))

    assert said.why.startswith("the Docker engine must have the image `no-such-image:1`, but")
    assert "pull" in said.cure

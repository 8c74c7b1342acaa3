"""A crew on a real cluster of Ray: hosts join, run what they are given, are lost, come back."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import pytest

from tests.fleet.agents import ROOT
from tests.fleet.fixtures import RealFleet
from tests.fleet.own_server import FAILS, prepared_in
from tuner import hardware
from tuner.errors import TunerError
from tuner.fleet.crew import Attempt, Crew, Ended, Joined, Lost, Said
from tuner.fleet.host_facts import own_versions
from tuner.fleet.inventory import fit_hosts, inventory
from tuner.fleet.ray_crew import ray_crew
from tuner.records import Purpose
from tuner.space.space import Configuration
from tuner.study.job import PreparedJob
from tuner.study.trial import TrialPlan

Message = TypeVar("Message", bound=Said)
_WAITS = 60
BROKEN = Configuration.of({"n": FAILS})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedJob:
    return prepared_in(tmp_path_factory.mktemp("job") / "mine")


def said(crew: Crew, kind: type[Message], count: int = 1) -> list[Message]:
    """What hosts say of this kind, until there is so much of it."""
    found: list[Message] = []
    for _ in range(_WAITS):
        found += [each for each in crew.wait(1.0) if isinstance(each, kind)]
        if len(found) >= count:
            return found
    raise TimeoutError(f"waited for {count} of {kind}, got {found}")


def attempt(number: int) -> Attempt:
    plan = TrialPlan(number=number, purpose=Purpose.SEARCH, configuration=BROKEN)
    return Attempt(number, plan)


def test_hosts_join_run_attempts_are_lost_and_come_back(
    real_fleet: RealFleet, prepared: PreparedJob
) -> None:
    """Two hosts measure at once; one whose agent is killed is lost, and joins again."""
    with ray_crew(prepared, real_fleet.address) as crew:
        joined = said(crew, Joined, 2)
        names = {each.host for each in joined}
        assert names == {hardware.detect().hostname, f"{hardware.detect().hostname}-2"}
        assert {each.hardware for each in joined} == {hardware.detect()}
        for number, name in enumerate(sorted(names)):
            crew.begin(name, attempt(number))
        ended = said(crew, Ended, 2)
        assert {(each.host, each.attempt) for each in ended} == set(
            zip(sorted(names), (0, 1), strict=True)
        )
        assert {each.record.host for each in ended} == names

        killed, _ = real_fleet.agents
        killed.kill()
        (lost,) = said(crew, Lost)
        assert lost.why == "its agent ended: it was killed, or ended without a word"
        (again,) = said(crew, Joined)
        assert again.host == lost.host

        crew.dismiss(lost.host)
        other = (names - {lost.host}).pop()
        crew.begin(lost.host, attempt(7))
        crew.begin(other, attempt(8))
        assert [(each.host, each.attempt) for each in said(crew, Ended)] == [(other, 8)]
    assert real_fleet.agents == []
    assert list(real_fleet.folder.glob("tuner-*")) == []


def test_what_the_hosts_are(real_fleet: RealFleet) -> None:
    """All are asked at once, and say what they have; a study could use them."""
    machine = hardware.detect()
    names = [machine.hostname, f"{machine.hostname}-2"]
    found = inventory(real_fleet.address, checks=True)

    assert [each.name for each in found] == names
    for each in found:
        assert each.refusal is None
        assert each.facts is not None
        assert each.facts.versions == own_versions()
        assert "processors" in [check.name for check in each.facts.checks]
    assert fit_hosts(real_fleet.address) == dict.fromkeys(names, machine)


def test_a_head_that_dies(real_fleet: RealFleet) -> None:
    """Its drivers end, with what to do, though Ray's client would wait for it."""
    script = Path(__file__).with_name("driver_script.py")
    with subprocess.Popen(
        [sys.executable, "-P", str(script), real_fleet.client],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as driver:
        assert driver.stdout is not None
        try:
            assert driver.stdout.readline() == "ready\n"
            for process in real_fleet.running("ray.util.client.server"):
                process.kill()
            said, _ = driver.communicate(timeout=60)
        finally:
            driver.kill()
    assert driver.returncode == 0
    lost, _, hint = said.strip().partition("; ")
    assert lost.startswith(f"the connection to Ray at `{real_fleet.client}` is lost: ")
    assert hint == "once it is back, `tuner resume` goes on with the study"


def test_a_cluster_with_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray says of it is said, with what must be equal."""

    def refuses(**_: object) -> None:
        raise RuntimeError("Python minor versions differ between client and server: 3.12, 3.11")

    monkeypatch.setattr("tuner.fleet.ray_cluster.ray.init", refuses)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"ray://127.0.0.1:{head.getsockname()[1]}"
        with pytest.raises(TunerError) as caught:
            fit_hosts(address)
    said = "Python minor versions differ between client and server: 3.12, 3.11"
    assert caught.value.message == f"no connection to Ray at `{address}`: {said}"
    assert "Ray, Python, RAY_AUTH_MODE and RAY_AUTH_TOKEN must be the same" in caught.value.hint


@pytest.mark.parametrize(
    ("scheme", "option"), [("", "port"), ("ray://", "ray-client-server-port")]
)
def test_a_cluster_that_is_not_there(scheme: str, option: str) -> None:
    """One sentence, at once, with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        address = f"{scheme}127.0.0.1:{port}"
        with pytest.raises(TunerError) as caught:
            fit_hosts(address)
    assert caught.value.message == f"no connection to Ray at `{address}`: Connection refused"
    assert caught.value.hint == (
        f"start it there: `ray start --head --{option}={port}`, and let this machine reach it; "
        "Ray, Python, RAY_AUTH_MODE and RAY_AUTH_TOKEN must be the same on both"
    )

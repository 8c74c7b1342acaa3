"""`tuner optimize --fleet`: a study on the hosts of a real Ray cluster, as a person runs it."""

import signal
from pathlib import Path

import pytest

from tests.end_to_end.command import begin, tuner, wait_until
from tests.fleet.fixtures import RealFleet
from tests.fleet.own_server import job_in
from tuner.errors import TunerError
from tuner.store.hosts import HostState, hosts_of
from tuner.store.storage import Storage

ASKED = ("--fleet", "auto", "--budget-ms", "100", "--confirmations", "0", "--study", "night")


def states(folder: Path) -> list[HostState]:
    """Of the hosts of the study, as its driver says."""
    try:
        with Storage(str(folder / "studies.db")) as storage:
            return [host.state for host in hosts_of(storage, "night")]
    except TunerError:  # no database yet
        return []


def test_a_study_on_a_fleet(
    real_fleet: RealFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All hosts measure; Ctrl-C leaves nothing on any of them, and `resume` needs no options."""
    monkeypatch.setenv("RAY_ADDRESS", real_fleet.address)
    job_in(tmp_path)

    begun = begin("optimize", "--space", "mine.yaml", "--trials", "9", *ASKED, folder=tmp_path)
    wait_until(lambda: states(tmp_path) == [HostState.MEASURING] * 2, "both hosts to measure")
    begun.send_signal(signal.SIGINT)
    _, said = begun.communicate(timeout=60)

    assert begun.returncode == 130
    assert "nothing of it runs on the hosts any more and study night is kept" in said
    assert real_fleet.agents == []

    resumed = tuner("resume", "night", "--trials", "1", "--json", folder=tmp_path)
    shown = tuner("fleet", "status", "night", "--json", folder=tmp_path).json

    assert resumed.status == 0, resumed.err
    trials = resumed.json["trials"]
    assert [each["number"] for each in trials] == list(range(len(trials)))
    assert {each["host"] for each in trials} == {each["host"] for each in shown}
    assert [each["state"] for each in shown] == ["dismissed"] * 2
    # What deploys the winner names the files of the driver: those of the hosts are gone.
    assert f"cd {tmp_path}\n" in tuner("best", "night", folder=tmp_path).out
    assert real_fleet.agents == []

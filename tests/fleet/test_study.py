"""A whole study on a simulated fleet, in virtual time."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_fleet import BEGAN, SimulatedHost, Trouble
from tests.analysis.known import known
from tests.fleet.fleets import BEST, SERVER, SPACE, Ran, Study
from tuner.analysis.standings import standings
from tuner.goals import SearchBudget
from tuner.planning.proved import proved
from tuner.records import Purpose, TrialState

HOSTS = [SimulatedHost(name, speed) for name, speed in (("a", 1.0), ("b", 0.97), ("c", 0.95))]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """On three hosts that are nearly equal."""
    return Study(HOSTS, tables=True).run(tmp_path_factory.mktemp("fleet") / "studies.db")


def test_a_study_finds_confirms_and_proves(usual: Ran) -> None:
    """One baseline, a canary on each other host; all hosts search; finals and proofs."""
    purposes = Counter(trial.purpose for trial in usual.record.trials)

    assert purposes[Purpose.BASELINE] == 1
    assert purposes[Purpose.DRIFT] == 2
    assert purposes[Purpose.SEARCH] == (SPACE.size or 0) - 1
    assert purposes[Purpose.FINAL] == 12
    assert [proof.proof for proof in usual.record.proofs][-1] == "within"
    assert usual.record.stopped == "every configuration was tried"
    assert known(standings(usual.record).winner).configuration == BEST
    assert usual.fleet.busiest == 3


def test_less_is_claimed_until_it_is_proved(tmp_path: Path) -> None:
    """Here starts after the finals are slower by a quarter."""
    server = replace(SERVER, when_proved=0.75)
    found = Study(HOSTS, server=server).run(tmp_path / "studies.db").record
    winner = known(standings(found).winner)

    assert [proof.proof for proof in found.proofs] == ["over", "over", "within"]
    assert proved(found, winner.configuration).within == pytest.approx(0.6 * winner.throughput)


def test_what_a_slower_host_proves(tmp_path: Path) -> None:
    """As much less is claimed of it, which counts as what the first host would carry."""
    hosts = [SimulatedHost("a"), SimulatedHost("b", 0.85)]
    undisturbed = Study(hosts).run(tmp_path / "undisturbed.db").record
    begins_s = (undisturbed.proofs[0].started_at - BEGAN).total_seconds()
    gone = replace(hosts[0], troubles=[Trouble(at_s=begins_s - 1.0, unnoticed_s=0.5)])
    found = Study([gone, hosts[1]]).run(tmp_path / "studies.db").record
    winner, proof = known(standings(found).winner), found.proofs[0]

    assert proof.host == "b"
    assert proof.throughput < 0.9 * winner.throughput
    assert proof.proof == "within"
    assert proved(found, winner.configuration).within == pytest.approx(
        0.95 * winner.throughput, rel=0.02
    )


def test_a_host_that_comes_for_the_finals(usual: Ran, tmp_path: Path) -> None:
    """It has a canary first: how fast it is counts for what it measures, and what it answers."""
    begun_s = (usual.record.finals[0].started_at - BEGAN).total_seconds()
    late = SimulatedHost("late", joins_s=begun_s + 1.0, answers=2.0)
    found = Study([*HOSTS, late], tables=True).run(tmp_path / "studies.db")

    purposes = [attempt.plan.purpose for host, attempt in found.fleet.begun if host == "late"]
    assert purposes[:2] == [Purpose.DRIFT, Purpose.FINAL]
    assert set(purposes[1:]) <= {Purpose.FINAL, Purpose.PROOF}
    assert any(text.startswith("host late answers otherwise.") for text in found.said)
    assert {trial.state for trial in found.record.finals} == {TrialState.FEASIBLE}


def test_finalists_meet_another_host_each_round(usual: Ran) -> None:
    """And in each round, all of them the same one."""
    hosts: dict[int, set[str]] = {}
    for trial in usual.record.finals:
        hosts.setdefault(trial.round, set()).add(trial.host)
    assert sorted(min(each) for each in hosts.values()) == ["a", "b", "c"]
    assert all(len(each) == 1 for each in hosts.values())


def test_what_is_to_be_known_of_the_requests(tmp_path: Path) -> None:
    """What the host of the baseline heard of them is said here, once."""
    remark = "the server does not know `ignore_eos`"
    server, few = replace(SERVER, remarks=(remark,)), SearchBudget(trials=2, confirmations=0)
    found = Study(HOSTS, server=server, budget=few).run(tmp_path / "studies.db")
    assert found.said.count(remark) == 1

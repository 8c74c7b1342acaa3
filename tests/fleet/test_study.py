"""A whole study on a simulated fleet, in virtual time."""

from collections import Counter

import pytest

from benchmarks.simulated_fleet import SimulatedHost
from tests.analysis.known import known
from tests.fleet.fleets import BEST, SPACE, Ran, Study
from tuner.analysis.standings import standings
from tuner.records import Purpose


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """On three hosts that are nearly equal."""
    hosts = [SimulatedHost(name, speed) for name, speed in (("a", 1.0), ("b", 0.97), ("c", 0.95))]
    return Study(hosts, tables=True).run(tmp_path_factory.mktemp("fleet") / "studies.db")


def test_a_study_finds_confirms_and_proves(usual: Ran) -> None:
    """One baseline, a canary on each other host; all hosts search; finals and a proof."""
    purposes = Counter(trial.purpose for trial in usual.record.trials)

    assert purposes[Purpose.BASELINE] == 1
    assert purposes[Purpose.DRIFT] == 2
    assert purposes[Purpose.SEARCH] == (SPACE.size or 0) - 1
    assert purposes[Purpose.FINAL] == 12
    assert purposes[Purpose.PROOF] == 1
    assert usual.record.stopped == "every configuration was tried"
    assert known(standings(usual.record).winner).configuration == BEST
    assert usual.fleet.busiest == 3


def test_finalists_meet_another_host_each_round(usual: Ran) -> None:
    """And in each round, all of them the same one."""
    hosts: dict[int, set[str]] = {}
    for trial in usual.record.finals:
        hosts.setdefault(trial.round, set()).add(trial.host)
    assert sorted(min(each) for each in hosts.values()) == ["a", "b", "c"]
    assert all(len(each) == 1 for each in hosts.values())

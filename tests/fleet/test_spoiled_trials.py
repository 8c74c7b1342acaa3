"""Hosts that are there, and cannot run trials, or not as others do."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.simulated_fleet import SimulatedHost
from tests.fleet.fleets import Ran, Study
from tuner.capacity.probes import NOTHING_TO_BEAT, Beat, Expected
from tuner.errors import Reason, TunerError
from tuner.fleet.pace import Pace
from tuner.goals import SearchBudget
from tuner.records import Purpose
from tuner.space.space import Configuration
from tuner.store.hosts import HostState
from tuner.study.trial import TrialPlan

SHORT = SearchBudget(trials=8, timeout_s=7200.0, finalists=2, confirmations=1)
NO_SERVER = "it has no tritonserver; mend it"


def run(hosts: Sequence[SimulatedHost], folder: Path) -> Ran:
    return Study(hosts, budget=SHORT, sampler="random").run(folder / "studies.db")


def test_a_host_that_rests_holds_nothing_up(tmp_path: Path) -> None:
    """It cannot run its canary: the others search, and go on to the finals without it."""
    broken = SimulatedHost("b", spoils=dict.fromkeys(range(9)))
    found = run([SimulatedHost("a"), broken], tmp_path)

    rests = [f"host b spoils trials ({NO_SERVER}); it rests for {s} s" for s in (60, 300)]
    assert [text for text in found.said if text.startswith("host b")] == rests
    assert {trial.host for trial in found.record.finals} == {"a"}
    assert found.fleet.clock.passed_s < 300.0


def test_a_rest_helps(tmp_path: Path) -> None:
    """Something else ran on the host: two spoiled canaries later, it measures as others do."""
    busy = SimulatedHost("b", spoils=dict.fromkeys(range(2), Reason.CLIENT_OVERLOADED))
    found = run([SimulatedHost("a"), busy], tmp_path)

    assert "b" in found.fleet.rested
    assert any(t.host == "b" and t.purpose is Purpose.FINAL for t in found.record.trials)
    assert Reason.CLIENT_OVERLOADED not in {trial.reason for trial in found.record.trials}


def test_a_host_that_no_rest_helps(tmp_path: Path) -> None:
    """It rests longer each time, then is put aside; a trial is not spoiled more than thrice."""
    broken = SimulatedHost("a", spoils=dict.fromkeys(range(1, 9)))
    found = run([broken], tmp_path)

    assert found.hosts["a"].state is HostState.ASIDE
    assert f"host a is put aside: it spoils its trials ({NO_SERVER})" in found.said
    assert found.record.stopped == f"no host of the fleet is left (a: {NO_SERVER})"
    spoiled = [trial for trial in found.record.trials if trial.reason]
    assert [(trial.reason, trial.message) for trial in spoiled] == [
        (Reason.INTERRUPTED, NO_SERVER)
    ]
    assert found.fleet.clock.passed_s > 60.0 + 300.0 + 900.0


def test_a_baseline_that_fails_on_one_host(tmp_path: Path) -> None:
    """It is run on another one, and the first is used no more; if it fails there, too, it ends."""
    fails = {0: Reason.NOT_READY}
    found = run([SimulatedHost("a", spoils=fails), SimulatedHost("b")], tmp_path)

    assert found.record.baseline
    assert found.record.baseline.host == "b"
    assert found.hosts["a"].state is HostState.ASIDE
    said = "host a is put aside: the server's own defaults failed (not_ready): "
    assert said in found.said
    assert {trial.host for trial in found.record.trials} == {"b"}

    both = [SimulatedHost("a", spoils=fails), SimulatedHost("b", spoils=fails | {1: fails[0]})]
    with pytest.raises(TunerError, match="own defaults failed") as caught:
        Study(both, budget=SHORT).run(tmp_path / "both.db")
    assert caught.value.hint == "make the model work on this server first; then tune it"


def test_a_host_that_only_spoiled_the_baseline(tmp_path: Path) -> None:
    """It did not fail there: where it fails on the other host, it is run there again."""
    busy = SimulatedHost("a", spoils={0: Reason.CLIENT_OVERLOADED})
    fails = SimulatedHost("b", spoils={1: Reason.NOT_READY})  # after its canary
    found = run([busy, fails], tmp_path)

    begun = [host for host, a in found.fleet.begun if a.plan.purpose is Purpose.BASELINE]
    assert begun == ["a", "b", "a"]
    assert found.record.baseline
    assert found.record.baseline.host == "a"
    assert found.hosts["b"].state is HostState.ASIDE


def test_hosts_that_answer_otherwise(tmp_path: Path) -> None:
    """What differs is told at once, and not compared: no configuration is blamed for its host."""
    late = SimulatedHost("c", joins_s=50.0, answers=3.0)
    found = run([SimulatedHost("a"), SimulatedHost("b", answers=2.0), late], tmp_path)

    [said] = [text for text in found.said if "answers otherwise" in text]
    assert said.startswith("host b answers otherwise. Outputs cannot be compared: all of them")
    assert Reason.WRONG_OUTPUT not in {trial.reason for trial in found.record.trials}
    assert found.record.comparison.left_out == ("said",)


def test_what_a_plan_asks_of_a_slower_host() -> None:
    """Of all throughputs its share; how well that share is known counts for what is beaten."""
    plan = TrialPlan(
        number=1,
        purpose=Purpose.SEARCH,
        configuration=Configuration.of({"n": 1}),
        beat=Beat(100.0, 0.03),
        reference=80.0,
        claim=95.0,
        expected=Expected(100.0, 120.0),
    )
    there = Pace(0.5, 0.04).plan(plan)
    assert there.beat == Beat(50.0, 0.05)
    assert (there.reference, there.claim, there.expected) == (40.0, 47.5, Expected(50.0, 60.0))
    assert Pace(0.5, 0.04).beat(NOTHING_TO_BEAT).surely == 0.0

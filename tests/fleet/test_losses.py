"""Hosts that vanish, come back, or cannot be used: what becomes of their trials, and of them."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulated_fleet import BEGAN, Server, SimulatedHost, Trouble
from tests.fleet.fleets import SERVER, Study, capacity
from tuner.errors import Reason, TunerError
from tuner.goals import SearchBudget
from tuner.records import Purpose
from tuner.store.events import EventKind
from tuner.store.hosts import HostState, hosts_of
from tuner.store.jobs import Wanted
from tuner.store.storage import Storage

SHORT = SearchBudget(trials=10, timeout_s=3600.0, finalists=2, confirmations=1)


def test_what_a_lost_host_ran_is_run_elsewhere(tmp_path: Path) -> None:
    """Under the same number, as another attempt; the host is told of, and stays lost."""
    hosts = [SimulatedHost("a"), SimulatedHost("b", troubles=[Trouble(at_s=25.0)])]
    found = Study(hosts, budget=SHORT).run(tmp_path / "studies.db")

    [lost] = [attempt for host, attempt in found.fleet.begun if host == "b"][-1:]
    [again] = [t for t in found.record.trials if t.number == lost.plan.number]
    assert again.host == "a"
    assert again.attempt > lost.number
    assert again.configuration == lost.plan.configuration
    assert "host b is lost: nothing was heard of it" in found.said
    assert found.hosts["b"].state is HostState.LOST
    assert found.hosts["a"].state is HostState.DISMISSED


def test_a_record_that_comes_too_late_is_none(tmp_path: Path) -> None:
    """The host was cut off, and says what it measured once it is back: that ran elsewhere."""
    cut_off = Trouble(at_s=30.0, for_s=15.0, unnoticed_s=5.0, says_late=True)
    hosts = [SimulatedHost("a"), SimulatedHost("b", troubles=[cut_off])]
    found = Study(hosts, budget=SHORT).run(tmp_path / "studies.db")

    awaited = {attempt.plan.number: attempt.number for _, attempt in found.fleet.begun}
    assert {t.number: t.attempt for t in found.record.trials} == awaited
    assert any(t.host == "b" and t.attempt > 5 for t in found.record.trials)


def test_a_configuration_that_two_hosts_were_lost_with(tmp_path: Path) -> None:
    """It is a crash that names them, and no third host has to try it."""
    deadly = Server(capacity, kills=lambda configuration: configuration["n"] == 16)
    hosts = [SimulatedHost("a"), SimulatedHost("b")]
    found = Study(hosts, server=deadly, sampler="random", seed=1).run(tmp_path / "studies.db")

    crashed = [trial for trial in found.record.trials if trial.reason is Reason.CRASHED]
    assert crashed
    assert {trial.configuration["n"] for trial in crashed} == {16}
    message = "were lost while they ran it: nothing was heard of it"
    assert all(trial.message.endswith(message) for trial in crashed)
    assert all(trial.timings_s["total"] > 0 for trial in crashed)


def test_hosts_that_cannot_take_part(tmp_path: Path) -> None:
    """They are told of, and the study goes on without them; without any other, it is an error."""
    refused = SimulatedHost("c", refused="it has no tritonserver")
    some = Study([SimulatedHost("a"), refused], budget=SHORT).run(tmp_path / "some.db")
    assert "host c cannot take part: it has no tritonserver; mend it" in some.said
    assert some.hosts["c"].state is HostState.REFUSED
    assert some.hosts["c"].why == "it has no tritonserver"
    assert {trial.host for trial in some.record.trials} == {"a"}

    with pytest.raises(TunerError) as caught:
        Study([refused], budget=SHORT).run(tmp_path / "none.db")
    assert caught.value.message == "no host of the fleet can measure (c: it has no tritonserver)"
    assert "tuner fleet doctor" in caught.value.hint


def test_no_host_is_left(tmp_path: Path) -> None:
    """What was found is kept; the study says why it ended."""
    gone = SimulatedHost("a", troubles=[Trouble(at_s=70.0)])
    found = Study([gone], budget=SHORT).run(tmp_path / "studies.db")
    assert found.record.stopped == ("no host of the fleet is left (a: nothing was heard of it)")
    assert found.record.baseline is not None
    assert not found.record.finals
    assert found.fleet.clock.passed_s > 300.0


def test_a_host_that_is_another_machine(tmp_path: Path) -> None:
    """It is put aside, and named; what it measured does not decide."""
    hosts = [SimulatedHost("a"), SimulatedHost("b"), SimulatedHost("slow", speed=0.5)]
    found = Study(hosts).run(tmp_path / "studies.db")
    assert found.hosts["slow"].state is HostState.ASIDE
    [said] = [text for text in found.said if text.startswith("host slow is put aside")]
    assert "slower than the other hosts" in said
    assert "slow" not in {trial.host for trial in found.record.finals}
    changes = [e.content for e in found.told if e.kind is EventKind.HOST_CHANGED]
    assert ("slow", "aside") in {(each["host"], each["state"]) for each in changes}


def test_a_host_that_was_put_aside_stays_so(tmp_path: Path) -> None:
    """When the study goes on, it measures nothing, not even a canary."""
    hosts = [SimulatedHost("a"), SimulatedHost("b"), SimulatedHost("slow", speed=0.5)]
    study = Study(hosts, budget=SHORT, tables=True)
    first = study.run(tmp_path / "studies.db")
    assert first.hosts["slow"].state is HostState.ASIDE

    second = replace(study, budget=replace(SHORT, trials=16)).run(tmp_path / "studies.db")
    assert {host for host, _ in second.fleet.begun} == {"a", "b"}
    assert second.hosts["slow"].state is HostState.ASIDE
    assert [text for text in second.said if text.startswith("host slow is put aside")]


def test_what_is_better_is_told_to_those_that_run(tmp_path: Path) -> None:
    """At the speed of each host; no other host's trial has to end before."""
    hosts = [SimulatedHost("a"), SimulatedHost("b", speed=0.9)]
    found = Study(hosts).run(tmp_path / "studies.db")
    told = [beat.throughput for host, beat in found.fleet.beats if host == "b"]
    assert len(told) > 1
    assert told == sorted(told)
    lasted_s = [t.timings_s["total"] for t in found.record.searched if t.state == "pruned"]
    assert min(lasted_s) == pytest.approx(10.0, abs=0.1)


def test_a_pause_gives_up_what_runs(tmp_path: Path) -> None:
    """All servers end; the same trials begin anew afterwards, and the time has waited."""
    hosts = [SimulatedHost("a"), SimulatedHost("b")]
    asked = [(50.0, Wanted.PAUSE), (400.0, Wanted.NOTHING)]
    found = Study(hosts, budget=SHORT, asked=asked).run(tmp_path / "studies.db")

    before = [a.plan.number for _, a in found.fleet.begun]
    twice = {number for number in before if before.count(number) == 2}
    assert len(twice) == 2
    assert found.record.stopped == "all 10 trials were run"
    assert found.record.finals
    assert found.fleet.clock.passed_s > 500.0


def test_a_study_that_was_ended_goes_on(tmp_path: Path) -> None:
    """With what was given up first, without holes in its numbers, and with newer attempts."""
    hosts = [SimulatedHost(name) for name in ("a", "b", "c")]
    study = Study(hosts, budget=SHORT, asked=[(47.0, Wanted.STOP_NOW)], tables=True)
    first = study.run(tmp_path / "studies.db")
    assert first.record.stopped == "it was asked to stop"
    given_up = {a.plan.configuration for _, a in first.fleet.begun} - {
        t.configuration for t in first.record.trials if t.proposal is not None
    }
    assert given_up

    second = replace(study, asked=()).run(tmp_path / "studies.db")
    numbers = [trial.number for trial in second.record.trials]
    assert numbers == list(range(len(numbers)))
    newest = max(attempt.number for _, attempt in first.fleet.begun)
    assert min(attempt.number for _, attempt in second.fleet.begun) == newest + 1
    begun = [a.plan for _, a in second.fleet.begun if a.plan.purpose is Purpose.SEARCH]
    assert {plan.configuration for plan in begun[: len(given_up)]} == given_up
    assert second.record.finals


def test_a_study_that_was_ended_before_its_baseline(tmp_path: Path) -> None:
    """What was given up is no baseline: the study has one once it goes on."""
    lost = SimulatedHost("a", troubles=[Trouble(at_s=5.0, unnoticed_s=30.0)])
    study = Study([lost, SimulatedHost("b")], budget=SHORT, asked=[(25.0, Wanted.STOP_NOW)])
    first = study.run(tmp_path / "studies.db").record
    assert [(t.purpose, t.reason) for t in first.trials] == [
        (Purpose.DRIFT, Reason.INTERRUPTED),
        (Purpose.DRIFT, None),
    ]

    second = replace(study, asked=()).run(tmp_path / "studies.db").record
    assert second.baseline
    assert second.baseline.host == "b"
    assert [trial.number for trial in second.trials] == list(range(len(second.trials)))


def test_a_proof_whose_host_is_lost_when_the_time_is_nearly_over(tmp_path: Path) -> None:
    """It is not run again past the end."""
    hosts = [SimulatedHost("a"), SimulatedHost("b")]
    study = Study(hosts, budget=SHORT)
    proof = study.run(tmp_path / "undisturbed.db").record.proofs[0]
    begins_s = (proof.started_at - BEGAN).total_seconds()
    late = Trouble(at_s=begins_s + 5.0, unnoticed_s=SHORT.timeout_s - begins_s - 8.0)
    hosts = [replace(h, troubles=[late]) if h.name == proof.host else h for h in hosts]
    found = replace(study, hosts=hosts).run(tmp_path / "studies.db")

    begun = [a.plan.purpose for _, a in found.fleet.begun]
    assert begun.count(Purpose.PROOF) == 1
    assert found.record.proofs == ()
    assert found.fleet.clock.passed_s < SHORT.timeout_s


def test_a_cluster_that_is_lost(tmp_path: Path) -> None:
    """The study ends with an error: what ran then leaves no holes in its numbers."""

    def breaks() -> None:
        raise TunerError("the connection to Ray is lost")

    slow = SimulatedHost("b", troubles=[Trouble(at_s=45.0, unnoticed_s=math.inf)])
    hosts = [SimulatedHost("a"), slow, SimulatedHost("c")]
    study = Study(hosts, budget=SHORT, happenings=[(90.0, breaks)])
    with pytest.raises(TunerError):
        study.run(tmp_path / "studies.db")
    with Storage(str(tmp_path / "studies.db")) as storage:
        trials = storage.study("night").trials
        known = hosts_of(storage, "night")

    assert [trial.number for trial in trials] == list(range(len(trials)))
    [given_up] = [trial for trial in trials if trial.reason is Reason.INTERRUPTED]
    assert given_up.message == "it was given up, as the study was to end"
    assert given_up.host == "b"
    assert {host.state for host in known} == {HostState.DISMISSED}


def test_a_straggler_does_not_cost_the_finals(tmp_path: Path) -> None:
    """A trial that would take all the time that is left is given up for them."""

    def lasts_s(configuration: object) -> float:
        return 1e6 if configuration == straggler else 20.0

    straggler = Study([]).space.activate({"n": 8, "mode": 3})
    server = replace(SERVER, lasts_s=lasts_s)
    budget = SearchBudget(trials=28, timeout_s=600.0, finalists=2, confirmations=1)
    found = Study([SimulatedHost("a"), SimulatedHost("b")], server=server, budget=budget)
    ran = found.run(tmp_path / "studies.db")
    assert straggler not in {t.configuration for t in ran.record.trials if t.proposal is not None}
    assert len(ran.record.finals) == 3
    assert ran.fleet.clock.passed_s < 700.0
    assert math.isfinite(ran.record.finals[0].throughput)


def test_stragglers_of_a_study_that_goes_on_do_not_cost_the_finals(tmp_path: Path) -> None:
    """What was measured before tells how long the finals take, before any trial ends."""
    hosts = [SimulatedHost("a"), SimulatedHost("b")]
    study = Study(hosts, budget=SHORT, asked=[(70.0, Wanted.STOP_NOW)], tables=True)
    known = {t.configuration for t in study.run(tmp_path / "studies.db").record.trials}
    straggling = replace(SERVER, lasts_s=lambda each: 20.0 if each in known else 1e6)
    budget = replace(SHORT, trials=28, timeout_s=600.0)

    again = replace(study, asked=(), server=straggling, budget=budget)
    found = again.run(tmp_path / "studies.db")
    assert found.record.stopped == "the time was used up"
    assert {trial.configuration for trial in found.record.finals} > {again.space.defaults}
    assert found.fleet.clock.passed_s < 700.0

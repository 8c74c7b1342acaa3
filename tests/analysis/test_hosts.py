"""How fast each host of a fleet is, and what follows for what it measured."""

import itertools
import math
from datetime import timedelta

import numpy as np
import pytest

from tests.report import fleets, studies
from tests.report.fleets import Night
from tests.report.studies import BEGAN
from tuner.analysis.hosts import Speeds, speeds
from tuner.analysis.one_host import as_on_one_host
from tuner.errors import Reason
from tuner.records import Purpose, TrialState
from tuner.study.best_so_far import best_so_far

EQUAL = {"ada": 1.0, "bob": 1.0, "cleo": 1.0}
STUDIES = 300


def known(night: Night) -> Speeds:
    return speeds(night.trials)


def factors(found: Speeds) -> dict[str, float]:
    return {name: math.exp(each.log_speed) for name, each in found.hosts.items()}


def test_without_a_fleet_it_is_the_drift_of_the_machine() -> None:
    """One machine has a factor of 1, nothing is taken off, and nobody is put aside."""
    night = studies.night()

    found = speeds(night.trials)

    assert not found.fleet
    assert found.corrected(night.trials) == night.trials
    assert found.factor(BEGAN) == 1.0
    assert found.log_error(BEGAN) == 0.0
    assert found.aside == {}
    assert as_on_one_host(night) is night


def test_the_factor_of_a_slow_host() -> None:
    """After many canaries it is what they say, over the host that measured the baseline."""
    night = Night()
    for _ in range(20):
        night.canaries()

    found = known(night)

    assert next(iter(found.hosts)) == "ada"
    assert factors(found) == pytest.approx(fleets.SPEEDS, rel=0.01)
    assert [each.name for each in found.unequal] == ["cleo"]
    assert found.factor(BEGAN, "cleo") == pytest.approx(0.8, rel=0.01)


def test_few_canaries_are_drawn_to_the_mean() -> None:
    """One canary of 10 % less is not worth 10 %, several are; the error becomes smaller."""
    night = Night({"ada": 1.0, "bob": 0.9, "cleo": 1.0})
    night.canaries()
    first = known(night)
    for _ in range(5):
        night.canaries()
    later = known(night)

    assert 0.9 < factors(later)["bob"] < factors(first)["bob"] < 1.0
    assert later.hosts["bob"].log_error < first.hosts["bob"].log_error


def test_a_slow_host_among_many_is_not_taken_for_an_equal() -> None:
    """Its factor is its own; one that chance explains is drawn by a standard error at most."""
    slow = {"host-70": 0.8, "host-80": 0.88}
    night = Night({name: slow.get(name, 1.0) for name in (f"host-{n}" for n in range(100))})
    night.canaries()

    found = known(night)

    assert [each.name for each in found.unequal] == ["host-70"]
    for name, drawn in (("host-70", 0.0), ("host-80", 0.05)):
        host = found.hosts[name]
        assert host.log_speed == pytest.approx(math.log(slow[name]) + drawn, abs=0.005)
        assert host.log_error == pytest.approx(0.05)


def test_a_host_that_nobody_has_measured_yet() -> None:
    """Without a canary it counts as the mean host, as uncertain as hosts differ."""
    night = Night()
    night.canary("ada")
    night.canary("bob")
    night.run("dan", 200.0)

    found = known(night)

    assert found.factor(BEGAN, "dan") == pytest.approx(1.0, abs=0.02)
    assert found.log_error(BEGAN, "dan") == pytest.approx(0.06, abs=0.02)
    assert found.due("dan", night.trials)


def test_throughputs_as_on_the_first_host() -> None:
    """They are divided by the factor, and their errors include its error; the host is gone."""
    study = fleets.night()
    found = speeds(study.trials)
    slow = next(t for t in study.trials if t.host == "cleo" and t.purpose is Purpose.SEARCH)

    [corrected] = found.corrected([slow])

    factor = found.factors([slow])[slow.number]
    assert corrected.throughput == pytest.approx(slow.throughput / factor)
    assert corrected.log_error == pytest.approx(
        math.hypot(slow.log_error, found.log_error(slow.started_at, "cleo"))
    )
    assert corrected.host == ""


def test_load_points_as_on_the_first_host() -> None:
    """Rates are divided; the latency and a concurrency stay what they were."""
    study = fleets.night(points=True)
    slow = next(t for t in study.trials if t.host == "cleo")
    factor = speeds(study.trials).factors([slow])[slow.number]

    one = next(t for t in as_on_one_host(study).trials if t.number == slow.number)

    for before, after in zip(slow.points, one.points, strict=True):
        load = before.load if before.kind == "closed" else before.load / factor
        assert after.load == pytest.approx(load)
        assert after.throughput == pytest.approx(before.throughput / factor)
        assert after.latency_s == before.latency_s


def test_a_host_that_becomes_slow() -> None:
    """Each host has its own blocks: what it measured before keeps its old factor."""
    night = Night(EQUAL)
    for _ in range(4):
        night.canaries()
    night.speeds["bob"] = 0.8
    for _ in range(4):
        night.canaries()
    found = known(night)

    assert len(found.hosts["bob"].drift.blocks) == 2
    assert found.factor(night.trials[0].started_at, "bob") == pytest.approx(1.0, abs=0.01)
    assert found.factor(night.trials[-1].finished_at, "bob") == pytest.approx(0.8, abs=0.02)
    assert found.factor(night.trials[-1].finished_at, "ada") == pytest.approx(1.0, abs=0.01)


def test_another_machine_is_put_aside_after_two_canaries() -> None:
    """One canary of 40 % less makes the host due for another; the second puts it aside."""
    night = Night({"ada": 1.0, "bob": 0.6, "cleo": 1.0})
    night.canaries()
    assert known(night).aside == {}
    assert known(night).due("bob", night.trials)
    assert not known(night).due("cleo", night.trials)

    night.canary("bob")

    assert not known(night).due("bob", night.trials)
    assert list(known(night).aside) == ["bob"]


def test_an_unequal_host_has_three_canaries_at_once() -> None:
    """Of single canaries those that are off by chance stand out; the others have one."""
    night = Night({"ada": 1.0, "bob": 0.8, "cleo": 1.0, "dan": 1.0})
    night.canaries()

    count = 1
    while known(night).due("bob", night.trials):
        night.canary("bob")
        count += 1

    assert count == 3
    assert not known(night).due("cleo", night.trials)


def test_of_two_unequal_hosts_both_have_three_canaries() -> None:
    """What the second one is compared with may be what is off."""
    night = Night({"ada": 1.0, "bob": 0.8})
    night.canaries()

    for host in night.speeds:
        while known(night).lacks(host, night.trials):
            night.canary(host)

    assert [each.canaries for each in known(night).hosts.values()] == [3, 3]


def test_of_two_hosts_none_is_put_aside_by_a_single_canary_of_the_other() -> None:
    """It may have been disturbed: it is run once more."""
    night = Night({"ada": 1.0, "bob": 0.6})
    night.canaries()
    night.canary("bob")
    assert known(night).aside == {}
    assert known(night).due("ada", night.trials)

    night.canary("ada")

    assert list(known(night).aside) == ["bob"]


@pytest.mark.parametrize(("speed", "aside"), [(0.78, 0), (0.72, 1), (1.3, 0), (1.4, 1)])
def test_how_far_a_host_may_be_off(speed: float, aside: int) -> None:
    """By a quarter, in either direction."""
    night = Night({**EQUAL, "dan": speed})
    for _ in range(3):
        night.canaries()

    assert len(known(night).aside) == aside


def test_a_host_where_the_defaults_fail_is_put_aside() -> None:
    """They are tried twice; where they fail everywhere no host is to blame."""
    night = Night(EQUAL)
    night.canary("ada")
    fleets.failing_canary(night, "bob")
    assert known(night).aside == {}
    assert known(night).due("bob", night.trials)

    fleets.failing_canary(night, "bob")

    assert not known(night).due("bob", night.trials)
    assert list(known(night).aside) == ["bob"]


def test_what_the_tuner_spoiled_says_nothing_of_a_host() -> None:
    """However often canaries were interrupted, another one is due, and nobody is put aside."""
    night = Night(EQUAL)
    night.canary("ada")
    for _ in range(2):
        fleets.failing_canary(night, "bob", Reason.INTERRUPTED)

    assert known(night).aside == {}
    assert known(night).due("bob", night.trials)
    assert known(night).hosts["bob"].canaries == 0


def test_defaults_that_say_nothing_anywhere() -> None:
    """Nobody knows how much hosts differ: finals have to reckon with what is usual."""
    night = Night(EQUAL)
    for host in EQUAL:
        fleets.failing_canary(night, host)

    assert known(night).factor(BEGAN, "bob") == 1.0
    assert known(night).log_error(BEGAN, "bob") == pytest.approx(0.06)


def test_canaries_that_scatter_prove_less() -> None:
    """Of two hosts one seems 15 % slower: it is not, where its canaries differ by as much."""
    unequal = []
    for scatter in (0.0, 0.3):
        night = Night({"ada": 1.0, "bob": 1.0})
        for off in (1 - scatter / 2, 1.0, 1 + scatter / 2):
            night.speeds = {"ada": off, "bob": 0.85 * off}
            night.canary("ada")
            night.canary("bob")
        unequal.append([each.name for each in known(night).unequal])

    assert unequal == [["bob"], []]


def test_what_another_machine_measured_is_measured_again() -> None:
    """The three best of it; once they were, their first measurements are left out."""
    night = Night({"ada": 1.0, "bob": 0.6, "cleo": 1.0})
    night.canaries()
    ran = [
        night.run("bob", capacity, configuration=studies.configuration(n))
        for n, capacity in enumerate((300.0, 200.0, 250.0, 100.0))
    ]
    assert known(night).to_repeat(night.trials) == ()
    night.canary("bob")

    assert known(night).to_repeat(night.trials) == tuple(each.number for each in ran[:3])

    again = night.run("ada", 310.0, configuration=ran[0].configuration)
    assert known(night).to_repeat(night.trials) == tuple(each.number for each in ran[1:3])
    kept = [each.number for each in known(night).corrected(night.trials)]
    assert again.number in kept
    assert ran[0].number not in kept


def test_the_best_of_a_fleet() -> None:
    """It is the one that others have to beat: by what it carries as on the first host."""
    night = Night({"ada": 1.0, "bob": 0.6, "cleo": 0.8, "dan": 1.0})
    for _ in range(3):
        night.canaries()
    night.run("ada", 300.0)
    best = night.run("cleo", 350.0)
    night.run("bob", 500.0)  # another machine: what it measured does not count
    night.run("dan", 600.0, state=TrialState.INFEASIBLE)

    found = best_so_far(night.study(), known(night))

    assert found is not None
    assert found.number == best.number
    assert found.throughput == pytest.approx(350, rel=0.03)


def test_a_trial_that_was_stopped_as_beaten_by_a_wrong_factor() -> None:
    """Its bound is above the best, once the factor of its host is known better."""
    night = Night({"ada": 1.0, "bob": 0.8, "cleo": 1.0})
    night.canaries()
    night.run("ada", 300.0)
    pruned = night.run("bob", 340.0, state=TrialState.PRUNED)

    assert known(night).to_repeat(night.trials) == (pruned.number,)


def test_when_canaries_are_due() -> None:
    """After ten trials and ten minutes of a host, whatever the others did."""
    night = Night(EQUAL)
    night.canaries()
    for _ in range(40):
        night.run("ada", 200.0)
    ten = timedelta(minutes=10)
    ended = [next(t for t in reversed(night.trials) if t.host == h) for h in ("ada", "cleo")]

    assert known(night).due("ada", night.trials, ended[0].finished_at)
    # A host that did nothing for ten minutes may have changed, but canaries take no more than 5 %
    # of its time.
    assert not known(night).due("cleo", night.trials, ended[1].finished_at + ten)
    for _ in range(20):
        night.run("cleo", 200.0)
    assert known(night).due("cleo", night.trials, night.trials[-1].finished_at)


def test_spoiled_by_the_tuner_is_no_measurement_elsewhere() -> None:
    """What was interrupted on a good host does not replace what another machine measured."""
    night = Night({"ada": 1.0, "bob": 0.6, "cleo": 1.0})
    night.canaries()
    night.canary("bob")
    first = night.run("bob", 300.0)
    night.run(
        "ada",
        300.0,
        configuration=first.configuration,
        state=TrialState.FAILED,
        reason=Reason.INTERRUPTED,
    )

    assert first.number in [each.number for each in known(night).corrected(night.trials)]


@pytest.mark.parametrize("hosts", [3, 10, 40])
@pytest.mark.parametrize("spread", [0.0, 0.03, 0.06])
def test_errors_of_factors_are_what_they_say(hosts: int, spread: float) -> None:
    """95 % intervals of the ratio of two hosts hold the truth in 92 % of studies or more."""
    random = np.random.default_rng(hosts)
    held = []
    for _ in range(STUDIES // hosts + 40):
        truth = {str(n): math.exp(random.normal(0, spread)) for n in range(hosts)}
        night = Night(truth)
        for host in truth:
            for _ in range(1 + int(random.integers(3))):
                noise = np.exp(random.normal(0, 0.05))
                night.speeds = {host: truth[host] * noise}
                night.canary(host)
        found = known(night).hosts
        for one, other in itertools.pairwise(truth):
            gap = found[one].log_speed - found[other].log_speed
            true = math.log(truth[one] / truth[other])
            error = math.hypot(found[one].log_error, found[other].log_error)
            held.append(abs(gap - true) <= 1.96 * error)

    assert np.mean(held) > 0.92


@pytest.mark.parametrize(("hosts", "studies"), [(2, 400), (3, 300), (30, 60)])
def test_equal_hosts_are_seldom_called_unequal(hosts: int, studies: int) -> None:
    """In one study of twenty or so, however many hosts: what they are compared with errs, too."""
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(studies):
        night = Night({str(n): 1.0 for n in range(hosts)})
        for host in list(night.speeds):
            night.speeds = {host: float(np.exp(random.normal(0, 0.05)))}
            night.canary(host)
        wrong += bool(known(night).unequal)

    assert wrong / studies < 0.07

"""Which parameters mattered, where several hosts measured: hosts are blocks."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from tests.analysis.test_effects import SWITCHES, grid, log_capacity, of, study
from tests.report.fleets import Night
from tests.spaces import choice
from tuner.analysis.effects import Effects, Judgement, effects
from tuner.records import StudyRecord
from tuner.space.expressions import Value
from tuner.space.space import Configuration

HOSTS = ("ada", "bob")


def searched(
    host_of: Callable[[int, Mapping[str, Value]], str],
    *,
    canary: float = 1.0,
    speed: float = 0.8,
    scatter: float = 0.03,
) -> StudyRecord:
    """Every configuration once, on `host_of` it; bob's canary is off by the factor `canary`."""
    random = np.random.default_rng(4)
    night = Night({"ada": 1.0, "bob": speed})
    capacity = math.exp(log_capacity(grid()[0]))
    for host, off in zip(HOSTS, (1.0, canary), strict=True):
        record = night.canary(host, configuration=Configuration.of(grid()[0]))
        carried = capacity * night.speeds[host] * off
        night.trials[-1] = type(record)(**(vars(record) | {"throughput": carried}))
    for number, values in enumerate(grid()[1:]):
        carries = math.exp(log_capacity(values) + scatter * random.normal())
        night.run(host_of(number, values), carries, configuration=Configuration.of(values))
    return study(night.trials, *(choice(False, True, name=name) for name in SWITCHES))


def alternating(number: int, _: Mapping[str, Value]) -> str:
    return HOSTS[number % 2]


def mostly_with_c(number: int, values: Mapping[str, Value]) -> str:
    """Three of four configurations with `c` ran on bob, and one of four without it."""
    return HOSTS[bool(values["c"]) ^ (number % 4 == 0)]


def judged(found: Effects) -> dict[str, Judgement]:
    return {name: of(found, name).judgement for name in SWITCHES}


TRUE = {
    "a": Judgement.HELPED,
    "b": Judgement.HURT,
    "c": Judgement.UNDECIDED,
    "d": Judgement.UNDECIDED,
}


@pytest.mark.parametrize("host_of", [alternating, mostly_with_c])
@pytest.mark.parametrize("canary", [1.0, 0.8, 1.2])
def test_a_slow_host_is_no_effect(
    host_of: Callable[[int, Mapping[str, Value]], str], canary: float
) -> None:
    """Even where its canary says something wrong: the configurations tell better."""
    found = effects(searched(host_of, canary=canary))

    assert judged(found) == TRUE
    ratio = of(found, "c").ratio
    assert ratio is not None
    assert ratio.estimate == pytest.approx(1.0, abs=0.06)


def test_hosts_that_cannot_be_told_from_a_parameter() -> None:
    """Where one host had all that have a value, the factors alone are taken off."""
    found = effects(searched(lambda _, values: HOSTS[bool(values["a"])]))

    assert of(found, "a").judgement is Judgement.HELPED
    ratio = of(found, "a").ratio
    assert ratio is not None
    assert ratio.estimate == pytest.approx(math.exp(0.5), rel=0.1)


def test_too_few_configurations_for_so_many_hosts() -> None:
    """Each on a host of its own: their factors are taken off, and the rest is lack of fit."""
    night = Night({f"host-{n}": 1.0 for n in range(16)})
    for number, (host, values) in enumerate(zip(night.speeds, grid(), strict=True)):
        tried = {"configuration": Configuration.of(values)}
        if number:
            night.run(host, math.exp(log_capacity(values)), **tried)
        else:
            night.canary(host, throughput=math.exp(log_capacity(values)), **tried)

    found = effects(study(night.trials, *(choice(False, True, name=n) for n in SWITCHES)))

    assert judged(found) == TRUE
